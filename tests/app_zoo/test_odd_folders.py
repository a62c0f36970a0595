"""Folders with names that TensorFlow takes for globs, and other odd ones: every mode works in them."""

import os
import tempfile

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from easymft.data.sources import expand_files
from easymft.evaluation.experiment.results import read_cells
from easymft.training.callbacks import SaveState

ODD = f"proj [2024]/a*b what? 50% ünï/{'x' * 120}"


@pytest.fixture
def odd(project, tmp_path):
    """A project of which all is in a folder of an odd name; links that stand for it are gone at the end."""
    before = set(os.listdir(tempfile.gettempdir()))
    yield project.copy(tmp_path / ODD)
    left = [name for name in set(os.listdir(tempfile.gettempdir())) - before if f".{os.getpid()}." in name]
    assert left == []


def stop_after(step, monkeypatch):
    """As a user who interrupts the training."""

    def stop(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == step:
            raise KeyboardInterrupt
        went_on(self, batch, logs)

    went_on = SaveState.on_train_batch_end
    monkeypatch.setattr(SaveState, "on_train_batch_end", stop)


def test_training_is_resumed_and_its_model_used(odd, monkeypatch):
    run = odd.folder / "run"
    words = ("meta_tune", "train.checkpoint_every_steps=1", "data.test_files=[]")
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        assert odd.run(*words).code == 130
    assert [sorted(file.name for file in (run / "resume").glob("*.index"))] == [["ckpt-3.index", "ckpt-4.index"]]
    assert "resuming after step 4 of 6" in odd.succeed(*words)
    assert not (run / "resume").exists()
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert "train/loss" in events.Tags()["scalars"] or "train/loss" in events.Tags()["tensors"]
    assert (run / "tensorboard" / "projector_config.pbtxt").exists()
    said = odd.succeed("export")
    assert "SavedModel: " in said and (run / "saved_model" / "1" / "variables" / "variables.index").exists()
    assert "already exported" in odd.succeed("export")
    for mode in ("evaluate", "predict"):
        odd.succeed(mode)
    assert [path for path in odd.folder.rglob("*") if path.name.startswith(".part.")] == []


@pytest.mark.parametrize("kind", ["tf1", "tf2", "huggingface"])
def test_weights_are_converted_and_read_again(odd, kind):
    target = odd.folder / "con [v]*"
    said = odd.succeed("convert", f"convert.format={kind}", f"convert.folder={target}")
    assert f"-> {kind} in @/con [v]*" in said and "probe batch: 0" in said
    words = (f"model.weights={target}", f"model.weights_format={kind}", "train.domains=union", "data.test_files=[]")
    odd.succeed("finetune", *words, dry_run=True)
    if kind != "huggingface":  # a prefix that is odd itself
        for file in target.glob("bert_model.ckpt.*"):
            file.rename(target / file.name.replace("bert_model", "b[1]?"))
        (target / "easymft.sha256").unlink()
        for weights in (target, target / "b[1]?.ckpt"):
            odd.succeed("finetune", f"model.weights={weights}", *words[1:], dry_run=True)


def test_scores_and_an_experiment(odd, fake):
    assert "scored file: @/run/scored.tsv" in odd.succeed("typicality")
    odd.set_experiment(methods=["mix", "single"])
    odd.succeed("experiment", f"output_folder={odd.folder}/experiment")
    assert len(read_cells(odd.folder / "experiment")) == 18
    assert (odd.folder / "experiment" / "summary" / "hparams").is_dir()


def test_globs_below_a_folder_with_brackets(tmp_path):
    for name in ("proj [2024]", "proj 2"):
        (tmp_path / name / "data").mkdir(parents=True)
        for file in ("a.tsv", "b.tsv"):
            (tmp_path / name / "data" / file).write_text("x")
    expected = [str(tmp_path / "proj [2024]" / "data" / file) for file in ("a.tsv", "b.tsv")]
    assert expand_files([f"{tmp_path}/proj [2024]/data/*.tsv"]) == expected
    assert expand_files([f"{tmp_path}/proj [2024]/**/*.tsv"]) == expected
    assert len(expand_files([f"{tmp_path}/proj*/data/[a].tsv"])) == 2
