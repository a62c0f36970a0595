"""Shows a validation report as text."""

import io

from rich.console import Console, RenderableType
from rich.table import Table

from easymft.data.text_statistics import LengthSummary
from easymft.data.validation import SplitReport, ValidationReport
from easymft.names import cut_names


def render_report(report: ValidationReport, width: int = 110) -> str:
    """Returns the report as plain text of tables, `width` characters wide."""
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False)
    for part in report_tables(report):
        console.print(part)
    return console.file.getvalue()


def report_tables(report: ValidationReport) -> list[RenderableType]:
    """Returns the report as rich tables and lines."""
    parts: list[RenderableType] = [_counts(split) for split in report.splits]
    parts.append(_lengths(report))
    if not report.warnings:
        parts.append("No warnings.")
    parts += [f"Warning: {warning}" for warning in report.warnings]
    return parts


def _counts(split: SplitReport) -> Table:
    skipped = f", {split.skipped_rows:,} skipped" if split.skipped_rows else ""
    table = Table(title=f"{split.name}: {split.rows:,} rows{skipped}", title_justify="left")
    labels = list(next(iter(split.counts.values())))
    table.add_column("domain")
    for label in cut_names(labels).values():
        table.add_column(label or "(no label)", justify="right")
    if len(labels) > 1:
        table.add_column("all", justify="right")
    rows = dict(split.counts)
    if len(rows) > 1:
        rows["all"] = {label: sum(cells[label] for cells in split.counts.values()) for label in labels}
    shown = cut_names(rows)
    for number, (domain, cells) in enumerate(rows.items()):
        if number == len(split.counts):
            table.add_section()
        figures = [*cells.values()] + ([sum(cells.values())] if len(labels) > 1 else [])
        table.add_row(shown[domain] or "(none)", *(f"{figure:,}" for figure in figures))
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
