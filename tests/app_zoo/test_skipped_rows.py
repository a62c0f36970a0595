"""What each mode says of skipped rows, at its end."""

import csv

import pytest


@pytest.fixture
def with_bad_rows(project):
    """Two bad rows among the train rows, one of the dev rows, none of the test rows; bad rows are skipped."""
    for name, rows in (("train", (3, 7)), ("dev", (5,))):
        for row in rows:
            project.change(f"{name}.tsv", row, lambda line: b"\t" + line.split(b"\t", 1)[1])
    project.set("data.bad_rows", "skip")
    return project


def told(said):
    return [line for line in said.splitlines() if line.startswith("skipped rows")]


TRAIN = "skipped rows: 2 of 48 in the train files, listed in @/run/skipped_rows_train.tsv"
DEV = "skipped rows: 1 of 12 in the dev files, listed in @/run/skipped_rows_dev.tsv"


def test_validate(with_bad_rows):
    said = with_bad_rows.succeed("validate").splitlines()
    assert said[-1] == "skipped rows: 3 of 78 in all files, listed in @/run/skipped_rows_all.tsv"
    assert len(with_bad_rows.read_rows("run/skipped_rows_all.tsv")) == 3
    assert with_bad_rows.succeed("validate", dry_run=True).splitlines()[-2] == "skipped rows: 3 of 78 in all files"


def test_training_counts_once_however_often_it_reads(with_bad_rows):
    """Here for the classes, from the files for tokens, for metrics from the cache; in a second run all from there."""
    few = "train.max_steps=1", "train.domains=union"
    said = with_bad_rows.succeed("finetune", *few)
    assert said.splitlines()[-2:] == [TRAIN, DEV] and len(told(said)) == 2
    assert len(with_bad_rows.read_rows("run/skipped_rows_train.tsv")) == 2
    cache = f"data.cache_folder={with_bad_rows.folder}/run/cache"
    again = with_bad_rows.succeed("finetune", *few, cache, f"output_folder={with_bad_rows.folder}/again")
    assert told(again) == [line.replace("@/run", "@/again") for line in (TRAIN, DEV)]
    assert told(with_bad_rows.succeed("evaluate")) == []  # none of the test files
    with_bad_rows.change("test.tsv", 2, lambda line: b"only one field")
    expected = "skipped rows: 1 of 18 in the test files, listed in @/run/skipped_rows_test.tsv"
    assert told(with_bad_rows.succeed("evaluate")) == [expected]


def test_scores_and_experiments(with_bad_rows, fake):
    assert told(with_bad_rows.succeed("typicality")) == [TRAIN]
    assert len(with_bad_rows.read_rows("run/scored.tsv")) == 46
    with_bad_rows.set_experiment(methods=["mix"], seeds=[1], learning_rates=[1e-3])
    said = with_bad_rows.succeed("experiment", f"output_folder={with_bad_rows.folder}/compared")
    assert told(said) == [line.replace("@/run", "@/compared") for line in (TRAIN, DEV)]


def test_scores_of_a_csv_come_as_one_of_its_kind(project):
    """With its separator and encoding, so that the same settings read it."""
    rows = [[text + ', "é"', *rest] for text, *rest in project.make_rows(48, seed=48)]
    for name, some in (("train", rows), ("dev", rows[:12])):
        with open(project.folder / f"{name}.csv", "w", newline="", encoding="utf-8-sig") as stream:
            csv.writer(stream, delimiter=",").writerows([["text", "domain", "label"], *some])
    project.set("data.train_files", [f"{project.folder}/train.csv"])
    project.set("data.dev_files", [f"{project.folder}/dev.csv"])
    said = project.succeed("typicality")
    assert "scored file: @/run/scored.csv; to train on its scores:" in said
    with open(project.folder / "run/scored.csv", newline="", encoding="utf-8-sig") as stream:
        names, *scored = csv.reader(stream)
    assert names == ["text", "domain", "label", "typicality"] and [row[:3] for row in scored] == rows
    assert all(0 < float(row[3]) <= 1 for row in scored)
    settings = [
        f'data.train_files=["{project.folder}/run/scored.csv"]',
        "data.columns.typicality=typicality",
        "data.test_files=[]",
        f"output_folder={project.folder}/mft",
    ]
    project.succeed("meta_tune", *settings, "train.max_steps=1")


def test_scores_go_to_json_lines_where_a_text_does_not_fit(project):
    project.change("train.tsv", 3, lambda line: line.replace(b" ", b"\r", 1))
    said = project.succeed("typicality").splitlines()
    assert said[0] == (
        "note: the scored file is @/run/scored.jsonl, as the value of column 'text' in @/train.tsv row 3 holds "
        "a tab or a line break, which a TSV file cannot hold"
    )
    assert not (project.folder / "run/scored.tsv").exists() and "scored file: @/run/scored.jsonl" in said[-2]
