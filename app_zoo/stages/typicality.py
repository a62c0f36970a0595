"""--mode typicality: score every example, and show what the scores look like."""

import hashlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from filelock import FileLock

from app_zoo.base import Application, Maps
from app_zoo.inputs import load_tokens, padded_length, with_excluded
from app_zoo.stages.fitting import load_weights
from easymft.checksums import file_digest
from easymft.config.data_section import DataConfig
from easymft.data.bad_rows import SkippedRows
from easymft.data.columns import has_header
from easymft.data.reading import ExampleBatch, read_examples
from easymft.data.table_checks import TablePlan
from easymft.data.table_form import same_form
from easymft.data.token_dataset import TokenDataset
from easymft.data.writing import TableWriter
from easymft.errors import ConfigError, DataError
from easymft.evaluation.tensorboard import write_projector, write_typicality_histograms, write_typicality_texts
from easymft.evaluation.typicality_files import write_typicality_report
from easymft.evaluation.typicality_report import build_typicality_report
from easymft.files import replacing
from easymft.model_zoo.pretrained import PretrainedModel
from easymft.names import cut_names
from easymft.training.scoring import (
    TypicalityEmbedder,
    TypicalityScores,
    cached_embeddings,
    embed_dataset,
    score_embeddings,
    weights_fingerprint,
)

_COLUMN = "typicality"  # of the scored file
_PROJECTOR_SAMPLE = 1000  # texts shown in TensorBoard's projector


def run(app: Application) -> None:
    """Writes the scored file, prototypes.npz, typicality.md and .png, and TensorBoard's pages about them."""
    if app.folder.check(app.config, "typicality", app.inputs) and not app.dry_run:
        app.folder.tidy(app.config)
        _check_scored(app)
        print(f"already finished: {app.folder.path}", flush=True)
        return
    maps = app.infer_maps()
    pretrained = load_weights(app)
    check_embedding(app, pretrained)
    tokens = load_tokens(app, "train", maps, pretrained.vocabulary)
    if app.dry_run:
        tokens = tokens.subset(np.arange(min(tokens.num_examples, app.config.mft.typicality.batch_size)))
        score(app, pretrained, tokens, maps)
        return
    plan = _plan(app, maps)
    app.folder.claim(app.config, "typicality", app.inputs)
    scores = score(app, pretrained, tokens, maps)
    tell_negative(scores.typicality)
    scored_file, width = write_scored(app, scores.typicality, tokens, maps, plan)
    write_overview(app, scores, tokens, maps, app.folder.path)
    app.folder.finish(scored_file=str(scored_file), scored_sha256=file_digest(scored_file))
    print(f"scored file: {scored_file}; to train on its scores:", flush=True)
    changes = settings_for_training(app.config.data, scored_file, width)
    words = (f"{path}={value if isinstance(value, str) else json.dumps(value)}" for path, value in changes.items())
    print(" ", " ".join(f"--set {shlex.quote(word)}" for word in words), flush=True)


def _check_scored(app: Application) -> None:
    """Raises ConfigError where the scored file of a finished run is gone or has other content."""
    status = app.folder.status() or {}
    if "scored_file" not in status or "scored_sha256" not in status:  # an earlier version's
        return
    file = app.folder.path / Path(status["scored_file"]).name  # the folder may have been moved
    if not file.is_file() or file_digest(file) != status["scored_sha256"]:
        found = "is not as it was written" if file.is_file() else "is missing"
        raise ConfigError(f"{file}: {found}; put back a copy of it, or set runtime.overwrite to score anew")


def settings_for_training(data: DataConfig, scored_file: Path, width: int) -> dict[str, Any]:
    """What has to change in the config of the scored files for `meta_tune` to take the scores.

    Args:
        data: Of that config.
        scored_file: As `write_scored` wrote it.
        width: Its number of columns, that of the scores included, which is the last.

    Returns:
        Path of a setting -> value.
    """
    by_name = data.column_names is not None or has_header(data) or scored_file.suffix in (".jsonl", ".parquet")
    changes = {"data.train_files": [str(scored_file)], "data.columns.typicality": _COLUMN if by_name else width - 1}
    if data.column_names is not None:
        changes["data.column_names"] = [*data.column_names, _COLUMN]
    if data.format not in ("auto", scored_file.suffix[1:]):
        changes["data.format"] = "auto"
    for name in ("share", "examples_per_class"):  # the file holds that part alone
        if getattr(data.subset, name) is not None:
            changes[f"data.subset.{name}"] = None
    return changes


def check_embedding(app: Application, pretrained: PretrainedModel) -> None:
    """Raises ConfigError if the embedding to score by is of a pooler that the weights do not hold."""
    if app.config.mft.typicality.embedding == "pooled" and not pretrained.has_pooler:
        raise ConfigError(
            f"mft.typicality.embedding: pooled reads the pooler, which {pretrained.source} does not hold, expected "
            "token_mean"
        )


def _plan(app: Application, maps: Maps) -> TablePlan:
    """Before hours go into scores: the column's name must be free, and a file able to hold the others."""
    data = app.config.data
    plan = TablePlan(
        same_form(app.folder.path / "scored", data.train_files, data), pa.schema([(_COLUMN, pa.float64())])
    )
    for batch in _read_train_files(app, maps):
        if _COLUMN in batch.table.column_names:
            names = ", ".join(batch.table.column_names)
            raise DataError(f"data.train_files: the files already have a column 'typicality' ({names}); rename it")
        plan.check(batch.table, lambda index, batch=batch: f"{batch.file} row {batch.rows[index]}")
    if plan.form.note:
        print(f"note: the scored file is {plan.form.path}, as {plan.form.note}", flush=True)
    return plan


def tell_negative(typicality: np.ndarray) -> None:
    """Says how many scores are below 0, which the formula allows, since a user should know what they do."""
    negative = int((typicality < 0.0).sum())
    if negative:
        print(f"typicality: {negative} of {len(typicality)} scores are below 0; these rows push away from their class")


def score(app: Application, pretrained: PretrainedModel, tokens: TokenDataset, maps: Maps) -> TypicalityScores:
    """Typicality of `tokens` under the un-tuned encoder; embeddings are kept in the cache folder."""
    config = app.config.mft.typicality
    with app.strategy.scope():
        embedder = TypicalityEmbedder(pretrained.encoder, config.embedding)
    length = padded_length(app)
    parts = (
        tokens.fingerprint(),
        weights_fingerprint(pretrained.encoder),
        repr(pretrained.config),
        config.embedding,
        str(length),
        app.precision,
    )
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    folder = app.cache_folder / f"embeddings-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)

    def embed(file: Path) -> np.ndarray:
        return embed_dataset(
            embedder,
            tokens,
            file,
            batch_size=config.batch_size,
            padded_length=length,
            strategy=app.strategy,
            progress=app.config.runtime.progress,
        )

    with FileLock(folder.with_suffix(".lock")):  # the runs of an experiment share the cache
        embeddings = cached_embeddings(folder, embed)
    return score_embeddings(embeddings, tokens, len(maps.domains.names), len(maps.labels.names), config)


def write_scored(
    app: Application, typicality: np.ndarray, tokens: TokenDataset, maps: Maps, plan: TablePlan
) -> tuple[Path, int]:
    """Copies the scored rows with their own columns and adds `typicality`, in the form of the input (see `same_form`).

    Returns:
        The file, and its number of columns.
    """
    decimals = app.config.mft.typicality.decimals
    start = 0
    with TableWriter(plan) as writer:
        for batch, kept in _read_again(app, tokens, maps):
            scores = _texts(typicality[start : start + len(kept)], decimals)
            # The numbers that these texts are; they read back to the same float32.
            scores = scores if plan.form.is_delimited else list(map(float, scores))
            writer.write(batch.table.take(kept), {_COLUMN: scores})
            start += len(kept)
    return writer.form.path, len(batch.table.column_names) + 1


def _texts(scores: np.ndarray, decimals: int | None) -> list[str]:
    # The shortest text that reads back as the same float32; with `decimals`, as the published code prints it.
    return [str(score) if decimals is None else str(np.round(float(score), decimals)) for score in scores]


def write_overview(app: Application, scores: TypicalityScores, tokens: TokenDataset, maps: Maps, folder: Path) -> None:
    """Writes prototypes.npz, typicality.md, typicality.png and, for TensorBoard, histograms, texts and a projector."""
    labels, domains = maps.labels.names, maps.domains.names
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "prototypes.npz") as part:
        np.savez(part, prototypes=scores.prototypes, counts=scores.counts, labels=labels, domains=domains)
    labels, domains = (list(cut_names(names).values()) for names in (labels, domains))  # all else is to be looked at
    ids = (tokens.label_ids, tokens.domain_ids)
    sample = np.unique(np.linspace(0, tokens.num_examples - 1, _PROJECTOR_SAMPLE).astype(int))
    chosen: dict[int, Any] = dict.fromkeys(sample.tolist())
    texts = _keep(_read_texts(app, tokens, maps), chosen)
    report = build_typicality_report(scores.typicality, *ids, labels, domains, texts)
    write_typicality_report(folder, report)
    logs = app.folder.path / "tensorboard"
    writer = tf.summary.create_file_writer(str(logs))
    write_typicality_histograms(writer, scores.typicality, tokens.domain_ids, domains)
    write_typicality_texts(writer, report)
    writer.close()
    write_projector(
        logs,
        labels=labels,
        domains=domains,
        prototypes=scores.prototypes,
        counts=scores.counts,
        embeddings=scores.transform(scores.embeddings[sample]),
        label_ids=tokens.label_ids[sample],
        domain_ids=tokens.domain_ids[sample],
        typicality=scores.typicality[sample],
        texts=list(chosen.values()),
    )


def _read_again(app: Application, tokens: TokenDataset, maps: Maps) -> Iterator[tuple[ExampleBatch, np.ndarray]]:
    """The rows that were tokenised, and the places of those in `tokens`; skipped ones were listed then."""
    start = 0
    for batch in _read_train_files(app, maps):
        stop = start + len(batch.text)
        first, last = np.searchsorted(tokens.rows, [start, stop])
        yield batch, tokens.rows[first:last] - start
        start = stop


def _read_train_files(app: Application, maps: Maps) -> Iterator[ExampleBatch]:
    data, domains = app.config.data, with_excluded(app, maps)
    return read_examples(
        data.train_files, data, pair=app.pair, labels=maps.labels, domains=domains, skipped_rows=SkippedRows(None)
    )


def _read_texts(app: Application, tokens: TokenDataset, maps: Maps) -> Iterator[str | tuple[str, str]]:
    for batch, kept in _read_again(app, tokens, maps):
        for row in kept:
            yield batch.text[row] if batch.text_pair is None else (batch.text[row], batch.text_pair[row])


def _keep(texts: Iterator[Any], chosen: dict[int, Any]) -> Iterator[Any]:
    """Passes texts on and fills in those whose number is a key of `chosen`."""
    for number, text in enumerate(texts):
        if number in chosen:
            chosen[number] = text
        yield text
