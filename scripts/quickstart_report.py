"""Puts the test accuracy of several runs side by side, domain by domain.

Usage: python scripts/quickstart_report.py --output comparison.md "plain=runs/a/metrics.json" "MFT=runs/b/metrics.json"
"""

import argparse
import json
import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from easymft.evaluation.reports import comparison_markdown, comparison_table, print_table
from easymft.files import replacing

_NOTE = (
    'Here "{second}" is above "{first}" in {won} of {domains} domains and below in {lost}. One seed, {count} test rows '
    "a domain: a difference of less than about {noise:.0f} points in one row is within noise.",
    'Fine-tuning took the same rows, epochs, batch size, learning rate and seed in both columns, but "{second}" '
    "started from weights that had taken additional steps on the rows of all domains, and its domains were in the end "
    "moved halfway to their mean (train.average_domains). How much of a gain is due to typicality and domain "
    "corruption, and how much to those steps alone, the control two_stage_averaged tells (ordinary training on all "
    "domains, then the same fine-tuning); it is no part of this quickstart.",
)
_WIDTH = 100


def read_test_metrics(file: Path) -> dict[str, Any]:
    """Returns the test part of a run's metrics.json.

    Raises:
        ValueError: The file holds no test metrics.
        OSError: It cannot be read.
    """
    metrics = json.loads(file.read_text(encoding="utf-8"))
    if "test" not in metrics:
        raise ValueError(f"{file}: has {', '.join(metrics) or 'nothing'}, expected test metrics (set data.test_files)")
    return metrics["test"]


def describe(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Says how the table of two runs is to be read."""
    (first, ours), (second, theirs) = list(results.items())
    pairs = [(ours["by_domain"][name], theirs["by_domain"][name]) for name in ours["by_domain"]]
    won = sum(right["accuracy"] > left["accuracy"] for left, right in pairs)
    lost = sum(right["accuracy"] < left["accuracy"] for left, right in pairs)
    count = min(left["count"] for left, _ in pairs)
    share = ours["domain_average"]["accuracy"]
    # Two standard errors of one accuracy; that of a difference on the same rows is of the same size.
    noise = 200 * math.sqrt(max(share * (1 - share), 0.01) / count)
    values = {"first": first, "second": second, "won": won, "lost": lost, "domains": len(pairs)}
    paragraphs = (paragraph.format(**values, count=count, noise=noise) for paragraph in _NOTE)
    return "\n".join(textwrap.fill(paragraph, _WIDTH) for paragraph in paragraphs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table and writes it as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a Markdown file to write")
    parser.add_argument("runs", nargs=2, metavar="NAME=METRICS_FILE")
    options = parser.parse_args(arguments)
    try:
        named_files = (run.partition("=")[::2] for run in options.runs)
        results = {name: read_test_metrics(Path(file)) for name, file in named_files}
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    note = describe(results)
    print_table(comparison_table(results))
    print(note)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(options.output) as part:
        part.write_text(f"{comparison_markdown(results)}\n{note}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
