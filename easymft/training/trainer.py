"""`Trainer`: fit a network from wherever its last state stands, keep the best and the last model."""

import bisect
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from easymft.config.schema import TrainConfig
from easymft.data.batching import BatchPlan
from easymft.errors import CheckpointError, DivergenceError
from easymft.progress import shown_seconds
from easymft.training.callbacks import EpochBar, SaveState, StepSummaries
from easymft.training.resume import FOLDER_NAME, ResumeState
from easymft.training.trainable import Trainable

_DIVERGED = "training has diverged; try a smaller train.learning_rate"


class StepSequence:
    """The global batches of a whole run as one sequence of steps, cut into epochs for evaluation.

    Args:
        plan: Which examples form which batch.
        epochs: Of the run.
        max_steps: Stop after so many steps; None for all.
    """

    def __init__(self, plan: BatchPlan, epochs: int, max_steps: int | None = None):
        self._plan = plan
        self.total_steps = plan.total_steps(epochs)
        self._starts = [plan.total_steps(epoch) for epoch in range(epochs)]
        last = min(max_steps or self.total_steps, self.total_steps)
        self.epoch_ends = sorted({min(end, last) for end in [*self._starts[1:], self.total_steps]})

    def batches(self, start: int, stop: int) -> Sequence[np.ndarray]:
        """The example indexes of steps start to stop - 1, which must lie in one epoch."""
        epoch = bisect.bisect_right(self._starts, start) - 1
        first = self._starts[epoch]
        return self._plan.batches(epoch)[start - first : stop - first]


class Trainer:
    """Trains a compiled `Trainable`, evaluates it after each epoch, and survives being killed.

    Args:
        trainable: Compiled, under the strategy.
        steps: Which examples each step reads.
        make_dataset: (batches, number of the first step) -> data set of features.
        train: The config's train section.
        folder: The run's folder; the state for resuming stands in `resume/`.
        evaluate: Returns dev metrics; must hold the one `train.monitor` names. None where there is no dev data.
        save: Writes the model as it is now under a name, `best` or `last`.
        inputs: A fingerprint of data and initial weights, which must be the same when the run is resumed.
        summaries: TensorBoard; None for none.
        progress: Show a bar for each epoch, and a line with its loss and dev metric when it is done.
    """

    def __init__(
        self,
        trainable: Trainable,
        steps: StepSequence,
        make_dataset: Callable[[Sequence[np.ndarray], int], tf.data.Dataset],
        *,
        train: TrainConfig,
        folder: Path,
        evaluate: Callable[[], dict[str, Any]] | None,
        save: Callable[[str], None],
        inputs: str = "",
        summaries: StepSummaries | None = None,
        progress: bool = True,
    ):
        self._trainable, self._steps, self._make_dataset = trainable, steps, make_dataset
        self._train, self._evaluate, self._save = train, evaluate, save
        self._summaries, self._progress = summaries, progress
        self._mean_loss: float | None = None  # of the epoch; None: it ended before the run was interrupted
        self._resume_folder = folder / FOLDER_NAME
        self._record: dict[str, Any] = {"history": [], "best": None, "seconds": 0.0, "inputs": inputs}

    def fit(self) -> dict[str, Any]:
        """Trains to the end, or to the early stop.

        Returns:
            The record: "history" (a {"step", "metrics"} for each epoch), "best" ({"step", "value"} or None), "seconds",
            "steps" (updates made). The state for resuming stays until `remove_state`, which is called once it is noted
            that the run is finished.

        Raises:
            CheckpointError: The state in the run's folder does not fit the model.
            KeyboardInterrupt: The user stopped the run; its state was saved first.
        """
        state = ResumeState(self._resume_folder, self._trainable)
        restored = state.restore()
        if restored is not None:
            if restored[1]["inputs"] != self._record["inputs"]:
                raise CheckpointError(
                    f"{self._resume_folder}: the data or the initial weights are not those of the interrupted run; "
                    "bring them back, or set runtime.overwrite to start anew"
                )
            self._record = restored[1]
            print(f"resuming after step {restored[0]} of {self._steps.epoch_ends[-1]}", flush=True)
        started = time.perf_counter() - self._record["seconds"]

        def save_state() -> None:
            self._record["seconds"] = time.perf_counter() - started
            state.save(self._step(), self._record)

        try:
            for end in self._steps.epoch_ends:
                self._run_epoch(end, SaveState(self._train.checkpoint_every_steps, save_state))
                if self._stops_early():
                    break
        except KeyboardInterrupt:
            save_state()
            raise
        self._save("last")
        self._record["seconds"] = time.perf_counter() - started
        self._record["steps"] = self._step()
        return self._record

    def _step(self) -> int:
        return int(self._trainable.optimizer.iterations.numpy())

    def _run_epoch(self, end: int, save_state: SaveState) -> None:
        start, started = self._step(), time.perf_counter()
        if start < end:
            epoch = self._steps.epoch_ends.index(end)
            batches = self._steps.batches(start, end)
            if self._summaries:
                self._summaries.batch_sizes = [len(batch) for batch in batches]
            bar = EpochBar(self._epoch_name(end), len(batches), self._progress)
            try:
                logs = self._trainable.fit(
                    self._make_dataset(batches, start),
                    steps_per_epoch=len(batches),
                    initial_epoch=epoch,
                    epochs=epoch + 1,
                    callbacks=[save_state, bar, *([self._summaries] if self._summaries else [])],
                    verbose=0,
                ).history
            finally:
                bar.close()
            if not np.isfinite(logs["loss"][-1]):
                # Under loss scaling the optimizer skips such steps, and the weights stay finite.
                raise DivergenceError(f"the loss is {logs['loss'][-1]} at step {end}: {_DIVERGED}")
            self._mean_loss = float(np.mean(bar.losses))
        if not self._record["history"] or self._record["history"][-1]["step"] < end:
            self._close_epoch(end)
            if self._progress:
                self._tell_epoch(end, time.perf_counter() - started)

    def _epoch_name(self, end: int) -> str:
        return f"epoch {self._steps.epoch_ends.index(end) + 1}/{len(self._steps.epoch_ends)}"

    def _tell_epoch(self, end: int, seconds: float) -> None:
        """One line: what a person wants to know of an epoch before the next one is done."""
        parts = [] if self._mean_loss is None else [f"loss {self._mean_loss:.4f}"]
        value = self._record["history"][-1]["metrics"].get(self._train.monitor)
        if value is not None:
            shown = f"{value:.4f}" if self._train.monitor == "loss" else f"{100 * value:.2f}%"
            best = " (best so far)" if self._record["best"]["step"] == end else ""
            parts.append(f"dev {self._train.monitor.replace('_', '-')} {shown}{best}")
        print(f"{self._epoch_name(end)}: {', '.join([*parts, shown_seconds(seconds)])}", flush=True)

    def _close_epoch(self, step: int) -> None:
        self._check_finite(step)
        metrics = self._evaluate() if self._evaluate else {}
        if self._summaries and metrics:
            self._summaries.write_metrics(step, metrics)
        if not metrics or self._is_better(metrics[self._train.monitor]):
            self._save("best")
            if metrics:
                self._record["best"] = {"step": step, "value": metrics[self._train.monitor]}
        self._record["history"].append({"step": step, "metrics": metrics})

    def _check_finite(self, step: int) -> None:
        """Before anything is saved, as without dev files nobody looks at the outputs."""
        for variable in self._trainable.trainable_variables:
            if not np.isfinite(tf.reduce_sum(variable).numpy()):
                raise DivergenceError(
                    f"weights are not finite after step {step}: {_DIVERGED}"
                )

    def _is_better(self, value: float) -> bool:
        best = self._record["best"]
        if best is None:
            return True
        return value < best["value"] if self._train.monitor == "loss" else value > best["value"]

    def _stops_early(self) -> bool:
        patience, best = self._train.early_stopping_patience, self._record["best"]
        if patience is None or best is None:
            return False
        return sum(entry["step"] > best["step"] for entry in self._record["history"]) >= patience
