"""An experiment as one HTML page that stands alone: verdicts, tables, pictures and failures."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from easymft.evaluation.experiment.failures import CellFailure
from easymft.evaluation.experiment.layout import EXPLANATION, LEFT_OUT, lay_out
from easymft.evaluation.experiment.results import CellResult
from easymft.evaluation.experiment.style import STYLE
from easymft.evaluation.experiment.tables import ResultTable
from easymft.evaluation.experiment.words import (
    best_row,
    count_beyond_noise,
    headline,
    shown_count,
    shown_points,
    shown_rate,
    table_notes,
    table_title,
    verdicts,
)

_NOISE = (
    "There are two kinds of noise. Other seeds would give other numbers: the t-test is about these. Other test items "
    "would, too: the 95% interval is about those. A difference is called beyond noise where p < 0.05 and the interval "
    "leaves out zero."
)


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: Of the file it is also in.
        png: The content of the file.
        caption: What is to be seen, in one sentence; also for those who cannot see it.
    """

    name: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class Pictures:
    """All figures of the page.

    Attributes:
        overall: Those of all tables.
        by_table: (setting, amount) -> those of one.
    """

    overall: Sequence[Picture] = ()
    by_table: Mapping[tuple[str, str], Sequence[Picture]] = field(default_factory=dict)


def render_page(
    cells: Sequence[CellResult],
    tables: Sequence[ResultTable],
    failures: Sequence[CellFailure],
    pictures: Pictures | None = None,
    left_out: Sequence[str] = (),
) -> str:
    """Returns the page as HTML: style and pictures inside, nothing to fetch, no scripts.

    Args:
        cells: Of all learning rates, for the counts at the top, and to tell which failures have a result since.
        tables: As `build_tables` returns them.
        failures: To list.
        pictures: Beside the tables.
        left_out: What is in no table, and why, a line each.
    """
    pictures = pictures or Pictures()
    parts = [
        "<header><h1>Methods, domains, amounts of data, seeds</h1>",
        f'<p class="faint">{escape(_counts(cells, failures))}</p></header>',
        "<main>",
        f"<p>{escape(_NOISE)}</p>",
        f'<p class="faint">{escape(EXPLANATION)}</p>',
        "<h2>Overview</h2>",
        _render_overview(tables),
        f"<p>{escape(LEFT_OUT)}</p><ul>{_items(left_out)}</ul>" if left_out else "",
        *map(_render_picture, pictures.overall),
    ]
    for number, table in enumerate(tables, start=1):
        parts.append(_render_section(table, number, pictures.by_table.get((table.setting, table.amount), ())))
    parts += ['<h2 id="failures">Failures</h2>', _render_failures(failures, cells), "</main><footer></footer>"]
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Experiment</title>\n<style>{STYLE}</style>\n</head>\n<body>"
    )
    return "\n".join([head, *parts, "</body>\n</html>\n"])


def _counts(cells: Sequence[CellResult], failures: Sequence[CellFailure]) -> str:
    counts = [shown_count(len({getattr(cell, name) for cell in cells}), name) for name in ("method", "domain", "seed")]
    hours = sum(cell.seconds for cell in cells) / 3600
    results = [shown_count(len(cells), "result"), *counts, shown_count(len(failures), "failure")]
    return f"{', '.join(results)}; {hours:.1f} hours in all."


def _render_overview(tables: Sequence[ResultTable]) -> str:
    """A line for each table, with a link to it."""
    headings = ["data", "highest average", "compared with", "above", "below", "unclear", "seeds"]
    lines = []
    for number, table in enumerate(tables, start=1):
        best = best_row(table)
        texts = [f"{best.method}, {shown_points(best.average.mean)}%" if best else "–"]
        counts = count_beyond_noise(table, table.baselines[0]) if table.baselines else ("–", "–", "–")
        texts += [*(table.baselines[:1] or ["–"]), *map(str, counts), str(len(table.seeds))]
        link = f'<th scope="row"><a href="#table-{number}">{escape(table_title(table))}</a></th>'
        lines.append(link + "".join(f"<td>{escape(text)}</td>" for text in texts))
    return _frame([f'<th scope="col">{heading}</th>' for heading in headings], lines, "Overview")


def _render_section(table: ResultTable, number: int, pictures: Iterable[Picture]) -> str:
    title = escape(table_title(table))
    parts = [f'<h2 id="table-{number}">{title}</h2>', f"<p>{escape(headline(table))}</p>", _render_table(table)]
    parts.append(f'<ul class="notes">{_items(table_notes(table))}</ul>')
    sentences = verdicts(table)
    if sentences:
        parts.append(f"<h3>What the differences say</h3>\n<ul>{_items(sentences)}</ul>")
    return "\n".join([*parts, *map(_render_picture, pictures)])


def _render_table(table: ResultTable) -> str:
    headings, rows = lay_out(table)
    lines = []
    for name, *cells in rows:
        tags = []
        for cell in cells:
            detail = f"<br><small>{escape(cell.detail)}</small>" if cell.detail else ""
            tags.append(f"<td{' class=best' if cell.best else ''}>{escape(cell.text)}{detail}</td>")
        lines.append(f'<th scope="row">{escape(name.text)}</th>{"".join(tags)}')
    return _frame([f'<th scope="col">{escape(text)}</th>' for text in headings], lines, table_title(table))


def _render_failures(failures: Sequence[CellFailure], cells: Iterable[CellResult]) -> str:
    if not failures:
        return "<p>No cell failed.</p>"
    done = {cell.key for cell in cells}
    lines = []
    for failure in failures:
        texts = (failure.setting, failure.amount, failure.domain, str(failure.seed), shown_rate(failure.learning_rate))
        tags = "".join(f"<td class=text>{escape(text)}</td>" for text in texts)
        later = "yes" if failure.key in done else "no"
        error = f"<td class=error>{escape(failure.error)}</td>"
        lines.append(f'<th scope="row">{escape(failure.method)}</th>{tags}<td class=text>{later}</td>{error}')
    headings = ("method", "setting", "amount", "domain", "seed", "learning rate", "result since", "error")
    return _frame([f'<th scope="col" class=text>{heading}</th>' for heading in headings], lines, "Failures")


def _frame(headings: Iterable[str], rows: Iterable[str], title: str) -> str:
    """A table that can be scrolled sideways where the screen is narrow, also by keyboard."""
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(title)}"><table>\n'
        f"<thead><tr>{''.join(headings)}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _render_picture(picture: Picture) -> str:
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode('ascii')}"
    caption = escape(picture.caption)
    return f'<figure><img alt="{caption}" src="{source}"><figcaption>{caption}</figcaption></figure>'


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)
