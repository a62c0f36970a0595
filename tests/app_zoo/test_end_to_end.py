"""Every mode on a small project, one after the other, and what a user relies on around them."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file

from app_zoo.base import Application
from app_zoo.registry import MODES
from easymft.checksums import read_object, write_object
from easymft.training.callbacks import SaveState

IS_KILLED = """
import os, signal, sys
from app_zoo.main import main
from easymft.training.callbacks import SaveState

on_train_batch_end = SaveState.on_train_batch_end

def end_and_die(self, batch, logs=None):
    on_train_batch_end(self, batch, logs)
    if int(self.model.optimizer.iterations) == 5:
        os.kill(os.getpid(), signal.SIGKILL)

SaveState.on_train_batch_end = end_and_die
sys.exit(main(sys.argv[1:]))
"""


def mean_loss_and_accuracy(rows):
    losses = [-math.log(float(row[f"probability_{row['label']}"])) for row in rows]
    return np.mean(losses), np.mean([row["label"] == row["predicted_label"] for row in rows])


def test_validate(project):
    out = project.succeed("validate")
    assert "train: 48 rows" in out and "No warnings." in out
    report = json.loads((project.folder / "run/validation.json").read_text())
    assert report["splits"][0]["counts"]["dvd"] == {"neg": 8, "pos": 8}
    assert report["splits"][2]["tokens"]["longest"] > 0
    assert list(project.snapshot("run")) == ["run/validation.json"]


def test_scored_file(trained):
    rows, scored = trained.read_rows("train.tsv"), trained.read_rows("typicality/scored.tsv")
    typicality = [row.pop("typicality") for row in scored]
    assert scored == rows
    assert all(np.float32(text) == np.float32(float(text)) and 0 < float(text) <= 1 for text in typicality)
    assert len(set(typicality)) > 40
    for name in ("typicality.md", "typicality.png", "prototypes.npz"):
        assert (trained.folder / "typicality" / name).stat().st_size > 0
    assert "scored file: @/typicality/scored.tsv" in trained.said["typicality"]


def test_a_scored_file_trains_as_the_scores_themselves(trained, tmp_path):
    """Rounded to float32 texts and read back, the scores are the very same; so is the trained model."""
    mode, _, _, *words = trained.commands["mft"]
    trained.succeed(mode, *words, f"output_folder={tmp_path}/run")
    assert not (trained.folder / "mft/typicality").exists()
    assert (tmp_path / "run/typicality/typicality.md").exists()
    ours, theirs = (load_file(run / "best/model.safetensors") for run in (tmp_path / "run", trained.folder / "mft"))
    untrained = load_file(trained.folder / "tiny/model.safetensors")["encoder.layer.0.output.dense.weight"]
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value)
    assert not np.array_equal(theirs["bert.encoder.layer.0.output.dense.weight"], untrained)


def test_meta_tune_leaves_a_run(trained):
    run = trained.folder / "mft"
    maps = read_object(run / "maps.json")
    assert maps == {"labels": ["neg", "pos"], "domains": ["book", "dvd", "phone"]}
    extra = load_file(run / "best/mft.safetensors")
    assert extra["mft.domain_embedding"].shape == (3, 32)
    status = read_object(run / "run.json")
    assert status["finished"] and [entry["step"] for entry in status["training"]["history"]] == [6, 12]
    metrics = json.loads((run / "metrics.json").read_text())["dev"]
    assert metrics["overall"]["accuracy"] == pytest.approx(status["training"]["best"]["value"])
    assert list(run.glob("tensorboard/events*")) and not (run / "resume").exists()


def test_finetune_makes_a_model_for_each_domain(trained):
    heads = [load_file(trained.folder / f"domains/{domain}/best/model.safetensors") for domain in ("book", "dvd")]
    assert not np.array_equal(heads[0]["classifier.weight"], heads[1]["classifier.weight"])
    assert read_object(trained.folder / "domains/run.json")["models"] == ["book", "dvd", "phone"]


def test_a_listed_domain_and_a_restarted_run_give_the_same_model(trained, tmp_path):
    """What is trained before it in the same process changes nothing."""
    project = trained.copy(tmp_path / "project")
    mode, weights, *words = trained.commands["domains"]
    project.succeed(mode, weights, *words, f"output_folder={tmp_path}/listed", 'train.domains=["dvd"]')
    assert sorted(path.name for path in (tmp_path / "listed").iterdir() if (path / "best").is_dir()) == ["dvd"]
    expected = (project.folder / "domains/dvd/tuned/model.safetensors").read_bytes()  # before it was averaged
    assert (tmp_path / "listed/dvd/best/model.safetensors").read_bytes() == expected

    before = project.snapshot("domains")
    shutil.rmtree(project.folder / "domains/dvd")
    status = read_object(project.folder / "domains/run.json")
    write_object(project.folder / "domains/run.json", status | {"finished": False})
    config = json.dumps(read_object(project.folder / "domains/config.json"))
    project.write("domains/config.json", config.replace(str(trained.folder), str(project.folder)))
    project.succeed(mode, weights.replace(str(trained.folder), str(project.folder)), *words)
    after = project.snapshot("domains")
    for part in ("book/", "phone/", "dvd/best", "dvd/last", "dvd/tuned"):
        names = [name for name in before if name.startswith(f"domains/{part}")]
        assert names and [before[name] for name in names] == [after.get(name) for name in names], part


@pytest.mark.parametrize("settings", [["train.domains=union"], ["data.columns.domain=null", "data.domains=null"]])
def test_finetune_on_all_rows(project, settings):
    out = project.succeed("finetune", *settings, "data.dev_files=[]", "train.max_steps=2")
    assert read_object(project.folder / "run/run.json")["models"] == [""]
    metrics = json.loads((project.folder / "run/metrics.json").read_text())["test"]
    assert metrics["overall"]["count"] == 18 and "18" in out
    assert list(metrics["by_domain"]) == (["book", "dvd", "phone"] if "union" in settings[0] else [""])


def test_a_single_model_is_evaluated_on_new_domains(trained, tmp_path):
    test_file = trained.write_rows("garden.tsv", trained.make_rows(10, domains=("garden", "book")))
    words = (f'data.test_files=["{test_file}"]', f"evaluation.metrics_file={tmp_path}/metrics.json")
    trained.succeed("evaluate", f"output_folder={trained.folder}/mft", *words)
    metrics = json.loads((tmp_path / "metrics.json").read_text())["test"]
    counts = {domain: found["count"] for domain, found in metrics["by_domain"].items()}
    assert counts == {"book": 5, "dvd": 0, "garden": 5, "phone": 0}


def test_evaluate_and_predict_agree(trained, tmp_path):
    project = trained.copy(tmp_path / "project")
    rows = [[str(number), *row, "kept as it is"] for number, row in enumerate(project.make_rows(18, seed=18))]
    project.write_rows("test.tsv", rows, ["number", "text", "domain", "label", "note"])
    out = project.succeed("evaluate")
    assert "test files" in out and "metrics: @/domains/evaluation.json" in out
    metrics = json.loads((project.folder / "domains/evaluation.json").read_text())["test"]

    project.succeed("predict", "prediction.chunk_size=10")
    found = project.read_rows("domains/predictions.tsv")
    assert [list(row.values())[:5] for row in found] == rows
    assert list(found[0])[5:] == ["predicted_label", "probability_neg", "probability_pos"]
    for row in found:
        shares = {label: float(row[f"probability_{label}"]) for label in ("neg", "pos")}
        assert sum(shares.values()) == pytest.approx(1.0, abs=2e-6)
        assert all(len(row[f"probability_{label}"]) <= len("0.123456") for label in shares)
        assert row["predicted_label"] == max(shares, key=shares.get)
    for domain, theirs in [("dvd", metrics["by_domain"]["dvd"]), ("", metrics["overall"])]:
        some = [row for row in found if domain in ("", row["domain"])]
        loss, accuracy = mean_loss_and_accuracy(some)
        assert (len(some), accuracy) == (theirs["count"], pytest.approx(theirs["accuracy"]))
        assert loss == pytest.approx(theirs["loss"], abs=1e-5)
    matrix = np.zeros([2, 2], int)
    for row in found:
        matrix[("neg", "pos").index(row["label"]), ("neg", "pos").index(row["predicted_label"])] += 1
    assert metrics["overall"]["confusion_matrix"] == matrix.tolist()


def test_prediction_loads_one_network_for_all_domains(trained, tmp_path, monkeypatch):
    load, loaded = Application.load_encoder, []
    monkeypatch.setattr(Application, "load_encoder", lambda app, model: loaded.append(model) or load(app, model))
    trained.succeed("predict", f"prediction.output_file={tmp_path}/a.tsv", "prediction.chunk_size=5")
    assert len(loaded) == 1 and len({row["domain"] for row in trained.read_rows(tmp_path / "a.tsv")}) == 3


def test_predictions_do_not_depend_on_how_they_are_made(trained, tmp_path):
    run = f"output_folder={trained.folder}/mft"
    for name, *settings in (
        ("whole.tsv",),
        ("lines.jsonl", "prediction.chunk_size=7", "prediction.batch_size=2"),
        ("mirrored.tsv", "prediction.batch_size=5", "runtime.strategy=mirrored", "runtime.logical_cpus=2"),
    ):
        trained.succeed("predict", run, f"prediction.output_file={tmp_path}/{name}", *settings)
    whole = trained.read_rows(tmp_path / "whole.tsv")
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    for other in (lines, trained.read_rows(tmp_path / "mirrored.tsv")):
        assert [list(row) for row in other] == [list(row) for row in whole]
        for name in ("text", "domain", "label", "predicted_label"):
            assert [row[name] for row in other] == [row[name] for row in whole]
        shares = [[float(row["probability_pos"]) for row in rows] for rows in (whole, other)]
        np.testing.assert_allclose(*shares, atol=1e-6)
    assert len({row["probability_pos"] for row in whole}) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lines.jsonl", "mirrored.tsv", "whole.tsv"]


def test_a_process_of_its_own_predicts_on_logical_cpus(trained, tmp_path):
    """They are split before TensorFlow starts, which in this process it has."""
    settings = f"prediction.output_file={tmp_path}/a.tsv", "runtime.strategy=mirrored", "runtime.logical_cpus=2"
    words = trained.words("predict", f"output_folder={trained.folder}/mft", *settings)
    code = "import sys; from app_zoo.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(trained.read_rows(tmp_path / "a.tsv")) == 18


def test_recommended_weighs_all_rows_alike_and_corrupts_no_domains(project):
    project.set("mft", {})
    out = project.succeed("meta_tune", "train.max_steps=1", "data.test_files=[]")
    assert "typicality" not in out and not (project.folder / "run/typicality").exists()
    assert json.loads((project.folder / "run/config.json").read_text())["mft"]["weighting"] == "none"
    assert not [name for name in load_file(project.folder / "run/best/model.safetensors") if name.startswith("mft.")]
    assert not (project.folder / "run/best/mft.safetensors").exists()
    rows = [[*row, "0.5"] for row in project.make_rows(12)]
    project.write_rows("train.tsv", rows, header=["text", "domain", "label", "score"])
    scored = ("data.columns.typicality=score", "train.max_steps=1", "data.test_files=[]")
    out = project.succeed("meta_tune", *scored, f"output_folder={project.folder}/scored")
    assert json.loads((project.folder / "scored/config.json").read_text())["mft"]["weighting"] == "typicality"
    out = project.succeed("meta_tune", *scored, "mft.weighting=none", f"output_folder={project.folder}/alike")
    assert "note: data.columns.typicality: not used, as nothing is weighted by it here" in out


def test_pairs(trained_pair, tmp_path):
    assert (trained_pair.folder / "mft/typicality/prototypes.npz").exists()
    trained_pair.succeed("evaluate", f"evaluation.metrics_file={tmp_path}/metrics.json")
    trained_pair.succeed("predict", f"prediction.output_file={tmp_path}/new/pairs.tsv")
    found = trained_pair.read_rows(tmp_path / "new/pairs.tsv")
    assert [list(row.values())[:4] for row in found] == trained_pair.make_rows(18, seed=18)
    overall = json.loads((tmp_path / "metrics.json").read_text())["test"]["overall"]
    loss, accuracy = mean_loss_and_accuracy(found)
    assert accuracy == pytest.approx(overall["accuracy"]) and loss == pytest.approx(overall["loss"], abs=1e-5)
    swapped = [[second, first, *rest] for first, second, *rest in trained_pair.make_rows(18, seed=18)]
    trained_pair.write_rows("swapped.tsv", swapped)
    swapped_files = f'prediction.input_files=["{trained_pair.folder}/swapped.tsv"]'
    trained_pair.succeed("predict", swapped_files, f"prediction.output_file={tmp_path}/s.tsv")
    other = trained_pair.read_rows(tmp_path / "s.tsv")
    assert [row["probability_pos"] for row in other] != [row["probability_pos"] for row in found]


@pytest.mark.parametrize("mode", ["validate", "typicality", "convert"])
def test_a_dry_run_leaves_nothing_behind(project, mode, tmp_path, monkeypatch):
    """The other modes: test_configs.py."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    project.words(mode)
    before = project.snapshot()
    out = project.succeed(mode, dry_run=True)
    assert out.endswith(f"dry run of --mode {mode}: {MODES[mode].dry_run}\n")
    assert project.snapshot() == before and not list((tmp_path / "scratch").glob("easymft*"))


@pytest.mark.parametrize("run", ["typicality", "mft", "domains"])
def test_a_finished_run_is_left_alone(trained, run):
    before = trained.snapshot(run)
    assert trained.succeed(*trained.commands[run], f"output_folder={trained.folder / run}") == (
        f"already finished: @/{run}\n"
    )
    assert trained.snapshot(run) == before


def test_a_finished_run_is_not_one_on_other_contents(trained, tmp_path):
    project = trained.copy(tmp_path / "project")
    project.set("output_folder", f"{project.folder}/run")
    vocabulary = (project.folder / "mft/best/vocab.txt").read_text()
    project.write("vocab.txt", vocabulary)
    words = ("finetune", f"model.weights={project.folder}/mft", "train.domains=union", "train.max_steps=1")
    words += (f"model.vocabulary_file={project.folder}/vocab.txt",)
    project.succeed(*words)
    assert project.succeed(*words) == "already finished: @/run\n"
    project.write("vocab.txt", "\n".join(reversed(vocabulary.split("\n"))))
    config = json.loads((project.folder / "mft/best/config.json").read_text())
    project.write("mft/best/config.json", json.dumps(config | {"hidden_dropout_prob": 0.2}))
    (project.folder / "mft/best/easymft.sha256").unlink()  # changed on purpose
    project.change("train.tsv", 3, lambda line: line.replace(b"\t", b" indeed\t", 1))
    before = project.snapshot()
    assert project.fail(*words) == (
        "output_folder: @/run holds a run on other contents of data.train_files, model.weights, "
        "model.vocabulary_file; choose another folder or set runtime.overwrite"
    )
    assert project.snapshot() == before


def test_a_domain_does_not_depend_on_those_before_it(project):
    """They are trained and evaluated by one traced network; the first has more rows than the other, so more steps."""
    rows = enumerate(project.make_rows(66, seed=1))
    project.write_rows("train.tsv", [row for number, row in rows if row[1] == "dvd" or number < 36])
    small = ("train.epochs=2", "model.dropout=0.2", "evaluation.batch_size=5", "train.average_domains=0")
    project.succeed("finetune", *small, f"output_folder={project.folder}/all", 'train.domains=["dvd","book"]')
    project.succeed("finetune", *small, f"output_folder={project.folder}/one", 'train.domains=["book"]')
    names = ("best/model.safetensors", "last/model.safetensors")
    for name in names:
        ours, theirs = ((project.folder / run / "book" / name).read_bytes() for run in ("all", "one"))
        assert ours == theirs
    found, alone = (json.loads((project.folder / run / "metrics.json").read_text()) for run in ("all", "one"))
    for split in ("dev", "test"):
        assert found[split]["by_domain"]["book"] == alone[split]["by_domain"]["book"]
        assert found[split]["by_domain"]["dvd"]["loss"] != found[split]["by_domain"]["book"]["loss"]


def test_classes_and_domains_are_in_the_order_of_the_weights(trained, tmp_path):
    """Of the domains those that occur, then new ones; of the classes also one that has no row here."""
    project = trained.copy(tmp_path / "project")
    maps = {"labels": ["pos", "neg"], "domains": ["phone", "dvd", "book"]}
    project.write("mft/maps.json", json.dumps(maps))
    rows = [row for row in project.make_rows(36, domains=("attic", "dvd", "phone")) if row[2] == "neg"]
    project.write_rows("train.tsv", [*rows, rows[0][:2] + ["pos"]])
    run = f"output_folder={project.folder}/other"
    words = ("finetune", f"model.weights={project.folder}/mft", "train.domains=union", "train.max_steps=1", run)
    unmeasured = ("data.dev_files=[]", "data.test_files=[]")
    project.succeed(*words, *unmeasured)
    found = read_object(project.folder / "other/maps.json")
    assert found == {"labels": ["pos", "neg"], "domains": ["phone", "dvd", "attic"]}
    given = project.succeed(*words, *unmeasured, 'data.labels=["neg","pos"]', f"output_folder={project.folder}/given")
    assert read_object(project.folder / "given/maps.json")["labels"] == ["neg", "pos"]
    assert "note: the classes" not in given
    project.write_rows("train.tsv", [*rows, rows[0][:2] + ["unsure"]])
    out = project.succeed(*words, *unmeasured, f"output_folder={project.folder}/classes")
    assert "note: the classes are neg, unsure; those of @/mft, pos, neg" in out


def test_the_head_is_taken_over_where_it_fits(trained, tmp_path):
    def finetune(name, *settings):
        words = ("train.domains=union", "train.max_steps=1", "train.learning_rate=1e-9", "data.test_files=[]")
        out = trained.succeed(
            "finetune", f"model.weights={trained.folder}/mft", *words, *settings, f"output_folder={tmp_path}/{name}"
        )
        return out, load_file(tmp_path / name / "last/model.safetensors")["classifier.weight"]

    theirs = load_file(trained.folder / "mft/best/model.safetensors")["classifier.weight"]
    out, ours = finetune("auto")
    assert "its Hugging Face folder best: taken over" in out
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.abs(finetune("fresh", "model.head=fresh")[1] - theirs).max() > 1e-3
    rows = [row if row[2] == "neg" else [*row[:2], "great"] for row in trained.make_rows(24)]
    other = trained.write_rows("other.tsv", rows)
    out, _ = finetune("other", f'data.train_files=["{other}"]', "data.dev_files=[]")
    assert "not taken over, as it is of other classes (neg, pos)" in out


def test_convert_keeps_dropout(project):
    config = json.loads((project.folder / "tiny/config.json").read_text())
    changed = {"hidden_dropout_prob": 0.25, "attention_probs_dropout_prob": 0.0, "hidden_act": "gelu_new"}
    project.write("tiny/config.json", json.dumps(config | changed))
    project.succeed("convert", f"convert.folder={project.folder}/same")
    project.succeed("convert", f"convert.folder={project.folder}/other", "model.dropout=0.5")
    found = [json.loads((project.folder / name / "config.json").read_text()) for name in ("same", "other")]
    assert {key: found[0][key] for key in changed} == changed
    assert {key: found[1][key] for key in changed} == changed | {"hidden_dropout_prob": 0.5}


def test_overwrite_keeps_the_old_run(trained, tmp_path):
    project = trained.copy(tmp_path / "project")
    project.set("output_folder", f"{project.folder}/typicality")
    before = project.snapshot("typicality")
    words = ("typicality", "mft.typicality.alpha=0.9", f'data.train_files=["{trained.folder}/train.tsv"]')
    words += (f"model.weights={trained.folder}/tiny", f'data.dev_files=["{trained.folder}/dev.tsv"]')
    assert "holds another run (mft.typicality.alpha: 0.5 there, 0.9 here);" in project.fail(*words)
    project.succeed(*words, "runtime.overwrite=true")
    kept = project.snapshot("typicality.old")
    left = ("/cache/", "/.lock")  # what goes on with the new run
    results = {name: digest for name, digest in before.items() if not any(one in name for one in left)}
    results = {name.replace("/", ".old/", 1): digest for name, digest in results.items()}
    assert kept == results and "typicality.old/scored.tsv" in kept
    assert project.snapshot("typicality")["typicality/scored.tsv"] != before["typicality/scored.tsv"]
    before = project.snapshot()
    message = project.fail(*words, "runtime.overwrite=true")
    assert message.startswith("output_folder: @/typicality.old is in the way of keeping the run")
    assert project.snapshot() == before


def test_a_killed_run_goes_on_to_the_same_weights(trained, tmp_path, monkeypatch):
    """Killed after step 5 of 12, when the state of step 4 was kept; interrupted after 9; then finished."""
    mode, *words = trained.commands["mft"]
    words += [f"output_folder={tmp_path}/run", "train.checkpoint_every_steps=4"]
    command = [sys.executable, "-c", IS_KILLED, *trained.words(mode, *words)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    status = read_object(tmp_path / "run/run.json")
    assert (status["mode"], status["finished"]) == ("meta_tune", False)

    def interrupt(callback, batch, logs=None):
        if int(callback.model.optimizer.iterations) == 9:
            os.kill(os.getpid(), signal.SIGINT)

    # A shell starts background jobs with SIGINT ignored, and they hand that on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(SaveState, "on_train_batch_end", interrupt)
        interrupted = trained.run(mode, *words)
    signal.signal(signal.SIGINT, before)
    assert "resuming after step 4 of 12" in interrupted.out
    assert interrupted.code == 130 and interrupted.err.startswith("easymft: interrupted; the same command goes on")
    assert "resuming after step 9 of 12" in trained.succeed(mode, *words)
    runs = (tmp_path / "run", trained.folder / "mft")
    for name in ("best/model.safetensors", "last/model.safetensors", "best/mft.safetensors"):
        ours, theirs = (load_file(run / name) for run in runs)
        for key, value in theirs.items():
            np.testing.assert_array_equal(ours[key], value, err_msg=key)
    record, unbroken = (read_object(run / "run.json")["training"] for run in runs)
    assert record["history"] == unbroken["history"] and record["steps"] == 12
    assert not (tmp_path / "run/resume").exists()


def test_easytransfer(project):
    """Its scores have 5 decimals, read back, and steer a run whose epochs are one stream of whole batches."""
    preset = ("mft.preset=easytransfer", "data.dev_files=[]", "data.test_files=[]")
    scored = f"{project.folder}/typicality/scored.tsv"
    project.succeed("typicality", *preset, f"output_folder={project.folder}/typicality")
    rows = project.read_rows("typicality/scored.tsv")
    assert [list(row.values())[:3] for row in rows] == project.make_rows(48, seed=48)
    texts = [row["typicality"] for row in rows]
    assert all(len(text.partition(".")[2]) <= 5 and float(text) > 0 for text in texts)
    assert max(len(text.partition(".")[2]) for text in texts) == 5
    words = (f'data.train_files=["{scored}"]', "data.columns.typicality=typicality", "train.global_batch_size=20")
    project.succeed("meta_tune", *preset, *words)
    record = read_object(project.folder / "run/run.json")["training"]
    assert record["steps"] == int(48 * 1 / 20) + 1
    config = json.loads((project.folder / "run/config.json").read_text())
    assert config["data"]["padding"] == "max_length" and config["mft"]["domain_classifier"] == "shared"
    assert load_file(project.folder / "run/best/mft.safetensors")["mft.domain_classifier.kernel"].shape[-1] == 3


def test_scores_do_not_depend_on_the_devices(trained, tmp_path):
    """17 examples a step on 2 replicas: unequal parts, and a last batch of 14."""
    words = ("runtime.strategy=mirrored", "runtime.logical_cpus=2", "mft.typicality.batch_size=17")
    trained.succeed("typicality", *words, f"output_folder={tmp_path}/run")
    scores = [
        [float(row["typicality"]) for row in trained.read_rows(folder / "scored.tsv")]
        for folder in (tmp_path / "run", trained.folder / "typicality")
    ]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-6)


def test_unlabelled_rows_are_predicted(trained):
    rows = [(f"{text}\t{domain}", label) for text, domain, label in trained.make_rows(6)]
    with_empty_labels = trained.write("empty.tsv", "text\tdomain\tlabel\n" + "".join(f"{row}\t\n" for row, _ in rows))
    without_labels = trained.write("none.tsv", "text\tdomain\n" + "".join(f"{row}\n" for row, _ in rows))
    with_others = trained.write("others.tsv", "text\tdomain\tlabel\n" + "".join(f"{row}\tmeh\n" for row, _ in rows))
    predictions = []
    for number, file in enumerate((with_empty_labels, without_labels, with_others)):
        output = f"prediction.output_file={trained.folder}/unlabelled{number}.tsv"
        run = f"output_folder={trained.folder}/mft"
        trained.succeed("predict", run, f'prediction.input_files=["{file}"]', output)
        found = trained.read_rows(f"unlabelled{number}.tsv")
        predictions.append([{name: value for name, value in one.items() if name != "label"} for one in found])
    assert predictions[0] == predictions[1] == predictions[2] and len(predictions[0]) == 6


def test_stray_spaces_and_crlf_are_accepted_on_request(project):
    project.write("train.tsv", (project.folder / "train.tsv").read_bytes().replace(b"\n", b"\r\n"))
    project.change("train.tsv", 4, lambda line: b"  " + line.replace(b"\t", b" \t ").replace(b"\r", b" \r"))
    out = project.succeed("typicality", "data.strip_whitespace=true")
    assert "scored file: @/run/scored.tsv" in out
    clean = [[field.strip() for field in line] for line in project.make_rows(48, seed=48)]
    assert [list(one.values())[:3] for one in project.read_rows("run/scored.tsv")] == clean


def test_two_domains_are_warned_about(project):
    """A false domain is then the other one, always."""
    project.write_rows("train.tsv", project.make_rows(12, domains=("book", "dvd")))
    project.set("data.dev_files", [])
    project.set("data.test_files", [])
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = project.run("meta_tune", dry_run=True)
    assert (result.code, result.err.count("\n")) == (0, 1)
    assert result.err.startswith("easymft: warning: with 2 domains a false domain is a deterministic flip")


def test_a_mended_mistake_then_a_domain_without_a_class(project):
    """The tokens of the good files are still there; fewer rows than a batch and an empty cell are fine."""
    rows = [line for line in project.make_rows(48, seed=48) if line[1:] != ["dvd", "neg"]]
    project.write_rows("train.tsv", rows)
    project.change("dev.tsv", 3, lambda line: line + b"itive")
    project.fail("meta_tune")
    kept = project.snapshot("run")
    assert any(name.endswith("summary.json") for name in kept)
    project.write_rows("dev.tsv", project.make_rows(12, seed=12))
    assert "train, domain 'dvd': no rows of the class 'neg'" in project.succeed("validate")

    project.succeed("meta_tune", "train.global_batch_size=64", "data.test_files=[]")
    assert kept.items() <= project.snapshot("run").items()
    record = read_object(project.folder / "run/run.json")
    assert record["finished"] and record["training"]["steps"] == 1
    for file in ("model.safetensors", "mft.safetensors"):
        found = load_file(project.folder / "run/best" / file)
        assert all(np.isfinite(value).all() for value in found.values())
    assert np.isfinite(record["training"]["best"]["value"])
    prototypes = np.load(project.folder / "run/typicality/prototypes.npz")
    assert prototypes["counts"].tolist() == [[8, 8], [0, 8], [8, 8]]
    assert np.isfinite(prototypes["prototypes"]).all()
