"""A typicality report as Markdown and as a picture."""

from collections.abc import Iterable
from pathlib import Path

from easymft.evaluation.markdown import escape_markdown
from easymft.evaluation.plots import draw_typicality, save_figure
from easymft.evaluation.typicality_report import ScoredText, Summary, TypicalityReport
from easymft.files import replacing

MARKDOWN_NAME, PICTURE_NAME = "typicality.md", "typicality.png"


def write_typicality_report(folder: str | Path, report: TypicalityReport) -> tuple[Path, Path]:
    """Writes typicality.md and typicality.png into `folder` and returns their paths."""
    markdown, picture = Path(folder) / MARKDOWN_NAME, Path(folder) / PICTURE_NAME
    histograms = dict(zip(report.domains, report.histograms, strict=True))
    means = {domain: report.summaries[domain, None].mean for domain in report.domains}
    save_figure(draw_typicality(histograms, report.edges, means, report.labels), picture)
    with replacing(markdown) as part:
        part.write_text(render_markdown(report), encoding="utf-8")
    return markdown, picture


def render_markdown(report: TypicalityReport) -> str:
    """Returns the whole report as Markdown."""
    parts = [
        "# Typicality\n",
        "How typical each training example is for its class, in its own domain and in the others.\n",
        f"![Histograms of typicality by domain]({PICTURE_NAME})\n",
        "## By domain and class\n",
        render_summaries(report),
    ]
    for kind, texts in (("Lowest", report.lowest), ("Highest", report.highest)):
        parts.append(f"## {kind} typicality\n")
        for label, found in texts.items():
            heading = "All classes" if label is None else f"Class {escape_markdown(label)}"
            parts += [f"### {heading}\n", render_texts(found) if found else "No examples.\n"]
    return "\n".join(parts)


def render_summaries(report: TypicalityReport) -> str:
    """Returns the table of counts, means, standard deviations and extremes by domain and class."""
    lines = ["| domain | class | examples | mean | sd | lowest | highest |", "|---|---|---:|---:|---:|---:|---:|"]
    single = len(report.domains) == 1
    for (domain, label), summary in report.summaries.items():
        if single and domain is None:
            continue
        names = [escape_markdown(name) if name else "all" for name in (domain, label)]
        cells = [*names, f"{summary.count:,}", *_numbers(summary)]
        if label is None or domain is None:
            cells = [f"**{cell}**" for cell in cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def render_texts(texts: Iterable[ScoredText]) -> str:
    """Returns a table of scored texts; also what TensorBoard's text page shows."""
    lines = ["| typicality | domain | class | example | text |", "|---:|---|---|---:|---|"]
    for found in texts:
        names = f"{escape_markdown(found.domain) or 'all'} | {escape_markdown(found.label)}"
        lines.append(f"| {found.typicality:.4f} | {names} | {found.row:,} | {escape_markdown(found.text)} |")
    return "\n".join(lines) + "\n"


def _numbers(summary: Summary) -> list[str]:
    values = (summary.mean, summary.deviation, summary.minimum, summary.maximum)
    return ["–" if value is None else f"{value:.4f}" for value in values]
