"""Keeping the whole state of a training run, so that a killed run goes on as if it had never stopped."""

import re
import shutil
from pathlib import Path
from types import NoneType
from typing import Any

import tensorflow as tf
import tf_keras
from google.protobuf.message import DecodeError

from easymft.checksums import file_digest, read_object, write_object
from easymft.errors import CheckpointError, DamagedError, one_line
from easymft.files import new_folder, without_wildcards
from easymft.training.trainable import Trainable

FOLDER_NAME = "resume"
_KEPT = 2
_STATE_FILE = re.compile(r"(?:record|ckpt)-(\d+)\.(?:json|index|data-.*)")
_DIGEST = "index_sha256"  # in the record


def random_generators(model: tf_keras.Model) -> list[tf.random.Generator]:
    """The generators from which the model's dropout layers draw, in a stable order.

    tf_keras keeps them out of checkpoints, so that old ones stay readable; to go on with the same masks takes them.

    Raises:
        ValueError: A layer that draws random numbers is not built yet, or draws from no generator.
    """
    generators = []
    for module in model.submodules:
        if isinstance(module, tf_keras.__internal__.layers.BaseRandomLayer):
            generator = getattr(module._random_generator, "_generator", None)
            if generator is None:
                raise ValueError(
                    f"every random layer must be built with a generator. Received: {module.name} without one"
                )
            generators.append(generator)
    return generators


def remove_state(run: Path) -> None:
    """Removes the state of the run in a folder, once it is noted that the run is finished."""
    shutil.rmtree(run / FOLDER_NAME, ignore_errors=True)


class StartingPoint:
    """The values from which a network's training starts, kept to start another one on the same traced step.

    Args:
        network: With all its variables made.
    """

    def __init__(self, network: tf_keras.Model):
        self._variables = [*network.variables, *(generator.state for generator in random_generators(network))]
        self._values = [variable.numpy() for variable in self._variables]

    def restore(self) -> None:
        """Goes back to them; the optimizer has a `restart_optimizer` of its own."""
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)


class ResumeState:
    """The kill-safe state: weights, optimizer, random generators, and a JSON record of the run so far.

    The record is written last and makes the state valid. It has the digest of TensorFlow's index, which has those of
    all tensors, so that damage anywhere is found when the state is read.

    Args:
        folder: Where the two newest states are kept.
        trainable: Compiled, with all variables made.
    """

    def __init__(self, folder: Path, trainable: Trainable):
        self._folder = folder
        # Under the strategy: moments made outside of it would be one plain variable that every replica advances.
        with trainable.distribute_strategy.scope():
            trainable.optimizer.build(trainable.network.trainable_variables)
        self._checkpoint = tf.train.Checkpoint(
            network=trainable.network,
            optimizer=trainable.optimizer,
            # Each replica's own: how far one has drawn depends on its share of the rows.
            generators=[
                trainable.distribute_strategy.experimental_local_results(generator.state)
                for generator in random_generators(trainable)
            ],
        )
        self._checkpoint.save_counter  # noqa: B018  Makes it: `restore` looks for it, and `write` alone would not.
        self._digests: dict[int, str] = {}  # step -> that of its index, where it is as this object wrote or read it

    def _file(self, step: int, ending: str) -> Path:
        return self._folder / (f"record-{step}.json" if ending == "json" else f"ckpt-{step}.{ending}")

    def save(self, step: int, record: dict[str, Any]) -> None:
        """Writes the state after `step` updates; one that is cut short leaves the one before in force."""
        if step not in self._digests:  # a second save of a step has only the record to renew
            self._write(step)
        write_object(self._file(step, "json"), record | {_DIGEST: self._digests[step]})
        kept = self._steps()[:_KEPT]
        for file in sorted(self._folder.iterdir(), reverse=True):  # the records first
            found = _STATE_FILE.fullmatch(file.name)
            if found and int(found[1]) not in kept:
                file.unlink()

    def _write(self, step: int) -> None:
        self._file(step, "json").unlink(missing_ok=True)  # of what stood there until now
        with new_folder(self._folder / f"ckpt-{step}") as part:
            with without_wildcards(part) as plain:
                self._checkpoint.write(str(plain / f"ckpt-{step}"))
            for file in part.iterdir():
                file.replace(self._folder / file.name)
        self._digests[step] = file_digest(self._file(step, "index"))

    def _steps(self) -> list[int]:
        """Those with a record, newest first."""
        names = [file.name for file in self._folder.iterdir()] if self._folder.is_dir() else []
        found = [_STATE_FILE.fullmatch(name) for name in names if name.startswith("record-")]
        return sorted((int(one[1]) for one in found if one), reverse=True)

    def restore(self) -> tuple[int, dict[str, Any]] | None:
        """Goes back to the newest state that can be read.

        Returns:
            (updates made, the record), or None where there is no state.

        Raises:
            CheckpointError: No state can be read, or it is of another model.
        """
        steps = self._steps()
        for older, step in enumerate(steps):
            try:
                return step, self._restore(step)
            except CheckpointError as error:
                if older + 1 == len(steps):
                    raise CheckpointError(
                        f"{error}; put back a copy of {self._folder}, or remove it to start the training anew"
                    ) from error
                print(f"{error}; going back to the state before it", flush=True)
        return None

    def _restore(self, step: int) -> dict[str, Any]:
        try:
            record = read_object(self._file(step, "json"))
            _check_record(record)
            digest = file_digest(self._file(step, "index"))
            if record.pop(_DIGEST, digest) != digest:
                raise ValueError(f"{self._file(step, 'index').name} is not as it was written")
            with without_wildcards(self._folder) as plain:
                status = self._checkpoint.restore(str(plain / f"ckpt-{step}"))
            status.assert_existing_objects_matched().assert_consumed()
        except DamagedError as error:
            raise CheckpointError(f"{error}: a state of the interrupted run is damaged") from error
        except (AssertionError, ValueError, OSError, RuntimeError, IndexError, tf.errors.OpError, DecodeError) as error:
            raise CheckpointError(
                f"{self._folder / f'ckpt-{step}'}: the state of the interrupted run is damaged or does not fit this "
                f"model ({one_line(error)[:200]})"
            ) from error
        self._digests = {step: digest}
        return record


def _check_record(record: dict[str, Any]) -> None:
    """Raises ValueError where a record, as of a version without checksums, is not what a trainer goes on with."""
    kinds = {"history": list, "best": (dict, NoneType), "seconds": (int, float), "inputs": str}
    wrong = [name for name, kind in kinds.items() if not isinstance(record.get(name, ...), kind)]
    entries = [] if wrong else record["history"] + [record["best"] or {"step": 0}]
    if wrong or not all(isinstance(entry, dict) and isinstance(entry.get("step"), int) for entry in entries):
        raise ValueError(f"its record is not complete: {', '.join(wrong) or 'history, best'}")
