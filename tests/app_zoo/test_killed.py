"""A process that is killed at any moment: the same command goes on, comes to the same, and cleans up what was left."""

import shutil
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from easymft import files

WORDS = ("finetune", 'train.domains=["book", "dvd"]', "train.average_domains=0.5", "train.checkpoint_every_steps=1")

MOMENTS = (2, 9, 21, 40)  # of some 70 changes


class Dead(BaseException):
    """After it nothing changes on disk, as `finally` does nothing for a process that was killed."""


def run_and_die(project, moment):
    """Runs the command up to its change number `moment` of names on disk; returns whether it came so far."""

    def dying(change):
        def step(*words, **options):
            if len(made) >= moment:
                raise Dead
            made.append(words)
            return change(*words, **options)

        return step

    made = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "rename", "unlink"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
        try:
            project.run(*WORDS)
        except Dead:
            return True
    return False


def result_of(project):
    run = project.folder / "run"
    weights = {name: load_file(run / name / "best" / "model.safetensors") for name in ("book", "dvd")}
    texts = {(name, key): value.tobytes() for name, tensors in weights.items() for key, value in tensors.items()}
    left = sorted(str(path.relative_to(run)) for path in run.rglob("*") if "tensorboard" not in path.parts)
    return texts, left, (run / "metrics.json").read_bytes()


def test_the_same_command_cleans_up(project, tmp_path, monkeypatch):
    whole = project.copy(tmp_path / "whole")
    whole.succeed(*WORDS)
    for moment in MOMENTS:
        killed = project.copy(tmp_path / f"killed_{moment}")
        assert run_and_die(killed, moment)
        monkeypatch.setattr(files, "_STARTED", time.time_ns())  # a new process, of the same number
        killed.succeed(*WORDS)
        assert result_of(killed) == result_of(whole), moment
