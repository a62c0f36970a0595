"""--mode predict: label and probabilities for every row, in input order, in constant memory."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.progress import Progress

from app_zoo.base import Application
from app_zoo.inputs import padded_length
from app_zoo.run_folder import check_writable
from app_zoo.stages.trained import PartInference, TrainedRun, load_preprocessor, open_run
from easymft.data.batching import PREFETCHED_BATCHES, with_options
from easymft.data.label_map import LabelMap
from easymft.data.reading import ExampleBatch, read_examples
from easymft.data.sources import expand_files
from easymft.data.text_preprocessor import TextPreprocessor
from easymft.data.writing import TableWriter, check_rows, same_form
from easymft.errors import ConfigError

_PARALLEL_BATCHES = 2  # tokenised at once


def run(app: Application) -> None:
    """Predicts `prediction.input_files` with the run in the output folder."""
    trained = open_run(app)
    trained.check_domain_column()
    settings = app.config.prediction
    like_input, _ = same_form(app.folder.path / "predictions", settings.input_files, app.config.data)
    target = Path(settings.output_file or like_input)
    _check_target(app, target)
    labels = trained.maps.labels.names
    names = list(_columns(np.zeros([0, len(labels)]), labels))
    if not app.dry_run:
        # A bad row at the end, or one that the file to write cannot hold, is told before hours go into the others.
        for batch in _batches(app, trained):
            check_rows(target, batch.table, names, lambda index, batch=batch: f"{batch.file} row {batch.rows[index]}")
    predictor = Predictor(app, trained)
    with nullcontext() if app.dry_run else TableWriter(target) as writer, Progress(
        *Progress.get_default_columns(), "{task.completed} rows", disable=not app.config.runtime.progress
    ) as progress:
        task = progress.add_task("predict", total=None)
        for batch in _batches(app, trained):
            probabilities = predictor(batch)
            if app.dry_run:
                return
            writer.write(batch.table, _columns(probabilities, labels))
            progress.advance(task, len(batch.rows))
    print(f"predictions: {target}", flush=True)


def _check_target(app: Application, target: Path) -> None:
    check_writable("prediction.output_file", target, file=True)
    for file in expand_files(app.config.prediction.input_files):
        if target.exists() and target.samefile(file):
            raise ConfigError(f"prediction.output_file: {target} is one of the input files; name another file")


def _batches(app: Application, trained: TrainedRun) -> Iterator[ExampleBatch]:
    one_model = trained.parts == [""]
    with app.skipped_rows("input") or nullcontext() as skipped_rows:
        yield from read_examples(
            app.config.prediction.input_files,
            app.config.data,
            pair=app.pair,
            domains=None if one_model else LabelMap(tuple(trained.parts)),
            need_label=False,
            unread_columns=("label", "weight", "typicality", "id") + (("domain",) if one_model else ()),
            chunk_size=app.config.prediction.chunk_size,
            skipped_rows=skipped_rows,
        )


def _columns(probabilities: np.ndarray, labels: tuple[str, ...]) -> dict[str, list]:
    predicted = [labels[index] for index in probabilities.argmax(1)]
    shares = {f"probability_{label}": probabilities[:, index].tolist() for index, label in enumerate(labels)}
    return {"predicted_label": predicted} | shares


class Predictor:
    """Probabilities for batches of examples, each row by the model of its domain where there are several.

    There is one network in memory, whatever the number of domains.

    Args:
        app: The application, for device, batch size and padding.
        trained: The run.
    """

    def __init__(self, app: Application, trained: TrainedRun):
        self._batch_size = app.config.prediction.batch_size
        self._length = padded_length(app)
        self._num_labels = len(trained.maps.labels.names)
        self._preprocessor: TextPreprocessor = load_preprocessor(trained)
        names = ["text", "text_pair"] if app.pair else ["text"]
        signature = dict.fromkeys(names, tf.TensorSpec([None], tf.string)) | {"index": tf.TensorSpec([None], tf.int64)}
        self._tokenise = tf.function(self._tokenised, input_signature=[signature])  # traced once, not for every chunk
        self._parts, self._inference = trained.parts, PartInference(app, trained)

    def __call__(self, batch: ExampleBatch) -> np.ndarray:
        """Probabilities [n, M] float32 of a batch's rows."""
        logits = np.zeros([len(batch.rows), self._num_labels], np.float32)
        for part, rows in self._rows_by_model(batch).items():
            for index, outputs in self._inference(part)(self._dataset(batch, rows)):
                logits[index] = outputs["logits"]
        return tf.nn.softmax(logits).numpy()

    def _rows_by_model(self, batch: ExampleBatch) -> dict[str, np.ndarray]:
        if self._parts == [""]:
            return {"": np.arange(len(batch.rows))}
        domains = np.array(batch.domain)
        return {part: rows for part in self._parts if len(rows := np.flatnonzero(domains == part))}

    def _tokenised(self, part: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        features = self._preprocessor(part["text"], part.get("text_pair"), self._length)
        return features | {"index": part["index"]}

    def _dataset(self, batch: ExampleBatch, rows: np.ndarray) -> tf.data.Dataset:
        """Batches of token ids; texts of like length together, since a batch is padded to its longest."""
        lengths = [len(batch.text[row]) + len(batch.text_pair[row] if batch.text_pair else "") for row in rows]
        rows = rows[np.argsort(lengths, kind="stable")]
        texts = {"text": [batch.text[row] for row in rows], "index": rows.astype(np.int64)}
        if batch.text_pair:
            texts["text_pair"] = [batch.text_pair[row] for row in rows]
        dataset = with_options(tf.data.Dataset.from_tensor_slices(texts)).batch(self._batch_size)
        return dataset.map(self._tokenise, num_parallel_calls=_PARALLEL_BATCHES).prefetch(PREFETCHED_BATCHES)
