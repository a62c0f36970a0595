"""Pictures of an experiment: few-shot curves, the spread over seeds, and differences to a baseline."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from easymft.evaluation.experiment.layout import shown_score
from easymft.evaluation.experiment.tables import BASELINES, Comparison, MethodRow, ResultTable, amount_order
from easymft.evaluation.experiment.words import SETTING_TITLES, is_beyond_noise, shown_p, shown_points, table_title
from easymft.evaluation.palette import COLORS, MARKERS

_LINES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
_MOST_IN_BANDS = 6
_INK, _FAINT, _GRID = "#2B2F33", "#6B7280", "#E3E6EA"
_ABOVE, _BELOW = "#0072B2", "#D55E00"
_COLUMNS = (10, 50, 134)  # where numbers beside a line begin, in points (1/72 inch)
_STYLE = {
    "text.parse_math": False,  # a dollar sign in a name starts no formula
    "font.size": 10.5,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#B6BCC4",
    "axes.titlesize": 11.5,
    "axes.titlepad": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class MethodStyle:
    """How a method looks in every picture of an experiment."""

    color: str
    marker: str
    line: str | tuple


def method_styles(tables: Sequence[ResultTable]) -> dict[str, MethodStyle]:
    """Returns method -> its style, the same whatever methods a single table lacks."""
    names = list(dict.fromkeys(row.method for table in tables for row in table.rows))
    return {
        name: MethodStyle(
            COLORS[index % len(COLORS)],
            MARKERS[index % len(MARKERS)],
            _LINES[index // len(COLORS) % len(_LINES)],
        )
        for index, name in enumerate(names)
    }


@rc_context(_STYLE)
def draw_few_shot_curves(tables: Sequence[ResultTable]) -> Figure | None:
    """Draws average test accuracy by amount of data: mean and a band of ±1 standard deviation over seeds.

    There is a panel for each setting with more than one amount; None where there is none. Of many methods the marks
    stand side by side at each amount, with a bar of ±1 standard deviation each.
    """
    by_setting: dict[str, list[ResultTable]] = {}
    for table in sorted(tables, key=lambda table: amount_order(table.amount)):
        by_setting.setdefault(table.setting, []).append(table)
    panels = {setting: by_setting[setting] for setting in SETTING_TITLES if len(by_setting.get(setting, ())) > 1}
    if not panels:
        return None
    styles = method_styles([table for found in panels.values() for table in found])
    crowded = len(styles) > _MOST_IN_BANDS
    size = (8.4, 4.4 * len(panels)) if crowded else (0.6 + 4.2 * len(panels), 4.4)
    figure = Figure(figsize=(size[0] + _legend_width(styles), size[1]), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08)
    shape = (len(panels), 1) if crowded else (1, len(panels))
    for axes, (setting, found) in zip(figure.subplots(*shape, squeeze=False).flat, panels.items(), strict=True):
        _draw_curves(axes, found, styles, crowded)
        axes.set_title(SETTING_TITLES[setting])
        if crowded or axes is figure.axes[0]:
            axes.set_ylabel("average test accuracy (%)")
    handles = {name: line for axes in figure.axes for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    shown = [name for name in styles if name in handles]
    place = "outside right upper" if crowded else "outside right center"
    figure.legend([handles[name] for name in shown], shown, loc=place, handlelength=3.0, labelspacing=0.7)
    return figure


@rc_context(_STYLE)
def draw_seed_spread(table: ResultTable) -> Figure | None:
    """Draws the average accuracy of each seed, a line of dots for each method and a bar at its mean, best on top.

    The baselines have a colour of their own. None where no method has an average.
    """
    rows = sorted((row for row in table.rows if row.average), key=lambda row: row.average.mean)
    if not rows:
        return None
    figure, axes = _rows_figure(table, rows, f"{table_title(table)} – spread over seeds")
    for place, row in enumerate(rows):
        values = 100 * np.array(list(row.averages.values()))
        color = _BELOW if row.method in BASELINES else _ABOVE
        # Seeds that score alike would hide each other: they are spread a little across the line.
        offsets = np.linspace(-0.14, 0.14, len(values)) if len(values) > 1 else np.zeros(1)
        axes.scatter(values, place + offsets, s=34, color=color, alpha=0.7, linewidth=0, zorder=3)
        mean = 100 * row.average.mean
        axes.plot([mean, mean], [place - 0.33, place + 0.33], color=_INK, linewidth=2.2, zorder=4)
        _write_beside(axes, place, shown_score(row.average))
    axes.set_xlabel("average test accuracy (%); a dot for each seed, a bar at their mean")
    return figure


@rc_context(_STYLE)
def draw_differences(table: ResultTable, baseline: str) -> Figure | None:
    """Draws each method's difference to `baseline` with its interval over test items, the largest on top.

    Small dots are the differences of single seeds; a filled mark is a difference beyond the noise of both. None
    where no method was compared.
    """
    rows = [row for row in table.rows if row.comparisons.get(baseline)]
    if not rows:
        return None
    rows.sort(key=lambda row: row.comparisons[baseline].difference)
    figure, axes = _rows_figure(table, rows, f"{table_title(table)} – difference to {baseline}")
    axes.axvline(0.0, color=_INK, linewidth=1.1, zorder=1)
    for place, row in enumerate(rows):
        _draw_difference(axes, place, row.comparisons[baseline])
    for shift, heading in zip(_COLUMNS, ("points", "95% interval", "t-test"), strict=True):
        _write_beside(axes, len(rows) - 0.35, heading, shift, color=_FAINT)
    axes.set_xlabel("points; bar: 95% interval over test items; small dots: seeds; filled: beyond noise")
    return figure


def _legend_width(names: Iterable[str]) -> float:
    """Inches that a legend of these names takes."""
    return 0.9 + 0.085 * max(map(len, names))


def _draw_curves(axes: Axes, tables: Sequence[ResultTable], styles: Mapping[str, MethodStyle], crowded: bool) -> None:
    shifts = np.linspace(-0.36, 0.36, len(styles)) if crowded else np.zeros(len(styles))
    for shift, (method, style) in zip(shifts, styles.items(), strict=True):
        rows = [next((row for row in table.rows if row.method == method), None) for table in tables]
        scores = [row.average if row else None for row in rows]
        if not any(scores):
            continue
        means = 100 * np.array([score.mean if score else np.nan for score in scores])
        spread = 100 * np.array([(score.deviation or 0.0) if score else np.nan for score in scores])
        places = np.arange(len(tables)) + shift
        if crowded:
            axes.plot(places, means, color=style.color, linestyle=style.line, linewidth=0.9, alpha=0.35, zorder=2)
            axes.errorbar(places, means, spread, color=style.color, linestyle="none", elinewidth=1.4, zorder=3)
        else:
            axes.fill_between(places, means - spread, means + spread, color=style.color, alpha=0.13, linewidth=0)
        line = {"linestyle": "none"} if crowded else {"linestyle": style.line, "linewidth": 1.9}
        axes.plot(places, means, color=style.color, marker=style.marker, markersize=6.5, zorder=4, label=method, **line)
    names = [table.amount for table in tables]
    slanted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(tables)), names, **slanted if max(map(len, names)) * len(names) > 50 else {})
    margin = 0.5 if crowded else 0.3
    axes.set_xlim(-margin, len(tables) - 1 + margin)
    if crowded:
        axes.tick_params(axis="x", length=0)
        for border in range(len(tables) - 1):
            axes.axvline(border + 0.5, color=_GRID, linewidth=0.8, zorder=0)
    axes.set_xlabel("labelled data to fine-tune on")
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _rows_figure(table: ResultTable, rows: Sequence[MethodRow], title: str) -> tuple[Figure, Axes]:
    """A figure with a line for each row, from below, its name to the left and room for numbers to the right."""
    figure = Figure(figsize=(7.6 + _legend_width([row.method for row in rows]), 1.3 + 0.40 * len(rows)))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    axes.set_yticks(range(len(rows)), [row.method for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_title(title)
    return figure, axes


def _draw_difference(axes: Axes, place: int, comparison: Comparison) -> None:
    if comparison.low <= 0.0 <= comparison.high:
        color = _FAINT
    else:
        color = _ABOVE if comparison.difference > 0 else _BELOW
    axes.plot([100 * comparison.low, 100 * comparison.high], [place, place], color=color, linewidth=2.4, zorder=2)
    seeds = 100 * np.array(list(comparison.by_seed.values()))
    axes.scatter(seeds, np.full(len(seeds), place - 0.24), s=11, color=color, alpha=0.6, linewidth=0, zorder=2)
    fill = color if is_beyond_noise(comparison) else "white"
    axes.scatter(
        100 * comparison.difference, place, s=62, color=fill, edgecolor=color, linewidth=1.8, marker="D", zorder=3
    )
    texts = (
        shown_points(comparison.difference, signed=True),
        f"{shown_points(comparison.low)} to {shown_points(comparison.high)}",
        "–" if comparison.p_value is None else shown_p(comparison.p_value),
    )
    for shift, text in zip(_COLUMNS, texts, strict=True):
        _write_beside(axes, place, text, shift)


def _write_beside(axes: Axes, place: float, text: str, shift: float = 10, color: str = _INK) -> None:
    """Writes to the right of a line, outside the data and `shift` points (1/72 inch) from it."""
    at, look = ("axes fraction", "data"), {"va": "center", "fontsize": 9.5, "color": color}
    axes.annotate(text, (1.0, place), (shift, 0), at, "offset points", **look)
