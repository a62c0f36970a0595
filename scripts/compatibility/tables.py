"""Trials of what stands in tables: labels, missing values, empty texts, copies."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from compatibility.project import LABELS, Project, expect, make_rows
from compatibility.trial import Bench, trial


def _rename(project: Project, names: dict[str, str]) -> None:
    """Gives the labels of all files other names."""
    for split, count in (("train", 48), ("dev", 12), ("test", 18)):
        rows = [[text, domain, names[label]] for text, domain, label in make_rows(count, seed=count)]
        project.write_rows(f"{split}.tsv", rows)


@trial(
    "huggingface/datasets/issues/4467",
    "Texts and labels of the words null, NA, None and nan",
    "they are texts and names like any other",
)
def text_of_null(bench: Bench) -> str:
    """Not missing values."""
    project = bench.project()
    _rename(project, {"neg": "NA", "pos": "None"})
    project.accept("meta_tune", "data.test_files=[]")
    texts = ["null", "NA", "None", "nan", "N/A"]
    rows = project.predict(
        f'prediction.input_files=["{project.write_rows("new.csv", [[t, "book", "NA"] for t in texts])}"]'
    )
    expect([row["text"] for row in rows] == texts, f"texts came back as {rows}")
    expect({"probability_NA", "probability_None"} <= rows[0].keys(), f"columns: {list(rows[0])}")
    return "trains on the classes NA and None, and predicts the texts as they stand"


@trial(
    "ThilinaRajapakse/simpletransformers/issues/208",
    "Labels that are numbers from 1, with a gap",
    "they are names: no renumbering needed",
)
def numbers_with_gaps(bench: Bench) -> str:
    """1 and 3."""
    project = bench.project()
    _rename(project, {"neg": "1", "pos": "3"})
    project.accept("meta_tune")
    rows = project.predict()
    expect({row["predicted_label"] for row in rows} <= {"1", "3"}, f"labels {rows[0]}")
    return "trains and predicts the labels 1 and 3"


@trial(
    "ThilinaRajapakse/simpletransformers/issues/249",
    "Labels that are integers in one JSON Lines file, strings in another",
    "the same class",
)
def integer_and_string_labels(bench: Bench) -> str:
    """28 and "28"."""
    project = bench.project()
    for split, kind in (("train", int), ("dev", str)):
        rows = [
            {"text": text, "domain": domain, "label": kind(27 + LABELS.index(label))}
            for text, domain, label in make_rows(24)
        ]
        project.set(f"data.{split}_files", [project.write_objects(f"{split}.jsonl", rows)])
    project.set("data.test_files", [])
    project.accept("validate")
    return "takes them for the same class"


@trial(
    "autogluon/autogluon/pull/2340",
    "Labels that are floating-point numbers in one file (1.0), integers in the other",
    "whole ones are the integers' names, which is told",
)
def float_labels(bench: Bench) -> str:
    """As pandas makes of integers with a missing value among them."""
    project = bench.project()
    texts, domains, labels = zip(*make_rows(24), strict=True)
    numbers = np.array([float(LABELS.index(label)) for label in labels])
    table = pa.table({"text": texts, "domain": domains, "label": numbers})
    pq.write_table(table, project.folder / "train.parquet")
    project.train_on(str(project.folder / "train.parquet"))
    out = project.accept("validate").out
    expect("whole numbers are read without a decimal point" in out, "not told")
    return "reads 1.0 as the name 1, and says so"


@trial(
    "huggingface/datasets/issues/6324",
    "Names that are mostly numbers, but some like 1a",
    "read as they stand, no type is guessed",
)
def names_like_1a(bench: Bench) -> str:
    """The first rows say nothing about the rest."""
    project = bench.project()
    rows = [
        {"text": text, "domain": 1 if number < 20 else "1a", "label": label}
        for number, (text, _, label) in enumerate(make_rows(48))
    ]
    project.train_on(project.write_objects("train.jsonl", rows))
    out = project.accept("validate").out
    expect("1a" in out, "validate does not name the domain 1a")
    return "reads the domains 1 and 1a"


@trial("autogluon/autogluon/pull/2509", "Rows with NaN as their label", "refused with the row")
def labels_that_are_missing(bench: Bench) -> str:
    """In Parquet, as pandas writes a missing value; and an empty field of TSV."""
    project = bench.project()
    texts, domains, labels = zip(*make_rows(24), strict=True)
    table = pa.table({"text": texts, "domain": domains, "label": [*labels[:5], None, *labels[6:]]})
    pq.write_table(table, project.folder / "train.parquet")
    project.train_on(str(project.folder / "train.parquet"))
    project.refuse("validate", words=("row 6", "label"))
    rows = make_rows(24)
    rows[4][2] = ""
    project.train_on(project.write_rows("train.tsv", rows))
    return "refused: " + project.refuse("validate", words=("row 6", "label"))


@trial(
    "flairNLP/flair/issues/2213",
    "Rows without a label, left out silently elsewhere",
    "left out only on request, and then listed",
)
def rows_that_are_left_out(bench: Bench) -> str:
    """With data.bad_rows: skip."""
    project = bench.project()
    rows = make_rows(48)
    rows[4][2] = ""
    project.train_on(project.write_rows("train.tsv", rows))
    said = project.accept("validate", "data.bad_rows=skip").out
    listed = list((project.folder / "run").glob("skipped_rows_*.tsv"))
    expect(bool(listed) and "47" in said, f"files {listed}, said {said[-300:]}")
    return "leaves them out only with data.bad_rows: skip, counts them, and lists them in a file"


@trial("flairNLP/flair/issues/152", "Texts that are empty or white space, to predict", "refused with the rows")
def empty_texts(bench: Bench) -> str:
    """Before anything is predicted."""
    project = bench.trained()
    path = project.write_rows("new.tsv", [["good", "book", "pos"], ["", "book", "pos"], ["   ", "book", "pos"]])
    said = project.refuse("predict", f'prediction.input_files=["{path}"]', words=("row 3", "row 4", "empty"))
    expect(not list((project.folder / "run").glob("predictions*")), "a predictions file was left")
    return f"refused before anything is predicted: {said}"


@trial("flairNLP/flair/issues/3267", "Empty lines at the end of a file", "accepted, or refused with the row")
def empty_lines_at_the_end(bench: Bench) -> str:
    """As editors leave them."""
    project = bench.project()
    project.write("train.tsv", (project.folder / "train.tsv").read_bytes() + b"\n\n")
    result = project.run("validate")
    if result.code == 0:
        expect("48" in result.out, "validate does not count 48 rows")
        return "reads the rows before them"
    return "refused: " + project.refuse("validate", words=("row 50", "empty line"))


@trial(
    "facebookresearch/fastText/issues/192",
    "A test file without a row, whose metrics are NaN elsewhere",
    "refused with the file",
)
def files_without_rows(bench: Bench) -> str:
    """A header alone, and nothing at all."""
    project = bench.trained()
    for name, content in (("header.tsv", "text\tdomain\tlabel\n"), ("nothing.tsv", "")):
        path = project.write(name, content)
        said = project.refuse("evaluate", f'data.test_files=["{path}"]', words=(name, "empty"))
        said = project.refuse("predict", f'prediction.input_files=["{path}"]', words=(name, "empty"))
    return f"refused: {said}"


@trial("RasaHQ/rasa/issues/256", "Train files with one class alone", "refused with its name")
def one_class_alone(bench: Bench) -> str:
    """There is nothing to tell apart."""
    project = bench.project()
    rows = [row for row in make_rows(48) if row[2] == "pos"]
    project.train_on(project.write_rows("train.tsv", rows))
    return "refused: " + project.refuse("meta_tune", words=("pos", "at least 2"))


@trial(
    "autogluon/autogluon/pull/770",
    "Test files in which a class does not occur",
    "measured; the class stays in the tables, without numbers",
)
def class_missing_in_the_test_files(bench: Bench) -> str:
    """Elsewhere the classes are inferred from the truth, and the loss fails."""
    project = bench.trained()
    path = project.write_rows("one.tsv", [row for row in make_rows(30) if row[2] == "pos"])
    project.accept("evaluate", f'data.test_files=["{path}"]')
    return "measures it; the other class has null in place of precision, recall and F1"


@trial(
    "google-research/bert/issues/1000",
    "A test file with a class that was never trained on",
    "refused with row, class and the classes that are known",
)
def class_unknown_to_the_model(bench: Bench) -> str:
    """Elsewhere a KeyError."""
    project = bench.trained()
    rows = make_rows(12)
    rows[3][2] = "Pos"
    path = project.write_rows("new.tsv", rows)
    said = project.refuse("evaluate", f'data.test_files=["{path}"]', words=("row 5", "Pos", "neg, pos"))
    return f"refused: {said}"


@trial("bazingagin/npc_gzip/issues/13", "The same texts in train and test files", "validate counts them")
def texts_in_two_splits(bench: Bench) -> str:
    """And the accuracy is too good elsewhere."""
    project = bench.project()
    project.write_rows("test.tsv", make_rows(48, seed=48)[:18])
    said = project.accept("validate", told="18").out
    lines = [" ".join(line.split()) for line in said.splitlines() if "test" in line and "train" in line]
    expect(any("18" in line for line in lines), f"no count of 18 of the test rows: {said[-600:]}")
    return "validate: " + next(line for line in lines if "18" in line)


@trial(
    "deepset-ai/FARM/issues/699",
    "Input rows with the same text, fewer predictions than rows elsewhere",
    "a prediction for every row",
)
def copies_among_the_input(bench: Bench) -> str:
    """Copies count."""
    project = bench.trained()
    path = project.write_rows("new.tsv", [["good book", "book", "pos"]] * 7 + [["bad book", "book", "neg"]] * 2)
    rows = project.predict(f'prediction.input_files=["{path}"]')
    expect(len(rows) == 9, f"{len(rows)} predictions of 9 rows")
    return "predicts every row, copies too"


@trial(
    "facebookresearch/fastText/issues/1118",
    "Labels with spaces, tabs and line breaks (JSON Lines)",
    "all are classes; predictions go to a file that can hold them",
)
def labels_of_several_words(bench: Bench) -> str:
    """Their names become names of columns."""
    project = bench.project()
    names = {"neg": "very bad", "pos": "very good"}
    for space in (" ", "\t", "\n"):
        rows = [
            {"text": text, "domain": domain, "label": names[label].replace(" ", space)}
            for text, domain, label in make_rows(48)
        ]
        project.train_on(project.write_objects("train.jsonl", rows))
        run = project.folder / f"run{ord(space)}"
        project.accept("meta_tune", f"output_folder={run}")
        project.accept("predict", f"output_folder={run}")
        if space == " ":
            lines = (run / "predictions.tsv").read_text().splitlines()
            widths = {len(line.split("\t")) for line in lines}
            expect(widths == {6} and len(lines) == 19, f"predictions.tsv has {len(lines)} lines of {widths} fields")
        else:
            objects = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
            expect(all(one["predicted_label"] in (f"very{space}bad", f"very{space}good") for one in objects), "lost")
    return "trains on all; where labels hold a tab or a line break, predictions go to a .jsonl file, which is told"


@trial(
    "apple/turicreate/issues/1528",
    "Labels that differ in their case alone, or in how an accent is stored",
    "case: different classes, but validate asks whether they are one; the accent's form: one class, which is told",
)
def labels_that_look_alike(bench: Bench) -> str:
    """Shoes and shoes."""
    project = bench.project()
    rows = make_rows(48)
    rows[3][2], rows[7][2], rows[8][2] = "Pos", "caf\u00e9", "cafe\u0301"
    project.train_on(project.write_rows("train.tsv", rows))
    out = " ".join(project.accept("validate").out.split())
    warnings = [line for line in out.split("Warning: ") if "are they one" in line or "another Unicode form" in line]
    expect(len(warnings) == 2, f"no warning of it: {out[-300:]}")
    return f"validate: {warnings[1]}"


@trial(
    "",
    "Columns of the input that have the names of the output's, as after predicting twice",
    "refused before anything is predicted",
)
def columns_of_an_earlier_prediction(bench: Bench) -> str:
    """No column is overwritten."""
    project = bench.trained()
    project.accept("predict")
    earlier = f'prediction.input_files=["{project.folder}/run/predictions.tsv"]'
    said = project.refuse(
        "predict", earlier, f"prediction.output_file={project.folder}/second.tsv", words=("predicted_label",)
    )
    return f"refused: {said}"


@trial(
    "",
    "An object of JSON Lines in which a key stands twice",
    "refused with the row",
)
def key_that_stands_twice(bench: Bench) -> str:
    """One of both texts would be lost."""
    project = bench.trained()
    path = project.write("new.jsonl", '{"text": "good"}\n{"text": "good", "text": "bad"}\n')
    said = project.refuse("predict", f'prediction.input_files=["{path}"]', words=("row 2", "text"))
    return f"refused: {said}"
