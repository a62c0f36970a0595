"""Pictures of confusion matrices and of typicality, as PNG.

matplotlib is imported when there is something to draw, so that a first training step does not wait for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len

from easymft.evaluation.palette import COLORS
from easymft.files import replacing
from easymft.names import cut_name, cut_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _GRID = "#333333", "#DDDDDD"
_MOST_CELLS_WITH_NUMBERS = 20
_FONTS_OF_OTHER_SCRIPTS = (  # the first that is installed and has a letter draws it
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Arial Unicode MS",
    "Noto Sans Thai",
    "Noto Sans Devanagari",
    "Noto Sans Arabic",
)
_LONGEST_SIDE = 16.0  # inches; a picture of hundreds of classes would take gigabytes otherwise
_SMALLEST_FONT = 4.0
_MOST_PANELS = 40
_INCHES_OF_A_LETTER = 0.009  # about, for each point of the font's size
_MOST_IN_LEGEND = 24
_WIDEST_TITLE = 80  # characters


def save_figure(figure: Figure, file: str | Path) -> None:
    """Writes `figure` as PNG, 150 dots an inch, in whatever script its names are, if a font here has it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_fontfamily(_installed_fonts())
    with replacing(file) as part, warnings.catch_warnings(record=True) as caught:
        FigureCanvasAgg(figure).print_figure(part, dpi=150, format="png", bbox_inches="tight")  # no label cut off
    absent = [warning for warning in caught if "missing from" in str(warning.message)]  # one for each character
    if absent:
        print(f"note: {file} shows boxes for letters that no font here has; Noto Sans CJK has most", flush=True)
    for warning in caught:
        if warning not in absent:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _installed_fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _FONTS_OF_OTHER_SCRIPTS if name in installed)]


def draw_confusion_matrix(confusion: Sequence[Sequence[int]], labels: Sequence[str], title: str = "") -> Figure:
    """Draws counts with the share of each true class as colour.

    Args:
        confusion: [M][M], rows true, columns predicted.
        labels: The M classes.
        title: Above the picture.
    """
    from matplotlib.figure import Figure

    counts = np.asarray(confusion, np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(3.6, 1.2 + 0.75 * len(labels)), _LONGEST_SIDE)
    font = min(10.0, 60.0 * (side - 1.2) / len(labels))
    names = _shown(labels)
    widest = max(map(cell_len, names))
    room = max(0, widest - 8) * font * _INCHES_OF_A_LETTER
    figure = Figure(figsize=(side + 0.9 + room, side + room), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    slanted = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if widest > 8 else {}
    if side == _LONGEST_SIDE:  # many columns: slanted names would lie over each other
        slanted = {"rotation": 90}
    if font >= _SMALLEST_FONT:
        axes.set_xticks(range(len(labels)), names, fontsize=font, **slanted)
        axes.set_yticks(range(len(labels)), names, fontsize=font)
    axes.set(xlabel="predicted", ylabel="true", title=_plain(cut_name(title, _WIDEST_TITLE)))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(labels) <= _MOST_CELLS_WITH_NUMBERS:
        for row, column in np.ndindex(*counts.shape):
            text = f"{counts[row, column]:,}\n{shares[row, column]:.1%}"
            color = "white" if shares[row, column] > 0.55 else _INK
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, label="share of the true class")
    bar.outline.set_visible(False)
    return figure


def draw_typicality(
    histograms: Mapping[str, np.ndarray], edges: np.ndarray, means: Mapping[str, float | None], labels: Sequence[str]
) -> Figure:
    """Draws the histograms of typicality, a panel for each domain, the classes as outlines.

    Args:
        histograms: Domain -> counts [M, bins].
        edges: The bins' edges, [bins + 1].
        means: Domain -> its mean typicality, marked by a dashed line; None for a domain without examples.
        labels: The M classes.

    Of many domains the largest are drawn, in their order.
    """
    from matplotlib.figure import Figure

    total = len(histograms)
    largest = sorted(histograms, key=lambda domain: -int(histograms[domain].sum()))[:_MOST_PANELS]
    histograms = {domain: counts for domain, counts in histograms.items() if domain in largest}
    columns = 1 if len(histograms) == 1 else 2
    rows = -(-len(histograms) // columns)
    figure = Figure(figsize=(4.8 * columns, 0.7 + 2.4 * rows), layout="constrained")
    titles = dict(zip(histograms, _shown(histograms), strict=True))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (domain, counts) in zip(panels, histograms.items(), strict=False):
        _draw_panel(axes, counts, edges, means[domain], f"{titles[domain] or 'all examples'}  ({int(counts.sum()):,})")
    for axes in panels[len(histograms) :]:
        axes.set_axis_off()
    # The lowest panel of each column carries the axis, also where the last row is not full.
    for column in range(columns):
        axes = panels[max(index for index in range(len(histograms)) if index % columns == column)]
        axes.set_xlabel("typicality")
        axes.tick_params(labelbottom=True)
    for axes in panels[::columns]:
        axes.set_ylabel("examples")
    if len(histograms) < total:
        figure.supxlabel(f"the {len(histograms)} largest of {total} domains", fontsize=10, color=_INK)
    handles, _ = panels[0].get_legend_handles_labels()
    if len(labels) <= _MOST_IN_LEGEND:
        names = [*_shown(labels), "mean"]
        room = figure.get_figwidth() / (10 * _INCHES_OF_A_LETTER * (8 + max(map(cell_len, names))))
        ncols = max(1, min(len(names), 6, int(room)))
        figure.legend(handles, names, loc="outside upper center", ncols=ncols, frameon=False)
    return figure


def _shown(names: Iterable[str]) -> list[str]:
    """Names of a width that can be laid out, each different from the others."""
    return [_plain(name) for name in cut_names(names).values()]


def _plain(name: str) -> str:
    """Keeps a dollar sign in a name from starting a formula."""
    return name.replace("$", "\\$")


def _draw_panel(axes: Axes, counts: np.ndarray, edges: np.ndarray, mean: float | None, title: str) -> None:
    for index, values in enumerate(counts):
        color = COLORS[index % len(COLORS)]
        axes.stairs(values, edges, fill=True, color=color, alpha=0.22)
        axes.stairs(values, edges, color=color, linewidth=1.6, label=str(index))
    # Drawn also for an empty domain (outside the axes' range it is not seen), so that the legend is whole.
    axes.axvline(np.nan if mean is None else mean, color=_INK, linewidth=1.2, linestyle=(0, (4, 3)), label="mean")
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.grid(axis="y", color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlim(edges[0], edges[-1])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0, colors=_INK)
