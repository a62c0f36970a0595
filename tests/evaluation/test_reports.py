import io
import json

import numpy as np
import pytest
from rich.console import Console

from easymft.evaluation.metrics import DomainMetrics
from easymft.evaluation.reports import (
    comparison_markdown,
    comparison_rows,
    comparison_table,
    metrics_table,
    print_table,
    tell_never_predicted,
    write_metrics,
)
from easymft.files import replacing


def result_of(*right_by_domain, domains=("books", "dvd")):
    """Metrics with so many of four examples right in each domain."""
    metrics = DomainMetrics(("NEG", "POS"), domains)
    for domain, right in enumerate(right_by_domain):
        for index in range(4):
            metrics.update([1], [[0.0, 1.0 if index < right else -1.0]], [domain])
    return metrics.result()


def shown(table):
    stream = io.StringIO()
    print_table(table, Console(file=stream, width=200))
    return stream.getvalue()


def test_metrics_file(tmp_path):
    file = tmp_path / "new" / "metrics.json"
    write_metrics(file, result_of(4, 2))
    write_metrics(file, {**result_of(3), "note": "±"})
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["by_domain"]["books"]["accuracy"] == 0.75
    assert content["note"] == "±"
    assert [path.name for path in file.parent.iterdir()] == ["metrics.json"]


def test_metrics_file_is_whole_or_as_before(tmp_path):
    file = tmp_path / "metrics.json"
    write_metrics(file, {"a": 1})
    with pytest.raises(ValueError):
        write_metrics(file, {"a": float("nan")})
    with pytest.raises(KeyError), replacing(file) as part:
        part.write_text("half")
        raise KeyError("stopped")
    assert json.loads(file.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_table_of_one_result():
    lines = shown(metrics_table(result_of(4, 2), title="test")).splitlines()
    rows = {line.split("│")[1].strip(): line for line in lines if line.count("│") > 2}
    assert "100.00%" in rows["books"]
    assert "50.00%" in rows["dvd"]
    assert "75.00%" in rows["average of domains"]
    assert "75.00%" in rows["all examples"] and " 8 " in rows["all examples"]


def test_table_without_domains_or_examples():
    text = shown(metrics_table(result_of(4, domains=("",))))
    assert "all examples" in text and "average" not in text
    assert "–" in shown(metrics_table(result_of(4)))


def test_names_in_brackets_are_names():
    text = shown(metrics_table(result_of(4, 2, domains=("[news]", "[/news]")), title="[bold]"))
    assert "[news]" in text and "[/news]" in text and "[bold]" in text
    results = {"[red]": result_of(4, 2, domains=("[news]", "b"))}
    assert "[news]" in shown(comparison_table(results)) and "[red]" in shown(comparison_table(results))


def test_comparison():
    results = {"plain": result_of(2, 3), "from MFT": result_of(4, 3)}
    assert comparison_rows(results) == {
        "books": [0.5, 1.0],
        "dvd": [0.75, 0.75],
        "average of domains": [0.625, 0.875],
    }
    assert comparison_markdown(results) == (
        "| domain (accuracy) | plain | from MFT |\n"
        "|---|---:|---:|\n"
        "| books | 50.00% | **100.00%** |\n"
        "| dvd | **75.00%** | **75.00%** |\n"
        "| average of domains | 62.50% | **87.50%** |\n"
    )
    text = shown(comparison_table(results))
    assert "accuracy by domain" in text and "from MFT" in text and "87.50%" in text


def test_comparison_by_loss_takes_the_smallest_and_bears_gaps():
    results = {"a|b": result_of(2, 3), "c": result_of(4, domains=("books",))}
    rows = comparison_rows(results, "loss")
    assert rows["dvd"][1] is None
    text = comparison_markdown(results, "loss")
    assert "a\\|b" in text
    books = text.splitlines()[2].split("|")
    assert "**" not in books[2] and "**" in books[3]
    assert text.splitlines()[3].endswith("| – |")


def test_comparison_without_domains_has_one_row():
    assert comparison_rows({"x": result_of(3, domains=("",))}) == {"all examples": [0.75]}


def test_classes_that_are_never_predicted_are_told():
    metrics = DomainMetrics(["neg", "neutral", "pos"], ["books", "dvd"])
    always_pos = np.tile([0.0, 0.0, 1.0], [6, 1])
    metrics.update(np.array([0, 2, 2, 2, 2, 2]), always_pos, np.array([0, 0, 0, 1, 1, 1]))
    line = tell_never_predicted(metrics.result(), "test files")
    assert line == "test files: never predicted: 'neg' of domain 'books' (1 of 3 rows)"
    metrics.update(np.array([0, 1, 0, 1]), always_pos[:4], np.array([1, 1, 0, 0]))
    line = tell_never_predicted(metrics.result(), "dev files")
    assert line.startswith("dev files: never predicted: 'neg' of domain 'books' (2 of 5 rows), ")
    assert line.endswith(" and 1 more")
    metrics = DomainMetrics(["neg", "pos"], [""])
    metrics.update(np.array([0, 1]), np.eye(2), np.array([0, 0]))
    assert tell_never_predicted(metrics.result(), "test files") is None


def test_long_names_are_cut_and_stay_different():
    names = ("x" * 300 + "1", "x" * 300 + "2")
    result = result_of(4, 2, domains=names)
    cut = [f"{'x' * 26}…{'x' * 12}{number}" for number in (1, 2)]
    assert list(result["by_domain"]) == list(names)  # the file has them whole
    for text in (
        shown(metrics_table(result)),
        shown(comparison_table({"m" * 300: result, "n": result})),
        comparison_markdown({"m" * 300: result, "n": result}),
    ):
        assert "x" * 27 not in text and all(name in text for name in cut)
    assert "m" * 39 + "…" in comparison_markdown({"m" * 300: result, "n": result})
