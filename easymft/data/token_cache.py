"""Tokenises files once, into a folder named by the content that it was made of."""

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import tensorflow as tf
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from easymft.checksums import check_sums, write_sums
from easymft.config.data_section import DataConfig
from easymft.data.bad_rows import Problem, SkippedRows
from easymft.data.label_map import LabelMap
from easymft.data.npy_writer import NpyWriter
from easymft.data.packing import local_file, packing
from easymft.data.reading import ExampleBatch, read_examples
from easymft.data.sources import expand_files, file_format
from easymft.data.text_preprocessor import TextPreprocessor
from easymft.data.token_dataset import ARRAYS, SUMMARY_FILE, TokenDataset
from easymft.data.vocabulary import Vocabulary
from easymft.errors import DamagedError, DataError, one_line
from easymft.files import new_folder, remove_folder
from easymft.threads import map_ahead

_VERSION = 2  # Goes up whenever the same input would make other arrays, or files.
_SKIPPED_FILE = "skipped_rows.jsonl"
_DATA_SETTINGS = (
    *("encoding", "separator", "sheet", "columns", "column_names", "header", "quoting", "strip_whitespace", "bad_rows"),
    "max_sequence_length",
)
_CHUNK_ROWS = 2048
_FEW_ROWS = 512  # Of fewer, the time to trace the graph is longer than what the graph saves.
_WORKERS = 2


def build_token_dataset(
    files: Sequence[str],
    data: DataConfig,
    *,
    pair: bool,
    vocabulary: Vocabulary,
    labels: LabelMap,
    domains: LabelMap,
    cache_folder: Path,
    need_label: bool = True,
    optional_columns: Collection[str] = (),
    progress: bool = False,
    skipped_rows: SkippedRows | None = None,
) -> TokenDataset:
    """Reads and tokenises `files`, or opens what an earlier call made of the same content and settings.

    Memory does not grow with the files. What is damaged of an earlier call's is made anew.

    Args:
        files: File names and globs.
        data: How to read them; `max_sequence_length`, and `truncation_tie` (null: "first").
        pair: Whether rows hold two texts.
        vocabulary: Tokens.
        labels: The classes in order.
        domains: The domains in order.
        cache_folder: Where the folders of all caches are.
        need_label: As in `read_examples`.
        optional_columns: As in `read_examples`.
        progress: Show a progress bar.
        skipped_rows: As in `read_examples`; told of the same rows when the cache is reused.

    Returns:
        The examples in the order of files and rows. A row without a label has label -1. Without a domain column all
        rows are of domain 0 if `domains` has one name, else -1, as is a row without a domain.

    Raises:
        DataError: As in `read_examples`; or the cache cannot be written.

    Warns:
        UserWarning: A cache is damaged.
    """
    if data.bad_rows == "skip" and skipped_rows is None:
        raise ValueError(f"skipped_rows is None, expected a SkippedRows as data.bad_rows is {data.bad_rows!r}")
    paths = expand_files(files)
    reading = {
        "pair": pair,
        "labels": labels,
        "domains": domains,
        "need_label": need_label,
        "optional_columns": sorted(optional_columns),
    }
    settings = _settings(paths, data, vocabulary, reading)
    key, row_count = _content_key(paths, settings, vocabulary)
    folder = Path(cache_folder) / key
    if os.path.lexists(folder):
        found = _open_whole(folder)
        if found is not None:
            if skipped_rows is not None:
                _replay_skipped_rows(folder / _SKIPPED_FILE, paths, skipped_rows)
                skipped_rows.add_kept(found.num_examples)
            return found
    preprocessor = TextPreprocessor(vocabulary, data.max_sequence_length, _tie(data))
    with _temporary_folder(folder) as temporary, _SkippedRowsCopy(temporary, paths, skipped_rows) as copy:
        batches = read_examples(paths, data, chunk_size=_CHUNK_ROWS, skipped_rows=copy, **reading)
        with _progress_bar(progress, row_count) as advance:
            rows = _write_arrays(temporary, _tokenized(batches, preprocessor, pair), labels, domains, advance)
        summary = {
            "num_examples": rows,
            "max_sequence_length": data.max_sequence_length,
            "pad_id": vocabulary.ids["[PAD]"],
            "arrays": [name for name in ARRAYS if (temporary / f"{name}.npy").exists()],
            "files": paths,
            "settings": settings,
        }
        (temporary / SUMMARY_FILE).write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return TokenDataset.load(folder)


def _open_whole(folder: Path) -> TokenDataset | None:
    """The data set of a folder; None, and no folder any more, where it is damaged."""
    try:
        check_sums(folder, needed=True)
        return TokenDataset.load(folder)
    except (DamagedError, DataError) as error:
        warnings.warn(f"{one_line(error)}; the token cache is damaged and made anew", stacklevel=3)
        remove_folder(folder)
        return None


def _tie(data: DataConfig) -> str:
    return data.truncation_tie or "first"


def _settings(
    paths: Sequence[str], data: DataConfig, vocabulary: Vocabulary, reading: dict[str, Any]
) -> dict[str, Any]:
    """Returns, beside contents and tokens, all that decides what the arrays hold; as JSON knows it."""
    return {
        "version": _VERSION,
        "formats": [(file_format(path, data.format, data.encoding), packing(path) is not None) for path in paths],
        **vocabulary.settings,
        "truncation_tie": _tie(data) if reading["pair"] else None,
        **data.model_dump(mode="json", include=set(_DATA_SETTINGS)),
        **reading,
        "labels": reading["labels"].names,
        "domains": reading["domains"].names,
    }


def _content_key(paths: Sequence[str], settings: dict[str, Any], vocabulary: Vocabulary) -> tuple[str, int | None]:
    """Returns the name of the cache, and about how many rows the files have (None: unknown, some are gzipped)."""
    digest = hashlib.sha256(json.dumps([settings, vocabulary.tokens]).encode())
    rows: int | None = 0
    for path, (kind, zipped) in zip(paths, settings["formats"], strict=True):
        file_digest = hashlib.sha256()
        lines = 0
        try:
            with open(local_file(path), "rb") as stream:
                while block := stream.read(1 << 20):
                    file_digest.update(block)
                    lines += block.count(b"\n")
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
        digest.update(file_digest.digest())
        if kind == "parquet":
            # A damaged file is reported by the reader.
            with contextlib.suppress(pyarrow.ArrowException, OSError):
                lines = pyarrow.parquet.read_metadata(local_file(path)).num_rows
        rows = None if rows is None or zipped or kind == "xlsx" else rows + lines
    return digest.hexdigest()[:32], rows


@contextlib.contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder that becomes `folder` at the end, or is removed after an error."""
    try:
        with new_folder(folder) as part:
            yield part
            write_sums(part)
            # A process that built the same at the same time may have been faster; its folder holds the same.
            if not (folder / SUMMARY_FILE).exists():
                part.rename(folder)
    except OSError as error:
        if (folder / SUMMARY_FILE).exists():  # faster by a moment
            return
        raise DataError(f"{folder}: the token cache cannot be written ({error.strerror or error}).") from error


class _SkippedRowsCopy(SkippedRows):
    """Hands skipped rows on and keeps them in the cache, with files by number, since a name is no content."""

    def __init__(self, folder: Path, paths: Sequence[str], target: SkippedRows | None):
        super().__init__(None)
        self._target = target
        self._numbers = {path: number for number, path in enumerate(paths)}
        self._copy = open(folder / _SKIPPED_FILE, "w", encoding="ascii")  # noqa: SIM115 (closed in `close`)

    def add(self, problem: Problem) -> None:
        super().add(problem)
        if self._target is not None:
            self._target.add(problem)
        self._copy.write(json.dumps(asdict(problem) | {"file": self._numbers[problem.file], "cells": ()}) + "\n")

    def add_kept(self, rows: int) -> None:
        if self._target is not None:
            self._target.add_kept(rows)

    def close(self, *, discard: bool = False) -> None:
        self._copy.close()


def _replay_skipped_rows(path: Path, paths: Sequence[str], skipped_rows: SkippedRows) -> None:
    with open(path, encoding="ascii") as lines:
        for line in lines:
            fields = json.loads(line)
            skipped_rows.add(Problem(**(fields | {"file": paths[fields["file"]]})))


@contextlib.contextmanager
def _progress_bar(show: bool, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with the number of rows done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not show) as bar:
        task = bar.add_task("Tokenising", total=total)
        yield lambda rows: bar.advance(task, rows)


Tokens = tuple[np.ndarray, np.ndarray, np.ndarray]  # ids [tokens], lengths [n], starts of second texts [n]


def _tokenized(
    batches: Iterator[ExampleBatch], preprocessor: TextPreprocessor, pair: bool
) -> Iterator[tuple[ExampleBatch, Tokens]]:
    """Batches with their tokens, in order, while the next ones are tokenised in other threads."""
    signature = [tf.TensorSpec([None], tf.string)] * (2 if pair else 1)
    graph = tf.function(preprocessor.tokenize, input_signature=signature, autograph=False)

    def run(batch: ExampleBatch) -> tuple[ExampleBatch, Tokens]:
        tokenize = preprocessor.tokenize if len(batch.text) < _FEW_ROWS else graph
        with tf.device("cpu:0"):  # Strings live nowhere else, and single integer ops are not worth a GPU's time.
            ids, types = tokenize(*([batch.text, batch.text_pair] if pair else [batch.text]))
            lengths = ids.row_lengths()
            second_starts = lengths - tf.reduce_sum(tf.cast(types, tf.int64), 1)
        return batch, (ids.flat_values.numpy(), lengths.numpy(), second_starts.numpy())

    return map_ahead(run, batches, _WORKERS)


def _write_arrays(
    folder: Path,
    tokenized: Iterator[tuple[ExampleBatch, Tokens]],
    labels: LabelMap,
    domains: LabelMap,
    advance: Callable[[int], None],
) -> int:
    """Writes the files of `ARRAYS`, `typicality` only where the examples have it; returns the number of examples."""
    only_domain = 0 if len(domains.names) == 1 else -1
    rows = tokens_before = 0
    with ExitStack() as stack:

        def append(name: str, values: np.ndarray) -> None:
            if name not in writers:
                writers[name] = stack.enter_context(NpyWriter(folder / f"{name}.npy", ARRAYS[name]))
            writers[name].append(values)

        writers: dict[str, NpyWriter] = {}
        append("row_splits", np.zeros(1, np.int64))
        for batch, (ids, lengths, second_starts) in tokenized:
            count = len(batch.text)
            append("ids", ids)
            append("row_splits", tokens_before + np.cumsum(lengths))
            tokens_before += len(ids)
            append("second_starts", second_starts)
            append("label_ids", _encode(batch.label, labels, count, absent=-1))
            append("domain_ids", _encode(batch.domain, domains, count, absent=only_domain))
            append("weights", np.ones(count, np.float32) if batch.weight is None else batch.weight)
            if batch.typicality is not None:
                append("typicality", batch.typicality)
            rows += count
            advance(count)
    return rows


def _encode(names: list[str] | None, known: LabelMap, count: int, absent: int) -> np.ndarray:
    """Returns the [count] int32 ids of `names`; `absent` for no names at all, -1 for an empty one."""
    return np.full(count, absent, np.int32) if names is None else known.encode(names, empty_as_missing=True)
