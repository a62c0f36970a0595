"""The summary of an experiment: everything that is made of its cells, in one call."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from easymft.errors import DataError
from easymft.evaluation.experiment.csv_files import write_cells_csv, write_table_csv
from easymft.evaluation.experiment.failures import read_failures
from easymft.evaluation.experiment.hparams import write_hparams
from easymft.evaluation.experiment.layout import render_latex, render_markdown
from easymft.evaluation.experiment.page import Picture, Pictures, render_page
from easymft.evaluation.experiment.plots import draw_differences, draw_few_shot_curves, draw_seed_spread
from easymft.evaluation.experiment.results import Group, choose_learning_rates, find_incomplete_rates, read_cells
from easymft.evaluation.experiment.tables import ResultTable, build_tables, with_names
from easymft.evaluation.experiment.words import table_title
from easymft.evaluation.plots import save_figure
from easymft.files import replacing
from easymft.names import cut_names

_PICTURES = ("few_shot_curves.png", "seed_spread_*.png", "differences_*.png")


def write_summary(
    folder: str | Path, selection_seeds: Sequence[int], rates: Mapping[Group, float | None] | None = None
) -> Path:
    """Sums up an experiment, with the chosen learning rate of each method alone in tables and pictures.

    A method without a chosen rate is in no table of that setting and amount, and the summary says so.

    Args:
        folder: Has cells/*.json and, where cells failed, failures/*.json. Gets summary/: index.html, table.md,
            table.csv, table.tex, cells.csv (every cell of every rate), the pictures, and hparams/ for TensorBoard.
            Each file is replaced as a whole, and pictures of an earlier summary that are not made anew are removed.
        selection_seeds: The seeds whose dev accuracy decides on learning rates.
        rates: (method, setting, amount) -> what the experiment has decided already; None: not to be decided, as a
            candidate failed. Of other methods in the folder all rates are compared; one of whose rates lacks cells of
            `selection_seeds` has no choice.

    Returns:
        The page, summary/index.html.

    Raises:
        DataError: There are no cells, a file is not valid, no learning rate at all can be chosen, or test items
            differ.
        ValueError: `selection_seeds` is empty.
    """
    cells, failures, rates = read_cells(folder), read_failures(folder), rates or {}
    others = [cell for cell in cells if cell.group not in rates]
    incomplete = find_incomplete_rates(others, selection_seeds)
    chosen = {group: rate for group, rate in rates.items() if rate is not None}
    others = [cell for cell in others if cell.group not in incomplete]
    chosen |= choose_learning_rates(others, selection_seeds)
    left_out = [f"{' / '.join(group)}: no result of a learning rate" for group, rate in rates.items() if rate is None]
    left_out += [line for lines in incomplete.values() for line in lines]
    if not chosen:
        raise DataError("\n".join(left_out))
    tables = build_tables([cell for cell in cells if cell.group in chosen], chosen)
    summary = Path(folder) / "summary"
    write_cells_csv(summary / "cells.csv", cells, chosen)
    write_table_csv(summary / "table.csv", tables)
    # The rest is to be looked at.
    found = [*cells, *failures]
    methods, domains = (cut_names(sorted({getattr(one, name) for one in found})) for name in ("method", "domain"))
    tables = [with_names(table, methods, domains) for table in tables]
    cells, failures = (
        [replace(one, method=methods[one.method], domain=domains[one.domain]) for one in every]
        for every in (cells, failures)
    )
    pictures = _draw_pictures(tables, summary)
    _write_text(summary / "table.md", render_markdown(tables, left_out))
    _write_text(summary / "table.tex", render_latex(tables, left_out))
    write_hparams(summary / "hparams", cells)
    _write_text(summary / "index.html", render_page(cells, tables, failures, pictures, left_out))
    return summary / "index.html"


def _draw_pictures(tables: Sequence[ResultTable], summary: Path) -> Pictures:
    caption = "Average test accuracy by amount of data, mean and ±1 standard deviation over seeds."
    overall = _save(summary, [("few_shot_curves.png", draw_few_shot_curves(tables), caption)])
    by_table = {
        (table.setting, table.amount): _save(summary, _draw_table(table, name))
        for table, name in zip(tables, _file_names(tables), strict=True)
    }
    made = {picture.name for found in (overall, *by_table.values()) for picture in found}
    for file in [file for pattern in _PICTURES for file in summary.glob(pattern) if file.name not in made]:
        file.unlink()
    return Pictures(overall, by_table)


def _draw_table(table: ResultTable, name: str) -> Iterator[tuple[str, Figure | None, str]]:
    """The pictures of one table: file, figure, caption."""
    title = table_title(table)
    for baseline in table.baselines[:1]:
        caption = f"{title}: difference of each method to {baseline}, with its 95% interval over test items."
        yield f"differences_{name}.png", draw_differences(table, baseline), caption
    yield f"seed_spread_{name}.png", draw_seed_spread(table), f"{title}: average accuracy of each seed, and means."


def _save(summary: Path, figures: Iterable[tuple[str, Figure | None, str]]) -> list[Picture]:
    pictures = []
    for name, figure, caption in figures:
        if figure is not None:
            save_figure(figure, summary / name)
            pictures.append(Picture(name, (summary / name).read_bytes(), caption))
    return pictures


def _file_names(tables: Sequence[ResultTable]) -> list[str]:
    """A name for each table, such as "few_both_5_percent"; a number tells apart what would be the same."""
    names: list[str] = []
    for table in tables:
        words = f"{table.setting}_{table.amount}".lower().replace("%", " percent")
        name = re.sub(r"[^a-z0-9.]+", "_", words).strip("_.")
        names.append(f"{name}_{len(names) + 1}" if name in names else name)
    return names


def _write_text(file: Path, text: str) -> None:
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")
