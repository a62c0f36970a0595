"""Reads examples from files of all formats: the one way in which texts and labels enter EasyMFT."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from easymft.config.data_section import DataConfig
from easymft.config.section import composed
from easymft.data.bad_rows import BadRows, Problem, SkippedRows, shown
from easymft.data.checks import check_ids, check_names, check_numbers, check_texts
from easymft.data.chunks import Chunk
from easymft.data.columns import (
    check_columns,
    check_first_row,
    check_header_is_none,
    configured_columns,
    locate_columns,
)
from easymft.data.jsonl import JsonLinesReader, gather_keys
from easymft.data.label_map import LabelMap
from easymft.data.parquet import ParquetReader, stray_index_columns
from easymft.data.sources import check_start, expand_files, file_format
from easymft.data.table_reader import TableReader
from easymft.errors import DataError

# Columns that steer training are not needed where a file is only evaluated on.
OPTIONAL_OUTSIDE_TRAINING = ("typicality", "weight", "id")
_FORMATS_OF = {"sheet": ("xlsx",), "separator": ("tsv", "csv"), "quoting": ("tsv", "csv")}
_FORMATS_OF["encoding"] = ("tsv", "csv", "jsonl")
_NUMBERS = ("weight", "typicality")


@dataclass(frozen=True)
class ExampleBatch:
    """Checked rows of one file, in its order.

    Attributes:
        table: The user's own columns in their order, n rows; from TSV, CSV and Excel all are strings. Empty and
            repeated names were replaced (`chunks.own_name` gives them back).
        file: The file as the user named it.
        first_row: `rows[0]`.
        rows: [n] int64, 1-based numbers of the rows as a spreadsheet counts them (header included; a quoted row that
            spans lines is one).
        text: [n] texts.
        text_pair: [n] second texts; None for single texts.
        domain: [n] names; None where no column is configured, or an optional one is absent.
        label: [n] names; None likewise. An optional label may be "".
        weight: [n] float32, at least 0; None likewise.
        id: [n] strings; None likewise.
        typicality: [n] float32; None likewise.
        problem: [n] what is wrong with each row, None for good ones, where bad rows are kept; else None.
    """

    table: pa.Table
    file: str
    first_row: int
    rows: np.ndarray
    text: list[str]
    text_pair: list[str] | None
    domain: list[str] | None
    label: list[str] | None
    weight: np.ndarray | None
    id: list[str] | None
    typicality: np.ndarray | None
    problem: list[str | None] | None = None


def read_examples(
    files: Sequence[str],
    data: DataConfig,
    *,
    pair: bool,
    labels: LabelMap | None = None,
    domains: LabelMap | None = None,
    need_label: bool = True,
    optional_columns: Collection[str] = (),
    unread_columns: Collection[str] = (),
    chunk_size: int = 8192,
    skipped_rows: SkippedRows | None = None,
    keep_bad_rows: bool = False,
) -> Iterator[ExampleBatch]:
    """Yields the examples of all files, in memory that does not grow with them.

    Args:
        files: File names and globs.
        data: Columns, format, quoting, white space, and what becomes of bad rows.
        pair: Whether the application reads two texts.
        labels: A label outside of it makes a row bad; None: any label goes.
        domains: A domain outside of it makes a row bad; None: any domain goes.
        need_label: False: the label column may be absent or not configured, and labels may be empty.
        optional_columns: Further fields of `ColumnsConfig` whose column may be absent (its values, where present, are
            checked; a domain may then be empty).
        unread_columns: Fields that may be absent, and whose values are neither checked nor handed on.
        chunk_size: Rows read at once; a batch has at most as many.
        skipped_rows: Takes the bad rows; needed with `data.bad_rows` "skip", unused with "stop".
        keep_bad_rows: With "skip", batches hold the bad rows too, in their places, and say what is wrong (`problem`);
            what their fields hold, `table` aside, is not to be used.

    Yields:
        Batches of at least one row. With "stop", none follows the first bad row.

    Raises:
        DataError: A file cannot be used as a whole (raised at once), or rows are bad (raised at the end, with all of
            them up to `data.bad_row_limit`).
    """
    check_columns(data, pair=pair, need_label=need_label)
    if data.bad_rows == "skip" and skipped_rows is None:
        raise ValueError(f"skipped_rows is None, expected a SkippedRows as data.bad_rows is {data.bad_rows!r}")
    optional = set(optional_columns) | set(unread_columns) | (set() if need_label else {"label"})
    bad = BadRows(data.bad_row_limit, skipped_rows if data.bad_rows == "skip" else None)
    keep_bad = keep_bad_rows and data.bad_rows == "skip"
    checker = _RowChecker(data, labels, domains, optional, unread_columns, keep_bad)
    good_rows, advise_skip = 0, False
    for path in checker.start(expand_files(files)):
        for chunk in checker.open(path, chunk_size):
            batch, problems = checker.check(chunk)
            bad.add(_with_lines(problems, chunk))
            if batch is not None and not bad.stopped:
                good_rows += len(batch.rows) if batch.problem is None else batch.problem.count(None)
                yield batch
            advise_skip = advise_skip or data.bad_rows == "stop" and any(map(_is_empty, problems))
    try:
        bad.finish(good_rows)
    except DataError as error:
        if not advise_skip:
            raise
        end = "; " if bad.count == 1 else "\n"
        raise DataError(f"{error}{end}to leave out bad rows, set data.bad_rows: skip") from None


def _with_lines(problems: list[Problem], chunk: Chunk) -> list[Problem]:
    """`problems` with the number of the line, where that is not the number of the row."""
    if not chunk.lines:
        return problems
    lines = [(problem, chunk.lines.get(problem.row)) for problem in problems]
    return [replace(one, problem=f"{one.problem} (line {line})") if line else one for one, line in lines]


def _is_empty(problem: Problem) -> bool:
    return not problem.value.strip()


class _RowChecker:
    """Opens one file after the other and checks their rows."""

    def __init__(
        self,
        data: DataConfig,
        labels: LabelMap | None,
        domains: LabelMap | None,
        optional: Collection[str],
        unread: Collection[str],
        keep_bad: bool = False,
    ):
        self._data = data
        self._labels = None if labels is None else tuple(map(composed, labels))
        self._domains = None if domains is None else tuple(map(composed, domains))
        self._optional, self._unread, self._keep_bad = optional, unread, keep_bad
        self._first: tuple[str, tuple[str, ...]] | None = None
        self._file = ""
        self._names: tuple[str, ...] = ()
        self._located: dict[str, int] = {}
        self._no_header = False
        self._formats: dict[str, str] = {}
        self._keys: tuple[str, ...] = ()
        self._stray: set[str] = set()
        self._told: set[tuple[str, str, str]] = set()

    def start(self, paths: Sequence[str]) -> Sequence[str]:
        """Takes all files, of which some tell how others are read; returns them."""
        data = self._data
        self._formats = {path: file_format(path, data.format, data.encoding) for path in paths}
        for path, kind in self._formats.items():
            check_start(path, kind)
        _tell_unused(data, self._formats)
        self._keys = gather_keys([path for path in paths if self._formats[path] == "jsonl"], data.encoding)
        self._stray = stray_index_columns([path for path in paths if self._formats[path] == "parquet"], data)
        return paths

    def open(self, path: str, size: int) -> Iterator[Chunk]:
        """Yields the chunks of a file whose columns are found and are those of the files before."""
        kind = self._formats[path]
        header, hint = None, ""
        if kind == "parquet":
            reader = ParquetReader(path, self._data, size, self._stray)
        elif kind == "jsonl":
            reader = JsonLinesReader(path, size, self._keys, self._data.encoding)
        else:
            reader = TableReader(path, self._data, kind, size, self._optional)
            header, hint = reader.header, reader.separator_hint
        self._file, self._no_header, self._names = path, header is False, reader.names
        self._located = locate_columns(
            self._data, reader.names, path, header_row=header, optional=self._optional, separator_hint=hint
        )
        self._check_same_columns()
        if isinstance(reader, TableReader):
            self._check_header(reader)
        self._located = {field: at for field, at in self._located.items() if field not in self._unread}
        if isinstance(reader, ParquetReader):
            reader.check_types(self._located, _NUMBERS)
        empty = True
        for chunk in reader.chunks():
            empty = empty and not len(chunk.rows) and not chunk.problems
            yield chunk
        if empty:
            raise DataError(f"{path}: is empty (a header without rows), expected rows.")

    def _check_header(self, reader: TableReader) -> None:
        values = {field: reader.first_row[at] for field, at in self._located.items() if at < len(reader.first_row)}
        if not reader.header:
            check_first_row(self._data, values, self._file)
        elif self._labels is not None and isinstance(self._data.columns.label, int):
            check_header_is_none(values, self._labels, self._file)

    def _check_same_columns(self) -> None:
        if self._first is None:
            self._first = (self._file, self._names)
        file, names = self._first
        # Columns that are found by their names may stand in any order.
        ordered = not all(isinstance(column, str) for column in configured_columns(self._data.columns).values())
        if names != self._names and (ordered or sorted(names) != sorted(self._names)):
            raise DataError(
                f"{self._file}: its {len(self._names)} columns ({', '.join(map(shown, self._names))}) differ from the "
                f"{len(names)} of {file} ({', '.join(map(shown, names))}), expected the same in all files"
                f"{', in the same order, as data.columns has numbers' * (sorted(names) == sorted(self._names))}."
            )

    def check(self, chunk: Chunk) -> tuple[ExampleBatch | None, list[Problem]]:
        """Returns the rows of a chunk to hand on, None where there are none, and what is wrong with the bad ones."""
        problems: list[Problem] = list(chunk.problems)
        if self._keep_bad:
            chunk = chunk.whole()
        bad = np.isin(chunk.rows, [problem.row for problem in problems])
        broken = bad.copy()
        fields: dict[str, Any] = {}
        for field, position in self._located.items():

            def report(index: int, value: Any, problem: str, column: str = self._names[position]) -> None:
                if broken[index]:  # which is said of the row as a whole
                    return
                bad[index] = True
                row = int(chunk.rows[index])
                if row == 1 and self._no_header and problem.startswith("unknown "):
                    problem += "; if row 1 is a header set data.header: true"
                problems.append(Problem(self._file, row, column, "" if value is None else str(value), problem))

            fields[field] = self._check_field(field, chunk.column(position), report)
        if self._keep_bad and len(bad):
            return replace(self._batch(chunk, fields, None), problem=_reasons(chunk.rows, problems)), problems
        if bad.all():
            return None, problems
        keep = ~bad if bad.any() else None
        return self._batch(chunk, fields, keep), problems

    def _check_field(self, field: str, values: list[Any], report: Any) -> Any:
        strip = self._data.strip_whitespace
        if field in ("text", "text_pair"):
            return check_texts(values, field, strip, report)
        if field in ("label", "domain"):
            known = self._labels if field == "label" else self._domains

            def tell(kind: str, text: str) -> None:
                if (self._file, field, kind) not in self._told:
                    self._told.add((self._file, field, kind))
                    warnings.warn(f"{self._file}: column {self._names[self._located[field]]!r}: {text}", stacklevel=2)

            return check_names(values, field, known, strip, field in self._optional, report, tell)
        if field == "id":
            return check_ids(values, report)
        return check_numbers(values, field, 0.0 if field == "weight" else None, report)

    def _batch(self, chunk: Chunk, fields: dict[str, Any], keep: np.ndarray | None) -> ExampleBatch:
        rows = chunk.rows
        table = chunk.table(keep)
        if self._first is not None and self._first[1] != self._names:
            table = table.select(list(self._first[1]))
        if keep is not None:
            rows = rows[keep]
            for field, values in fields.items():
                if isinstance(values, np.ndarray):
                    fields[field] = values[keep]
                else:
                    fields[field] = [value for value, good in zip(values, keep, strict=True) if good]
        everything = dict.fromkeys(("text", "text_pair", "domain", "label", "weight", "id", "typicality")) | fields
        return ExampleBatch(table=table, file=self._file, first_row=int(rows[0]), rows=rows, **everything)


def _tell_unused(data: DataConfig, formats: Mapping[str, str]) -> None:
    """Warns of settings that are for files of other formats."""
    for name, kinds in _FORMATS_OF.items():
        value = getattr(data, name)
        if value is not None and not set(kinds) & set(formats.values()):
            warnings.warn(
                f"{next(iter(formats))}: data.{name} is {value!r}, which is for {', '.join(kinds)}; "
                f"{'the file is' if len(formats) == 1 else 'the files are'} {', '.join(sorted(set(formats.values())))}",
                stacklevel=2,
            )


def _reasons(rows: np.ndarray, problems: list[Problem]) -> list[str | None]:
    found: dict[int, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.row, []).append(problem.reason)
    return ["; ".join(found[row]) if row in found else None for row in rows.tolist()]
