"""Bad input ends with one clear line and exit code 2; nothing is started or lost, and the mended command runs."""

import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from app_zoo.run_folder import RunFolder
from easymft.checksums import read_object, write_object
from easymft.config.loading import load_config

DENSE = "encoder.layer.0.output.dense.weight"


class Case(NamedTuple):
    """One way to spoil the input.

    Attributes:
        name: What is wrong.
        damage: Does it to a project.
        expected: Fragments of the message, in their order; the project's folder is @ in them.
        mode: The command's.
        settings: Of the command.
    """

    name: str
    damage: Callable[[Any], None]
    expected: tuple[str, ...]
    mode: str = "meta_tune"
    settings: tuple[str, ...] = ()


def row(number, change, file="train.tsv"):
    """Changes one row of a file."""
    return lambda project: project.change(file, number, change)


def setting(path, value):
    return lambda project: project.set(path, value)


def both(first, second):
    return lambda project: (first(project), second(project))


def write(content, file="train.tsv"):
    return lambda project: project.write(file, content)


def one_domain(project):
    for name in ("train", "dev", "test"):
        project.write_rows(f"{name}.tsv", project.make_rows(12, seed=len(name), domains=("book",)))


def other_shard(header):
    def damage(project):
        project.write_rows("train2.tsv", project.make_rows(4), header)
        project.set("data.train_files", [f"{project.folder}/train*.tsv"])

    return damage


def scores(value):
    """Scores of 12 rows, that of row 5 is `value`."""

    def damage(project):
        scored = [[*line, "0.5" if at != 3 else value] for at, line in enumerate(project.make_rows(12))]
        project.write_rows("train.tsv", scored, ["text", "domain", "label", "typicality"])
        project.set("data.columns.typicality", "typicality")

    return damage


def tensors(change):
    """Changes the weights' tensors."""

    def damage(project):
        file = project.folder / "tiny/model.safetensors"
        found = load_file(file)
        change(found)
        save_file(found, file)

    return damage


def cut_weights(project):
    file = project.folder / "tiny/model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def longer_vocabulary(project):
    file = project.folder / "tiny/vocab.txt"
    file.write_text(file.read_text() + "extra\n")


def without_domain_in_dev(project):
    project.write_rows("dev.tsv", project.make_rows(8, domains=("book", "dvd")))


def cut_last_field(line):
    return line.rsplit(b"\t", 1)[0]


def label(new):
    return lambda line: cut_last_field(line) + b"\t" + new


def without_weight(*domains):
    """A weight of 0 in all rows of some domains."""

    def damage(project):
        header, *rows = (project.folder / "train.tsv").read_text().splitlines()
        rows = [f"{row}\t{int(row.split(chr(9))[1] not in domains)}" for row in rows]
        project.write("train.tsv", "\n".join([f"{header}\tweight", *rows, ""]))
        project.set("data.columns.weight", "weight")

    return damage


NUMBERED = {"text": 0, "domain": 1, "label": 2}
CASES = [
    Case("missing file", lambda p: (p.folder / "train.tsv").unlink(), ("@/train.tsv: no such file",)),
    Case("glob without match", setting("data.dev_files", ["none/*.tsv"]), ("none/*.tsv: no file matches this glob",)),
    Case("empty file", write(""), ("@/train.tsv: is empty (0 bytes), expected rows",)),
    Case("header alone", write("text\tdomain\tlabel\n"), ("@/train.tsv: is empty (a header without rows)",)),
    Case(
        "missing column",
        row(1, lambda line: line + b"s"),
        ("@/train.tsv: no column 'label' for data.columns.label", "'text', 'domain', 'labels'"),
    ),
    Case("ragged row", row(5, cut_last_field), ("@/train.tsv: row 5: 2 fields, expected 3 (text, domain, label)",)),
    Case(
        "unknown label",
        row(3, label(b"positive"), "dev.tsv"),
        ("@/dev.tsv: row 3, column 'label': unknown label 'positive', expected one of neg, pos",),
    ),
    Case(
        "unknown label in the test file",
        row(3, label(b"meh"), "test.tsv"),
        ("@/test.tsv: row 3, column 'label': unknown label 'meh', expected one of neg, pos",),
    ),
    Case(
        "unknown domain",
        row(3, lambda line: line.replace(b"\tdvd", b"\tdvds"), "dev.tsv"),
        ("@/dev.tsv: row 3, column 'domain': unknown domain 'dvds', expected one of book, dvd, phone", "mean 'dvd'?"),
        "finetune",
    ),
    Case(
        "a domain that does not count",
        without_weight("book", "dvd"),
        ("data.train_files: the weight is 0 in every row of domain 'book', expected some that count",),
        "finetune",
    ),
    Case(
        "no row counts",
        without_weight("book", "dvd", "phone"),
        ("data.train_files: the weight is 0 in every row, expected some that count",),
    ),
    Case("empty text", row(3, lambda line: line[line.index(b"\t") :]), ("row 3, column 'text': text is empty",)),
    Case(
        "not UTF-8",
        row(4, lambda line: b"caf\xe9 " + line),
        ("@/train.tsv: row 4: byte 4 of the line is 0xe9, which is not UTF-8",),
    ),
    Case(
        "header mismatch",
        other_shard(["text", "label", "domain", "more"]),
        ("@/train2.tsv: its 4 columns ('text', 'label', 'domain', 'more') differ from the 3 of @/train.tsv",),
    ),
    Case("shard without a column", other_shard(["text", "genre", "label"]), ("@/train2.tsv: no column 'domain'",)),
    Case(
        "one domain",
        one_domain,
        ("mft.domain_loss_weight: domain corruption needs at least 2 domains", "only 'book'", "weight to 0"),
    ),
    Case("unknown key", setting("train.epoch", 2), ('@/config.json: train.epoch: unknown key, did you mean "epochs"',)),
    Case("word for a number", setting("train.epochs", "two"), ("train.epochs: expected a whole number", '"two"')),
    Case("word for a boolean", setting("data.strip_whitespace", "false"), ("expected true or false", '"false"')),
    Case("missing weights", lambda p: p.set("model.weights", str(p.folder / "none")), ("@/none: no such folder",)),
    Case("weights not named", setting("model.weights", None), ("model.weights: expected a name or folder",)),
    Case("truncated safetensors", cut_weights, ("@/tiny/model.safetensors: damaged or cut short",)),
    Case(
        "wrong shapes",
        tensors(lambda found: found.update({DENSE: np.zeros([32, 32], np.float32)})),
        (f"@/tiny/model.safetensors: tensor {DENSE} has shape [32, 32]; expected [32, 64]",),
    ),
    Case("missing tensor", tensors(lambda found: found.pop(DENSE)), (f"tensors are missing: {DENSE}",)),
    Case("no vocabulary", lambda project: (project.folder / "tiny/vocab.txt").unlink(), ("@/tiny", "vocab.txt")),
    Case("other vocabulary", longer_vocabulary, ("@/tiny: the vocabulary has 170 tokens; expected at most 169",)),
    Case("layer outside", setting("mft.layers", [0, 7]), ("mft.layers: layer 7 is out of range, expected -1 to 0",)),
    Case("layer twice", setting("mft.layers", [0, -1]), ("mft.layers: expected distinct layers", "[0, -1]")),
    Case(
        "no column of scores",
        setting("data.columns.typicality", "typicality"),
        ("@/train.tsv: no column 'typicality' for data.columns.typicality",),
    ),
    Case("score empty", scores(""), ("row 5, column 'typicality': typicality is empty, expected a finite number",)),
    Case("score no number", scores("high"), ("row 5, column 'typicality': typicality 'high' is not a number",)),
    Case("score NaN", scores("nan"), ("row 5, column 'typicality': typicality is nan, expected a finite number",)),
    Case(
        "fewer rows than a batch of the stream",
        lambda project: None,
        ("fewer rows (48) than one batch (64)", "lower train.global_batch_size or use per_epoch"),
        settings=("mft.preset=easytransfer", "train.global_batch_size=64"),
    ),
    Case(
        "fewer rows of a domain than a batch of the stream",
        lambda project: None,
        ("fewer rows (16) than one batch (20)", "lower train.global_batch_size or use per_epoch"),
        "finetune",
        ("train.epoch_batches=continuous", "train.global_batch_size=20"),
    ),
    Case("header taken for data", setting("data.columns", NUMBERED), ("row 1 holds 'text', 'domain', 'label', which",)),
    Case(
        "odd header taken for data",
        both(setting("data.columns", NUMBERED), row(1, lambda line: b"a\tb\tc")),
        ("@/train.tsv: row 1: the label 'c' occurs nowhere else, as if this row were a header",),
    ),
    Case(
        "example taken for the header",
        both(setting("data.header", True), row(1, lambda line: b"fine\tbook\tpos")),
        ("@/train.tsv: no column 'text'", "Row 1 was read as the header"),
    ),
    Case("stray space", row(4, lambda line: line + b" "), ("row 4, column 'label': label 'neg ' has white space",)),
    Case(
        "too long sequences",
        setting("data.max_sequence_length", 256),
        ("data.max_sequence_length: expected at most 128, the positions of", "@/tiny", "got 256"),
    ),
    Case("no head to transfer", setting("model.head", "transfer"), ("model.head:", "no classifier head"), "finetune"),
    Case(
        "domain to fine-tune unknown",
        setting("train.domains", ["books"]),
        ("train.domains: unknown domain 'books', expected some of book, dvd, phone",),
        "finetune",
    ),
    Case("domain without dev rows", without_domain_in_dev, ("data.dev_files: no row of domain 'phone'",), "finetune"),
    Case(
        "place of the metrics not writable",
        lambda project: project.set("evaluation.metrics_file", f"{project.folder}/dev.tsv/metrics.json"),
        ("evaluation.metrics_file: cannot write to @/dev.tsv/metrics.json: @/dev.tsv is a file",),
    ),
    *(
        Case(f"no run to {mode}", lambda project: None, ("output_folder: expected a finished run", "found no"), mode)
        for mode in ("evaluate", "predict", "export")
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(project, case):
    good = load_config(project.words(case.mode)[3])
    case.damage(project)
    before = project.snapshot()
    message = project.fail(case.mode, *case.settings)
    position = 0
    for fragment in case.expected:
        assert fragment in message[position:], message
        position = message.index(fragment, position)
    # Nothing is left but tokens of good files, and those do not keep the mended command from running.
    after = project.snapshot()
    assert [name for name in before if name not in after or before[name] != after[name]] in ([], ["config.json"])
    new = [name for name in after if name not in before and name != "config.json"]
    assert [name for name in new if not (name == "run/" or name.startswith("run/cache/"))] == []
    assert [name for name in new if ".part" in name or ".tmp" in name] == []
    assert RunFolder(project.folder / "run").check(good, case.mode, {}) is False


OUTPUT_MODES = ("validate", "typicality", "meta_tune", "finetune")


@pytest.mark.parametrize("mode", OUTPUT_MODES)
def test_output_folder_under_a_file(project, mode):
    project.set("output_folder", f"{project.folder}/dev.tsv/deep/run")
    message = project.fail(mode)
    assert message == "output_folder: cannot write to @/dev.tsv/deep/run: @/dev.tsv is a file, expected a folder"


@pytest.mark.parametrize("mode", OUTPUT_MODES)
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_without_permission(project, mode):
    (project.folder / "locked").mkdir(mode=0o500)
    project.set("output_folder", f"{project.folder}/locked/run")
    assert "cannot write to @/locked/run: no permission for @/locked" in project.fail(mode)


def test_output_folder_of_something_else(project):
    (project.folder / "run").mkdir()
    project.write("run/thesis.tex", "years of work")
    before = project.snapshot("run")
    assert "@/run is not empty and is not an EasyMFT run; choose another folder" in project.fail("meta_tune")
    assert project.snapshot("run") == before


def test_output_folder_of_another_run(trained):
    before = trained.snapshot("mft")
    other = (f"output_folder={trained.folder}/mft", "train.epochs=3", "train.learning_rate=0.1")
    message = trained.fail("meta_tune", *other)
    assert message.startswith("output_folder: @/mft holds another run (")
    assert "train.epochs: 2 there, 3 here" in message and "train.learning_rate: 0.001 there, 0.1 here" in message
    assert message.endswith("choose another folder or set runtime.overwrite")
    assert "holds a run of --mode meta_tune, received --mode finetune" in trained.fail("finetune", other[0])
    assert trained.snapshot("mft") == before


INPUT_CASES = [
    ("missing file", None, ("@/new.tsv: no such file",)),
    ("empty file", b"", ("@/new.tsv: is empty (0 bytes)",)),
    ("missing column", b"txt\tdomain\na\tbook\n", ("@/new.tsv: no column 'text' for data.columns.text",)),
    ("ragged row", b"text\tdomain\na\tbook\nb\tdvd\nc\n", ("@/new.tsv: row 4: 1 field, expected 2 (text, domain)",)),
    ("empty text", b"text\tdomain\na\tbook\n\tdvd\nc\tdvd\n", ("@/new.tsv: row 3, column 'text': text is empty",)),
    (
        "unknown domain",
        b"text\tdomain\na\tbook\nb\tbooks\n",
        ("row 3, column 'domain': unknown domain 'books', expected one of book, dvd, phone",),
    ),
    (
        "column in the way",
        b"text\tdomain\tpredicted_label\na\tbook\tpos\n",
        ("predictions.tsv: the input already has a column 'predicted_label'",),
    ),
]


@pytest.mark.parametrize(("name", "content", "expected"), INPUT_CASES, ids=[name for name, *_ in INPUT_CASES])
def test_bad_input_of_predict(trained, tmp_path, monkeypatch, name, content, expected):
    project = trained.copy(tmp_path / "project")
    run = "domains" if name == "unknown domain" else "mft"
    project.set("output_folder", f"{project.folder}/{run}")
    if content is not None:
        project.write("new.tsv", content)
    project.write(f"{run}/predictions.tsv", "of an earlier command\n")
    before = project.snapshot(run)
    if name != "column in the way":  # a bad row is told before anything is predicted, wherever it stands
        monkeypatch.setattr("app_zoo.stages.predict.Predictor", None)
    message = project.fail("predict", f'prediction.input_files=["{project.folder}/new.tsv"]', "prediction.chunk_size=1")
    assert all(fragment in message for fragment in expected), message
    assert project.snapshot(run) == before


def test_what_a_tsv_cannot_hold_is_told_before_predicting(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("app_zoo.stages.predict.Predictor", None)
    project = trained.copy(tmp_path / "project")
    project.set("output_folder", f"{project.folder}/mft")
    rows = [{"text": text, "label": 1.5} for text in ("a", "b", "c\nd")]  # a label is not looked at
    project.write("late.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    late = f"{project.folder}/late.jsonl"
    project.set("prediction", {"input_files": [late], "output_file": f"{project.folder}/p.tsv"})
    message = project.fail("predict", "prediction.chunk_size=1")
    expected = "@/p.tsv: the value of column 'text' in @/late.jsonl row 3 holds a tab or a line break"
    assert message.startswith(expected), message
    assert not (project.folder / "p.tsv").exists()


def test_domains_of_predict(trained, tmp_path):
    project = trained.copy(tmp_path / "project")
    message = project.fail("predict", "data.columns.domain=null")
    assert message.startswith("data.columns.domain: the run in @/domains has a model for each domain (book, dvd, ")
    assert project.fail("evaluate", "data.columns.domain=null") == message
    status = read_object(project.folder / "domains/run.json")
    write_object(project.folder / "domains/run.json", status | {"models": ["book"]})
    project.write_rows("test.tsv", project.make_rows(2, domains=("book", "dvd")))
    message = project.fail("predict")
    assert message == "@/test.tsv: row 3, column 'domain': unknown domain 'dvd', expected one of book"
    project.succeed("predict", "data.bad_rows=skip")
    found = project.read_rows("domains/predictions.tsv")
    expected = ["", "column 'domain': unknown domain 'dvd', expected one of book"]
    assert [row["problem"] for row in found] == expected and found[0]["predicted_label"]
    assert [found[1][name] for name in ("predicted_label", "probability_neg", "probability_pos")] == ["", "", ""]
    project.write_rows("test.tsv", project.make_rows(4, domains=("dvd",)))
    message = project.fail("evaluate")
    assert message.endswith("of a domain that the run in @/domains has a model for, expected some of book")


def test_places_of_predictions(trained):
    file = trained.folder / "test.tsv"
    before = trained.snapshot()
    assert trained.fail("predict", f"prediction.output_file={file}").startswith(
        "prediction.output_file: @/test.tsv is one of the input files"
    )
    assert trained.fail("predict", f"prediction.output_file={file}/x.tsv").startswith(
        "prediction.output_file: cannot write to @/test.tsv/x.tsv: @/test.tsv is a file"
    )
    assert '.parquet or .xlsx, got "p.txt"' in trained.fail("predict", "prediction.output_file=p.txt")
    assert trained.snapshot() == before


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["data.max_sequence_length=16"], "data.max_sequence_length: the run in @/domains has 32, received 16"),
        (['data.labels=["pos","neg"]'], "data.labels: the run in @/domains has ['neg', 'pos'], received ['pos', "),
        (
            ["application=text_matching", "data.columns.text_pair=label", "data.columns.label=null"],
            "application: @/domains is a run of text_classification, received text_matching",
        ),
    ],
    ids=["length", "labels", "application"],
)
def test_settings_that_contradict_the_run(trained, settings, expected):
    assert expected in trained.fail("predict", *settings)


@pytest.mark.parametrize("damage", ["weights", "maps"])
def test_damaged_run(trained, tmp_path, damage):
    project = trained.copy(tmp_path / "project")
    file = project.folder / "domains" / ("dvd/best/model.safetensors" if damage == "weights" else "maps.json")
    file.write_bytes(file.read_bytes()[:-7])
    assert str(file.relative_to(project.folder)) in project.fail("predict")
    file.unlink()
    assert str(file.parent.relative_to(project.folder)) in project.fail("predict")


def test_one_domain_has_typicality_and_trains_without_corruption(project):
    one_domain(project)
    project.succeed("typicality", f"output_folder={project.folder}/typicality")
    scored = project.read_rows("typicality/scored.tsv")
    assert all(0 < float(one["typicality"]) <= 1 for one in scored) and len(scored) == 12
    assert "all rows are of the one domain 'book'" in project.succeed("validate")
    project.succeed("meta_tune", "mft.domain_loss_weight=0", "data.test_files=[]", dry_run=True)
