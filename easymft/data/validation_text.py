"""Shows a validation report as text."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from easymft.data.text_statistics import LengthSummary
from easymft.data.validation import SplitReport, ValidationReport
from easymft.names import cut_name, cut_names

_NO_EDGE = 1_000_000  # columns


def print_report(report: ValidationReport, console: Console) -> None:
    """Prints the report as tables that fit the console, and its warnings, a line each."""
    for split in report.splits:
        table = _counts(split)
        needed = console.measure(table, options=console.options.update(max_width=_NO_EDGE)).maximum
        # Of many classes a table would break over the console's edge; validation.json has all counts.
        console.print(table if needed <= console.width else _extremes(split))
    console.print(_lengths(report))
    for warning in report.warnings:
        console.print(f"Warning: {warning}", soft_wrap=True, markup=False, highlight=False)
    if not report.warnings:
        console.print("No warnings.")


def _table(split: SplitReport) -> Table:
    skipped = f", {split.skipped_rows:,} skipped" if split.skipped_rows else ""
    table = Table(title=f"{split.name}: {split.rows:,} rows{skipped}", title_justify="left")
    table.add_column("domain")
    return table


def _with_all(split: SplitReport) -> dict[str, dict[str, int]]:
    """Domain -> class -> rows, and "all" in the end where there are several domains."""
    labels = next(iter(split.counts.values()))
    rows = dict(split.counts)
    if len(rows) > 1:
        rows["all"] = {label: sum(cells[label] for cells in split.counts.values()) for label in labels}
    return rows


def _counts(split: SplitReport) -> Table:
    """A column for each class."""
    table = _table(split)
    labels = list(next(iter(split.counts.values())))
    for label in cut_names(labels).values():
        table.add_column(Text(label or "(no label)"), justify="right")
    if len(labels) > 1:
        table.add_column("all", justify="right")
    rows = _with_all(split)
    domains = cut_names(rows)
    for number, (domain, cells) in enumerate(rows.items()):
        if number == len(split.counts):
            table.add_section()
        figures = [*cells.values()] + ([sum(cells.values())] if len(labels) > 1 else [])
        table.add_row(Text(domains[domain] or "(none)"), *(f"{figure:,}" for figure in figures))
    return table


def _extremes(split: SplitReport) -> Table:
    """The number of classes, and the ones with the fewest and the most rows."""
    table = _table(split)
    for name in ("rows", "classes"):
        table.add_column(name, justify="right")
    table.add_column("fewest rows", overflow="ellipsis", no_wrap=True)
    table.add_column("most rows", overflow="ellipsis", no_wrap=True)
    rows = _with_all(split)
    domains = cut_names(rows)
    for number, (domain, cells) in enumerate(rows.items()):
        if number == len(split.counts):
            table.add_section()
        present = {label: count for label, count in cells.items() if count}
        ends = [min(present, key=present.get), max(present, key=present.get)] if present else []
        shown = [Text(f"{present[label]:,} {cut_name(label) or '(no label)'}") for label in ends] or ["", ""]
        counts = f"{sum(cells.values()):,}", f"{len(present):,} of {len(cells):,}"
        table.add_row(Text(domains[domain] or "(none)"), *counts, *shown)
    return table


def _lengths(report: ValidationReport) -> Table:
    table = Table(title="Lengths", title_justify="left")
    table.add_column("split")
    table.add_column("in")
    for name in ("mean", "50%", "90%", "95%", "99%", "longest", f"cut at {report.max_sequence_length}"):
        table.add_column(name, justify="right")
    for split in report.splits:
        table.add_row(split.name, "words", *_figures(split.words), "")
        if split.tokens is not None and split.share_cut is not None:
            table.add_row(split.name, "tokens", *_figures(split.tokens), f"{split.share_cut:.1%}")
    return table


def _figures(summary: LengthSummary) -> list[str]:
    return [f"{summary.mean:.1f}", *(f"{length:,}" for length in summary.percentiles.values()), f"{summary.longest:,}"]
