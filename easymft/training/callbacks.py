"""What happens around training steps: saving the state, and writing to TensorBoard."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import tensorflow as tf
import tf_keras

from easymft.progress import progress_bar


class SaveState(tf_keras.callbacks.Callback):
    """Calls `save` after every `every_steps` updates.

    Args:
        every_steps: Counted over the whole run by the optimizer.
        save: Writes the state.
    """

    def __init__(self, every_steps: int, save: Callable[[], None]):
        super().__init__()
        self._every_steps = every_steps
        self._save = save

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Saves if the step is due."""
        if int(self.model.optimizer.iterations.numpy()) % self._every_steps == 0:
            self._save()


class StepSummaries(tf_keras.callbacks.Callback):
    """Writes each step's losses, their theoretical floor, learning rate, gradient norm and speed to TensorBoard.

    Args:
        folder: Of the event files.
        domain_loss_floor: Drawn beside the domain losses; None where there is none.
    """

    def __init__(self, folder: Path, domain_loss_floor: float | None = None):
        super().__init__()
        self.writer = tf.summary.create_file_writer(str(folder))
        self.batch_sizes: Sequence[int] = ()  # of the epoch that runs; the trainer sets it
        self._floor = domain_loss_floor
        self._started = None

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Writes the step's scalars."""
        seconds = time.perf_counter() - self._started
        step = int(self.model.optimizer.iterations.numpy())
        with self.writer.as_default(step=step):
            for name, value in (logs or {}).items():
                group, name = (
                    ("train", name) if not name.startswith("domain_loss_layer") else ("domain_loss_by_layer", name)
                )
                tf.summary.scalar(f"{group}/{name}", value)
            if self._floor is not None:
                tf.summary.scalar("domain_loss_by_layer/theoretical_floor", self._floor)
            tf.summary.scalar("train/learning_rate", tf_keras.backend.get_value(self.model.optimizer.learning_rate))
            tf.summary.scalar("speed/examples_per_second", self.batch_sizes[batch] / seconds)

    def write_metrics(self, step: int, metrics: dict[str, float]) -> None:
        """Writes dev metrics, {"accuracy": 0.9, "accuracy_books": 0.8, ...}, at a step, grouped by metric."""
        with self.writer.as_default(step=step):
            metric_of = {
                name: next(metric for metric in ("accuracy", "macro_f1", "loss") if name.startswith(metric))
                for name in metrics
            }
            domain_of = {name: name.removeprefix(metric).removeprefix("_") for name, metric in metric_of.items()}
            shown = cut_names(domain_of.values())
            for name, value in metrics.items():
                metric, domain = metric_of[name], shown[domain_of[name]]
                name = "all (domain)" if domain == "all" else domain or "all"
                tf.summary.scalar(f"dev_{metric}/{name}", value)
        self.writer.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Makes sure that what was written can be seen."""
        self.writer.flush()


class EpochBar(tf_keras.callbacks.Callback):
    """Shows a bar for an epoch, in place of Keras' own, whose losses run over the edge of a terminal.

    Args:
        name: Such as "epoch 1/3".
        steps: Updates of the epoch that are still to come.
        show: Whether to show it.

    Attributes:
        losses: The loss of each update so far.
    """

    def __init__(self, name: str, steps: int, show: bool):
        super().__init__()
        self._name, self._steps, self._show = name, steps, show
        self._stack = ExitStack()
        self.losses: list[float] = []

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Opens the bar."""
        bar = progress_bar(self._name, self._steps, show=self._show, unit="steps", told=False)
        self._advance = self._stack.enter_context(bar)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Moves on by a step."""
        self.losses.append(float(logs["loss"]))
        self._advance(1)

    def close(self) -> None:
        """Takes the bar away, also after an error."""
        self._stack.close()
