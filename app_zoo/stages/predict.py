"""--mode predict: label and probabilities for every row, in input order, in constant memory."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from scipy.special import softmax

from app_zoo.base import Application
from app_zoo.inputs import padded_length
from app_zoo.run_folder import check_writable
from app_zoo.stages.trained import PartInference, TrainedRun, load_preprocessor, open_run
from easymft.data.batching import PREFETCHED_BATCHES, with_options
from easymft.data.label_map import LabelMap
from easymft.data.reading import ExampleBatch, read_examples
from easymft.data.sources import expand_files
from easymft.data.table_checks import TablePlan
from easymft.data.table_form import form_of_predictions
from easymft.data.text_preprocessor import TextPreprocessor
from easymft.data.token_fit import TokenFit
from easymft.data.writing import TableWriter
from easymft.errors import ConfigError
from easymft.progress import progress_bar

_PARALLEL_BATCHES = 2  # tokenised at once
_DECIMALS = 6  # of probabilities


def run(app: Application) -> None:
    """Predicts `prediction.input_files` with the run in the output folder."""
    trained = open_run(app)
    trained.check_domain_column()
    settings, labels = app.config.prediction, trained.maps.labels.names
    form = form_of_predictions(app.folder.path, settings.output_file, settings.input_files, app.config.data)
    _check_target(app, form.path)
    plan = TablePlan(form, _schema(labels, app.config.data.bad_rows == "skip"), labels)
    rows = 0
    if not app.dry_run:
        # A bad row at the end, or one that the file to write cannot hold, is told before hours go into the others.
        for batch in _batches(app, trained):
            plan.check(batch.table, lambda index, batch=batch: f"{batch.file} row {batch.rows[index]}")
            rows += len(batch.rows)
        _check_target(app, plan.form.path)
        if plan.form.note:
            print(f"note: predictions go to {plan.form.path}, as {plan.form.note}", flush=True)
    predictor = Predictor(app, trained)
    bar = progress_bar("predicting", rows, show=app.config.runtime.progress and not app.dry_run, told=False)
    with nullcontext() if app.dry_run else TableWriter(plan) as writer, bar as advance:
        for batch in _batches(app, trained):
            probabilities = predictor(batch)
            if app.dry_run:
                return
            writer.write(batch.table, _columns(probabilities, labels, batch.problem))
            advance(len(batch.rows))
    for line in predictor.fit.describe(app.config.data.max_sequence_length, least=0.0):
        warnings.warn(f"input files: {line}", stacklevel=2)
    print(f"predictions: {writer.form.path} ({writer.rows:,} row{'s' * (writer.rows != 1)})", flush=True)


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
            keep_bad_rows=True,
        )


def _schema(labels: Sequence[str], with_problems: bool) -> pa.Schema:
    shares = [(f"probability_{label}", pa.float64()) for label in labels]
    return pa.schema([("predicted_label", pa.string()), *shares, *([("problem", pa.string())] * with_problems)])


def _columns(
    probabilities: np.ndarray, labels: Sequence[str], problem: Sequence[str | None] | None
) -> dict[str, Sequence[Any]]:
    """The columns of `_schema`; a row with a problem has nothing but it."""
    bad = np.zeros(len(probabilities), bool) if problem is None else np.array([one is not None for one in problem])
    predicted = np.where(bad, None, np.array(labels, object)[probabilities.argmax(1)])
    shares = np.where(bad[:, np.newaxis], None, probabilities.round(_DECIMALS))
    columns = {"predicted_label": predicted.tolist()}
    columns |= {f"probability_{label}": shares[:, index].tolist() for index, label in enumerate(labels)}
    return columns if problem is None else columns | {"problem": problem}


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
        self._unknown_id = self._preprocessor.vocabulary.ids["[UNK]"]
        self._counts = tf.Variable(tf.zeros([4], tf.int64))  # as TokenFit has them
        names = ["text", "text_pair"] if app.pair else ["text"]
        signature = dict.fromkeys(names, tf.TensorSpec([None], tf.string)) | {"index": tf.TensorSpec([None], tf.int64)}
        self._tokenise = tf.function(self._tokenised, input_signature=[signature])  # traced once, not for every chunk
        self._parts, self._inference = trained.parts, PartInference(app, trained)

    def __call__(self, batch: ExampleBatch) -> np.ndarray:
        """Probabilities [n, M] float64 of a batch's rows; of bad ones they say nothing."""
        logits = np.zeros([len(batch.rows), self._num_labels], np.float32)
        for part, rows in self._rows_by_model(batch).items():
            for index, outputs in self._inference(part)(self._dataset(batch, rows)):
                logits[index] = outputs["logits"]
        return softmax(logits.astype(np.float64), axis=1)

    def _rows_by_model(self, batch: ExampleBatch) -> dict[str, np.ndarray]:
        good = np.array([not problem for problem in batch.problem or [None] * len(batch.rows)])
        if self._parts == [""]:
            return {"": np.flatnonzero(good)} if good.any() else {}
        domains = np.array(batch.domain)
        return {part: rows for part in self._parts if len(rows := np.flatnonzero(good & (domains == part)))}

    @property
    def fit(self) -> TokenFit:
        """How well the texts so far fit vocabulary and length."""
        return TokenFit(*self._counts.numpy().tolist())

    def _tokenised(self, part: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        features, cut = self._preprocessor.featurize(part["text"], part.get("text_pair"), self._length)
        unknown = features["input_word_ids"] == self._unknown_id
        counts = (tf.ones_like(cut), cut, features["input_mask"], unknown)
        self._counts.assign_add([tf.reduce_sum(tf.cast(count, tf.int64)) for count in counts])
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
