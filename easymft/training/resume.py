"""Keeping the whole state of a training run, so that a killed run goes on as if it had never stopped."""

import json
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from easymft.errors import CheckpointError
from easymft.files import replacing
from easymft.training.trainable import Trainable

FOLDER_NAME = "resume"


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
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=2)

    def _record_file(self, step: int) -> Path:
        return self._folder / f"record-{step}.json"

    def save(self, step: int, record: dict[str, Any]) -> None:
        """Writes the state after `step` updates; one that is cut short leaves the one before in force."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._record_file(step)) as part:
            part.write_text(json.dumps(record))
        if self._newest() == step:
            return  # a second save of a step has only the record to renew
        self._manager.save(checkpoint_number=step)
        kept = {int(path.rsplit("-", 1)[1]) for path in self._manager.checkpoints}
        for old in self._folder.glob("record-*.json"):
            if int(old.stem.rsplit("-", 1)[1]) not in kept:
                old.unlink()

    def _newest(self) -> int | None:
        newest = self._manager.latest_checkpoint
        return None if newest is None else int(newest.rsplit("-", 1)[1])

    def restore(self) -> tuple[int, dict[str, Any]] | None:
        """Goes back to the newest state that can be read.

        Returns:
            (updates made, the record), or None where there is no state.

        Raises:
            CheckpointError: No state can be read, or it is of another model.
        """
        paths = list(reversed(self._manager.checkpoints))
        for older, path in enumerate(paths):
            try:
                return self._restore(path)
            except CheckpointError as error:
                if older + 1 == len(paths):
                    raise
                print(f"{error}; going back to the state before it", flush=True)
        return None

    def _restore(self, newest: str) -> tuple[int, dict[str, Any]]:
        step = int(newest.rsplit("-", 1)[1])
        try:
            self._checkpoint.restore(newest).assert_existing_objects_matched().assert_consumed()
            return step, json.loads(self._record_file(step).read_text())
        except (AssertionError, ValueError, OSError, tf.errors.OpError) as error:
            raise CheckpointError(
                f"{newest}: the state of the interrupted run does not fit this model ({str(error).splitlines()[0]}); "
                "remove the folder to start anew"
            ) from error
