"""Metrics as files and as tables to read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from easymft.evaluation.markdown import escape_markdown, markdown_row
from easymft.files import replacing
from easymft.names import cut_name, cut_names
from easymft.progress import plain_console

_MOST_NAMED = 3
_TITLES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "loss": "loss"}


def write_metrics(file: str | Path, result: Mapping[str, Any]) -> None:
    """Writes a `DomainMetrics.result()`, with whatever was added to it, as JSON.

    Raises:
        ValueError: A number in it is not finite, which JSON cannot hold.
    """
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(file) as part:
        part.write_text(text + "\n", encoding="utf-8")


def metrics_table(result: Mapping[str, Any], title: str | None = None) -> Table:
    """Lays out a `DomainMetrics.result()`: a row for each domain, their average, and all examples together."""
    table = Table(title=title and escape(title))
    table.add_column("domain")
    for heading in ("examples", *_TITLES.values()):
        table.add_column(heading, justify="right")
    named = {name: metrics for name, metrics in result["by_domain"].items() if name}
    shown = cut_names(named)
    for name, metrics in named.items():
        table.add_row(escape(shown[name]), str(metrics["count"]), *_cells(metrics))
    if len(named) > 1:
        table.add_section()
        table.add_row("average of domains", "", *_cells(result["domain_average"]))
    table.add_row("all examples", str(result["overall"]["count"]), *_cells(result["overall"]), style="bold")
    return table


def tell_never_predicted(result: Mapping[str, Any], title: str) -> str | None:
    """Returns a line on the classes that a domain has rows of and that are predicted for none of its rows.

    Accuracy may look good then, where such a class is rare.

    Args:
        result: A `DomainMetrics.result()`.
        title: What was measured, such as "test files".

    Returns:
        The line; None where every class is predicted.
    """
    found = []
    for domain, metrics in result["by_domain"].items():
        predicted = [sum(column) for column in zip(*metrics["confusion_matrix"], strict=True)]
        for count, (label, of_label) in zip(predicted, metrics["by_label"].items(), strict=True):
            if of_label["count"] and not count:
                place = f" of domain {cut_name(domain)!r}" if domain else ""
                found.append(f"{cut_name(label)!r}{place} ({of_label['count']:,} of {metrics['count']:,} rows)")
    if not found:
        return None
    more = f" and {len(found) - _MOST_NAMED:,} more" if len(found) > _MOST_NAMED else ""
    return f"{title}: never predicted: {', '.join(found[:_MOST_NAMED])}{more}"


def comparison_rows(
    results: Mapping[str, Mapping[str, Any]], metric: str = "accuracy"
) -> dict[str, list[float | None]]:
    """Puts one metric of several methods side by side.

    Args:
        results: Method -> its `DomainMetrics.result()`.
        metric: "accuracy", "macro_f1" or "loss".

    Returns:
        Domain -> its value under each method, in the order of `results`; then "average of domains" (where there are
        several). None where a method has no such domain or no examples of it.
    """
    domains = list(dict.fromkeys(name for result in results.values() for name in result["by_domain"]))
    rows = {
        name or "all examples": [result["by_domain"].get(name, {}).get(metric) for result in results.values()]
        for name in domains
    }
    if len(domains) > 1:
        rows["average of domains"] = [result["domain_average"][metric] for result in results.values()]
    return rows


def comparison_table(results: Mapping[str, Mapping[str, Any]], metric: str = "accuracy") -> Table:
    """Lays out `comparison_rows`, the best value of each row in bold."""
    table = Table(title=f"{_TITLES[metric]} by domain")
    table.add_column("domain")
    for method in cut_names(results).values():
        table.add_column(escape(method), justify="right")
    rows = comparison_rows(results, metric)
    shown = cut_names(rows)
    for name, values in rows.items():
        if name == "average of domains":
            table.add_section()
        best = _best(values, metric)
        figures = (f"[bold]{_shown(v, metric)}[/bold]" if v == best else _shown(v, metric) for v in values)
        table.add_row(escape(shown[name]), *figures)
    return table


def comparison_markdown(results: Mapping[str, Mapping[str, Any]], metric: str = "accuracy") -> str:
    """Returns `comparison_rows` as a Markdown table, the best value of each row in bold."""
    headings = [f"domain ({_TITLES[metric]})", *map(escape_markdown, cut_names(results).values())]
    lines = [markdown_row(headings), "|---|" + "---:|" * len(results)]
    rows = comparison_rows(results, metric)
    shown = cut_names(rows)
    for name, values in rows.items():
        best = _best(values, metric)
        cells = [f"**{_shown(v, metric)}**" if v is not None and v == best else _shown(v, metric) for v in values]
        lines.append(markdown_row([escape_markdown(shown[name]), *cells]))
    return "\n".join(lines) + "\n"


def print_table(table: Table, console: Console | None = None) -> None:
    """Prints a table on the screen, or on `console`; as wide as it needs where the output is no screen."""
    (console or plain_console()).print(table)


def _cells(metrics: Mapping[str, Any]) -> list[str]:
    return [_shown(metrics[name], name) for name in _TITLES]


def _shown(value: float | None, metric: str) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if metric == "loss" else f"{100 * value:.2f}%"


def _best(values: Sequence[float | None], metric: str) -> float | None:
    present = [value for value in values if value is not None]
    if len(present) < 2:
        return None
    return min(present) if metric == "loss" else max(present)
