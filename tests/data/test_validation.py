"""The report of `--mode validate`."""

import io
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from easymft.config.data_section import DataConfig
from easymft.config.loading import load_config
from easymft.data.bad_rows import SkippedRows
from easymft.data.text_statistics import LengthCounter
from easymft.data.token_fit import TokenFit
from easymft.data.validation import validate_files
from easymft.data.validation_text import print_report
from easymft.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = {"text": 0, "domain": 1, "label": 2}
TRAIN = [
    ("one two", "books", "POS"),
    ("Three", "books", "NEG"),
    ("four words are here", "dvd", "POS"),
    ("e", "dvd", "NEG"),
]


def validate(folder, train=TRAIN, dev=(), test=(), pair=False, columns=COLUMNS, options=None, **settings):
    files = {}
    for name, rows in (("train", train), ("dev", dev), ("test", test)):
        if rows:
            (folder / f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
            files[f"{name}_files"] = [str(folder / f"{name}.tsv")]
    data = DataConfig.model_validate({"columns": columns} | files | settings)
    return validate_files(data, pair=pair, chunk_size=3, **(options or {}))


def counting(length, unknown=0):
    """Counts so many tokens of each text; of None, its words and two."""

    def count(texts, pairs):
        lengths = np.array([len(text.split()) + 2 if length is None else length for text in texts])
        return lengths, np.full(len(texts), unknown)

    return {"count_tokens": count}


def test_counts_and_lengths(tmp_path):
    report = validate(
        tmp_path,
        dev=[("z", "dvd", "NEG"), ("y", "books", "POS")],
        max_sequence_length=4,
        options=counting(None),
    )
    assert (report.labels, report.domains) == (["NEG", "POS"], ["books", "dvd"])
    train, dev = report.splits
    assert (train.name, train.rows, dev.name, dev.rows, train.skipped_rows) == ("train", 4, "dev", 2, 0)
    assert train.counts == {"books": {"NEG": 1, "POS": 1}, "dvd": {"NEG": 1, "POS": 1}}
    assert dev.counts == {"books": {"NEG": 0, "POS": 1}, "dvd": {"NEG": 1, "POS": 0}}
    assert asdict(train.words) == {"mean": 2, "percentiles": {"50": 1, "90": 4, "95": 4, "99": 4}, "longest": 4}
    assert (train.tokens.longest, train.fit, dev.fit) == (6, TokenFit(4, 1, 16, 0), TokenFit(2, 0, 6, 0))
    assert report.warnings == [
        "train: 1 of 4 rows (25%) have more than 4 tokens (data.max_sequence_length) and are cut.",
        "dev, domain 'books': no rows of the class 'NEG'.",
        "dev, domain 'dvd': no rows of the class 'POS'.",
    ]
    assert json.loads(json.dumps(asdict(report)))["splits"][0]["rows"] == 4


def test_percentiles_against_numpy():
    lengths = np.random.default_rng(0).geometric(0.01, 5000)
    counter = LengthCounter()
    for part in np.array_split(lengths, 7):
        counter.add(part)
    summary = counter.summary()
    for percent in (50, 90, 95, 99):
        assert summary.percentiles[str(percent)] == np.percentile(lengths, percent, method="inverted_cdf")
    assert summary.mean == pytest.approx(lengths.mean())


def test_duplicates_within_and_across_splits(tmp_path):
    train = [*TRAIN, ("ONE  two", "dvd", "NEG"), ("one two ", "dvd", "POS")]
    report = validate(tmp_path, train, dev=[("x", "dvd", "POS"), ("ONE TWO", "dvd", "POS")], test=[("X", "dvd", "NEG")])
    within, dev, test = report.duplicates
    assert (within.splits, within.count) == (("train", "train"), 2)
    path = str(tmp_path / "train.tsv")
    assert within.examples == [(path, 5, path, 1), (path, 6, path, 1)]
    assert (dev.splits, dev.count) == (("dev", "train"), 1)
    assert (test.splits, test.count) == (("test", "dev"), 1)
    assert f"dev: rows with the text of an earlier row of train: 1, the first is {tmp_path}/dev.tsv row 2" in "\n".join(
        report.warnings
    )


def test_pairs_are_the_same_only_as_a_whole(tmp_path):
    rows = [("a b", "c", "x", "POS"), ("a", "b c", "x", "NEG"), ("A b", "C", "x", "POS"), ("c", "a b", "x", "POS")]
    report = validate(tmp_path, rows, pair=True, columns={"text": 0, "text_pair": 1, "domain": 2, "label": 3})
    assert [(found.count, found.examples[0][1]) for found in report.duplicates] == [(1, 3)]
    assert report.splits[0].words.longest == 3 and report.splits[0].words.mean == 3


def test_warnings_of_cells_domains_and_cuts(tmp_path):
    train = [("a", "books", "POS"), ("b", "books", "NEG"), ("c", "dvd", "POS"), ("d", "dvd", "POS")]
    report = validate(tmp_path, train, dev=[("e", "dvd", "POS")])
    assert report.warnings == [
        "train, domain 'dvd': no rows of the class 'NEG'.",
        "dev, domain 'books': no rows; finetune with a model for each domain needs one.",
        "dev, domain 'dvd': no rows of the class 'NEG'.",
    ]
    one = validate(tmp_path, train[:2], options=counting(999))
    assert one.warnings == [
        "all rows are of the one domain 'books'; to corrupt domains (mft.preset paper) takes two.",
        "train: 2 of 2 rows (100%) have more than 128 tokens (data.max_sequence_length) and are cut.",
    ]
    assert validate(tmp_path, train[:2], columns={"text": 0, "label": 2}).warnings == []


def test_names_that_look_like_a_mistake(tmp_path):
    rows = [("a", "Books", "POS"), ("b", "books", "NEG")] * 5
    expected = "the domains 'Books' and 'books' differ in what is hard to see alone; are they one?"
    assert expected in validate(tmp_path, rows).warnings
    rows = [("a", "books", "POS"), ("b", "books", "NaN")] * 5
    assert "one of the classes is 'NaN', as programs write what is missing; is it a name?" in validate(
        tmp_path, rows
    ).warnings
    rows = [("a", "books", "POS"), ("b", "books", "NE\u200bG"), ("b", "dvd", "NEG")] * 5
    expected = r"the classes 'NEG' and 'NE\u200bG' differ in what is hard to see alone; are they one?"
    assert expected in validate(tmp_path, rows).warnings
    rows = [("a", "books", "POS"), ("b", "books", "N\x00")] * 5
    assert r"one of the classes is 'N\x00', with a character that cannot be seen." in validate(tmp_path, rows).warnings
    rows = [("a", "books", "POS"), ("b", "\u200b", "NEG")] * 5
    assert r"one of the domains is '\u200b', with a character that cannot be seen." in validate(tmp_path, rows).warnings
    rows = [("a", "books", "POS"), ("b", "books", "NEG")] * 5 + [("b", "books", "NGE")]
    found = [warning for warning in validate(tmp_path, rows).warnings if "single row" in warning]
    assert found == [
        "train: classes with a single row: 1 of 3, such as 'NGE'; check that data.columns.label is the column of the "
        "classes, and the spelling."
    ]
    assert not any("single row" in warning for warning in validate(tmp_path, rows[-3:]).warnings)


def test_all_splits_are_checked_against_the_train_files(tmp_path):
    with pytest.raises(DataError) as caught:
        validate(tmp_path, dev=[("a", "video", "POS")], test=[("a", "dvd", "MEH")])
    first, second = str(caught.value).split("\n")
    assert "dev.tsv: row 1, column 'domain': unknown domain 'video', expected one of books, dvd" in first
    assert "test.tsv: row 1, column 'label': unknown label 'MEH'" in second


def test_errors_of_train_and_dev_come_together(tmp_path):
    with pytest.raises(DataError) as caught:
        validate(tmp_path, [*TRAIN, ("short",)], dev=[("", "dvd", "POS")])
    first, second = str(caught.value).split("\n")
    assert "train.tsv: row 5: 1 field" in first and "dev.tsv: row 1, column 'text'" in second
    with pytest.raises(DataError, match="all \\[\\], expected files"):
        validate(tmp_path, train=())
    with pytest.raises(DataError, match="data.labels: 'MEH' never occurs"):
        validate(tmp_path, labels=["POS", "NEG", "MEH"])


def test_skipped_rows_are_counted_by_split(tmp_path):
    with SkippedRows(tmp_path / "skipped.tsv") as skipped:
        report = validate(
            tmp_path, [*TRAIN, ("short",)], dev=[("x", "dvd", "POS"), ("", "moon", "POS")], bad_rows="skip",
            options={"skipped_rows": skipped},
        )  # fmt: skip
    assert [split.skipped_rows for split in report.splits] == [1, 1]
    assert "train: bad rows skipped: 1." in report.warnings
    assert len((tmp_path / "skipped.tsv").read_text().splitlines()) == 4


@pytest.mark.parametrize("column", ["typicality", "weight", "id"])
def test_some_columns_are_needed_in_train_only(tmp_path, column):
    train = [(*row, f"0.{number}") for number, row in enumerate(TRAIN)]
    report = validate(tmp_path, train, dev=TRAIN[:1], test=TRAIN[1:], columns=COLUMNS | {column: 3})
    assert [split.rows for split in report.splits] == [4, 1, 3]


def test_new_domains_of_test_files_are_told(tmp_path):
    report = validate(tmp_path, test=[("a", "dvd", "POS"), ("b", "dvd", "NEG"), ("c", "attic", "NEG")])
    assert report.domains == ["books", "dvd", "attic"]
    assert report.splits[1].counts["attic"] == {"NEG": 1, "POS": 0}
    assert report.splits[0].counts["attic"] == {"NEG": 0, "POS": 0}
    first, *others = report.warnings
    assert first.startswith("test: 'attic': no domain of the train files; a model of all domains")
    assert others == ["test, domain 'books': no rows.", "test, domain 'attic': no rows of the class 'POS'."]


def render_report(report, width=200):
    console = Console(file=io.StringIO(), width=width)
    print_report(report, console)
    return console.file.getvalue()


def test_unlabelled_files_can_be_validated(tmp_path):
    report = validate(tmp_path, train=(), test=[("a", "x"), ("b", "y")], columns={"text": 0, "domain": 1})
    assert report.labels == [] and report.domains == ["x", "y"]
    assert report.splits[0].counts == {"x": {"": 1}, "y": {"": 1}}
    assert "(no label)" in render_report(report)


def test_rendered_report(tmp_path):
    report = validate(tmp_path, options=counting(130, unknown=13))
    text = render_report(report, width=80)
    assert max(len(line) for line in text.splitlines() if not line.startswith("Warning: ")) <= 80
    for part in ("train: 4 rows", "books", "NEG", "cut at 128 tokens", "100.0%", "10.0%", "[UNK]", "Warning: train: "):
        assert part in text
    quiet = render_report(validate(tmp_path))
    assert "No warnings." in quiet and "│ tokens" not in quiet


def test_many_classes_fit_a_narrow_terminal(tmp_path):
    rows = [(f"text {number}", "shop", f"class {number:02}") for number in range(30)]
    report = validate(tmp_path, train=[*rows, ("another", "shop", "class 07")])
    text = render_report(report, width=80)
    tables = [line for line in text.splitlines() if not line.startswith("Warning: ")]
    assert max(map(len, tables)) <= 80
    assert "│ shop   │   31 │ 30 of 30 │ 1 class 00  │ 2 class 07 │" in text
    assert "class 29" in render_report(report, width=500)


def test_needs_no_tensorflow():
    code = "import sys, easymft.data.validation_text; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("name", ["amazon", "mnli"])
def test_real_data(name):
    paths = {split: ROOT / "data" / name / f"{split}.tsv" for split in ("train", "dev", "test")}
    if absent := [str(path) for path in paths.values() if not path.exists()]:
        pytest.skip(f"{', '.join(absent)}: absent; docs/data.md says how to make them")
    data = load_config(ROOT / "configs" / name / "meta_tune.json").data
    for split, path in paths.items():
        setattr(data, f"{split}_files", [str(path)])
    report = validate_files(data, pair=name == "mnli")
    assert {split.name: split.rows for split in report.splits} == {
        split: path.read_bytes().count(b"\n") for split, path in paths.items()
    }
    # prepare_mnli.py keeps the copies that the published file of the test split holds.
    copies = "test: rows with the text of an earlier row of test:"
    assert [one for one in report.warnings if name == "amazon" or not one.startswith(copies)] == []
