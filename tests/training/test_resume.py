"""The states of an interrupted run on disk: two are kept, in any folder, and no damage to one is overlooked."""

import json
import os

import numpy as np
import pytest

from easymft.config.schema import TrainConfig
from easymft.errors import CheckpointError
from easymft.training.optimizer import build_optimizer
from easymft.training.resume import ResumeState
from easymft.training.trainable import Trainable

RECORD = {"history": [{"step": 1, "metrics": {}}], "best": None, "seconds": 1.5, "inputs": "data"}
NAMES = {"ckpt-{}.data-00000-of-00001", "ckpt-{}.index", "record-{}.json"}


def files_of(*steps):
    return sorted(name.format(step) for step in steps for name in NAMES)


@pytest.fixture
def trainable(make_finetuner):
    trainable = Trainable(make_finetuner())
    trainable.compile(optimizer=build_optimizer(TrainConfig(optimizer="adamw", schedule="linear"), 10))
    return trainable


def fill(trainable, value):
    for variable in trainable.network.trainable_variables:
        variable.assign(variable * 0.0 + value)


def value_of(trainable):
    return {float(np.unique(variable.numpy())[0]) for variable in trainable.network.trainable_variables}


@pytest.fixture
def saved(trainable, tmp_path):
    """States of step 1, 2 and 3, in which all weights are the step's number."""
    folder = tmp_path / "resume"
    state = ResumeState(folder, trainable)
    for step in (1, 2, 3):
        fill(trainable, step)
        state.save(step, RECORD | {"seconds": float(step)})
    fill(trainable, 9)
    return folder


def test_the_two_newest_states_are_kept(saved, trainable):
    assert sorted(file.name for file in saved.iterdir()) == files_of(2, 3)
    step, record = ResumeState(saved, trainable).restore()
    assert (step, record) == (3, RECORD | {"seconds": 3.0}) and value_of(trainable) == {3.0}


def test_a_second_save_of_a_step_has_the_record_to_renew(saved, trainable):
    state = ResumeState(saved, trainable)
    state.restore()
    written = (saved / "ckpt-3.index").stat().st_mtime_ns
    state.save(3, RECORD | {"seconds": 4.0})
    assert (saved / "ckpt-3.index").stat().st_mtime_ns == written
    assert ResumeState(saved, trainable).restore()[1]["seconds"] == 4.0


@pytest.mark.parametrize("name", ["proj [2024]", "a*b", "what?", "50 % ünï", "x" * 120 + "/" + "y" * 120])
def test_a_folder_of_any_name(trainable, tmp_path, name):
    folder = tmp_path / name / "resume"
    state = ResumeState(folder, trainable)
    for step in (1, 2, 3):
        fill(trainable, step)
        state.save(step, RECORD)
    fill(trainable, 9)
    assert sorted(file.name for file in folder.iterdir()) == files_of(2, 3)
    assert ResumeState(folder, trainable).restore() == (3, RECORD) and value_of(trainable) == {3.0}


def damages(content):
    """Flipped bits at many places, a cut, nothing, another header."""
    for place in range(3, len(content), max(1, len(content) // 7)):
        yield content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
    yield from (content[: len(content) // 2], content[:-1], b"", b"\x93NUMPY\x01\0" + content[8:])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_whatever_is_damaged_of_the_newest_the_one_before_is_taken(saved, trainable, capsys, name):
    file = saved / name.format(3)
    content = file.read_bytes()
    for damaged in damages(content):
        file.write_bytes(damaged)
        fill(trainable, 9)
        step, record = ResumeState(saved, trainable).restore()
        said = capsys.readouterr().out
        if step == 3:  # in white space
            assert record == RECORD | {"seconds": 3.0} and value_of(trainable) == {3.0} and said == ""
        else:
            assert (step, record["seconds"]) == (2, 2.0) and value_of(trainable) == {2.0}
            assert "state of the interrupted run" in said and said.endswith("; going back to the state before it\n")
            assert said.count("\n") == 1 and str(saved) in said
    file.unlink()
    assert ResumeState(saved, trainable).restore()[0] == 2


def test_the_state_that_was_damaged_is_written_anew(saved, trainable):
    (saved / "ckpt-3.index").write_bytes(b"")
    state = ResumeState(saved, trainable)
    assert state.restore()[0] == 2
    fill(trainable, 3)
    state.save(3, RECORD)
    fill(trainable, 9)
    assert ResumeState(saved, trainable).restore() == (3, RECORD) and value_of(trainable) == {3.0}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_if_all_are_damaged_one_line_says_what_to_do(saved, trainable, name):
    for step in (2, 3):
        (saved / name.format(step)).write_bytes(b"other")
    with pytest.raises(CheckpointError) as error:
        ResumeState(saved, trainable).restore()
    assert str(error.value).endswith(f"; put back a copy of {saved}, or remove it to start the training anew")
    assert "state of the interrupted run" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [{"history": {}}, {"history": [1]}, {"history": [{}]}, {"best": []}, {"best": {"value": 1}}, {"seconds": "1"}]
    + [{"inputs": None}],
)
def test_the_record_of_an_earlier_version_is_checked_too(saved, trainable, capsys, change):
    record = json.loads((saved / "record-3.json").read_text())
    old = {key: value for key, value in record.items() if key not in ("sha256", "index_sha256")}
    (saved / "record-3.json").write_text(json.dumps(old))
    assert ResumeState(saved, trainable).restore() == (3, RECORD | {"seconds": 3.0})
    (saved / "record-3.json").write_text(json.dumps(old | change))
    assert ResumeState(saved, trainable).restore()[0] == 2
    assert "its record is not complete" in capsys.readouterr().out


@pytest.mark.parametrize("moment", range(6))
def test_a_process_that_dies_while_it_saves_leaves_a_state(saved, trainable, monkeypatch, moment):
    """It dies at its first, second, ... change of a name; what it leaves is gone after the next save."""

    class Dead(BaseException):
        pass

    def dying(rename):
        def change(self, *words, **options):
            if len(made) == moment:
                raise Dead
            made.append(self)
            return rename(self, *words, **options)

        return change

    made = []
    fill(trainable, 4)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink", "rename"):
            patch.setattr(f"pathlib.Path.{name}", dying(getattr(type(saved), name)))
        state = ResumeState(saved, trainable)
        try:
            state.save(4, RECORD | {"seconds": 4.0})
        except Dead:
            pass
    fill(trainable, 9)
    step, record = ResumeState(saved, trainable).restore()
    assert step in (3, 4) and record["seconds"] == step and value_of(trainable) == {float(step)}
    state = ResumeState(saved, trainable)
    state.restore()
    for step in (4, 5):
        fill(trainable, step)
        state.save(step, RECORD)
    left = [name for name in os.listdir(saved) if not name.startswith(".part.")]  # of a process that lives: this one
    assert sorted(left) == files_of(4, 5)
