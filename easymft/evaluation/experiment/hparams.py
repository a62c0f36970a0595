"""The cells of an experiment for TensorBoard's HParams page."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.hparams import api

from easymft.evaluation.experiment.results import CellResult, key_name
from easymft.files import new_folder, remove_folder

HPARAMS = ("method", "setting", "amount", "domain", "seed", "learning_rate")
_METRICS = {"dev/accuracy": "dev accuracy", "test/accuracy": "test accuracy"}


def write_hparams(folder: str | Path, cells: Sequence[CellResult]) -> None:
    """Writes a session for each cell: `HPARAMS`, and accuracy on dev and test.

    All of it is written anew beside `folder`, which it then replaces; so a repeat changes nothing, and cells that are
    gone go from the page.

    Args:
        folder: Of nothing but this; `tensorboard --logdir` takes it or any folder above.
        cells: Of all learning rates.
    """
    folder = Path(folder)
    with new_folder(folder) as part:
        _write_config(part, cells)
        for cell in cells:
            _write_session(part / key_name(cell.key), cell)
        remove_folder(folder)
        part.rename(folder)


def _write_config(folder: Path, cells: Sequence[CellResult]) -> None:
    hparams = [api.HParam(name, api.Discrete(sorted({getattr(cell, name) for cell in cells}))) for name in HPARAMS]
    metrics = [api.Metric(tag, display_name=shown) for tag, shown in _METRICS.items()]
    with _writing(folder):
        api.hparams_config(hparams, metrics)


def _write_session(folder: Path, cell: CellResult) -> None:
    with _writing(folder):
        api.hparams({name: getattr(cell, name) for name in HPARAMS}, trial_id=" / ".join(map(str, cell.key)))
        tf.summary.scalar("dev/accuracy", cell.dev.accuracy)
        tf.summary.scalar("test/accuracy", cell.test.accuracy)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    writer = tf.summary.create_file_writer(str(folder))
    try:
        with writer.as_default(step=0):
            yield
    finally:
        writer.close()
