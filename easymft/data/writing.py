"""Writing tables of the user's own columns with columns of ours, in constant memory."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from easymft.config.data_section import DataConfig
from easymft.data.chunks import is_json, plain_rows
from easymft.data.columns import has_header
from easymft.data.sources import expand_files, file_format
from easymft.errors import DataError
from easymft.files import part_name

_BREAKS_TSV = "[\t\n]"


def same_form(stem: Path, files: Sequence[str], data: DataConfig) -> tuple[Path, bool]:
    """Where and how to write a table so that it reads back with the settings of the files it came from.

    Args:
        stem: Path without an ending.
        files: The input files or globs.
        data: How they are read.

    Returns:
        (path, header): `<stem>.tsv`, with or without a header line as the input, where all input is unquoted TSV; else
        `<stem>.jsonl`, which can hold any text.
    """
    formats = {file_format(file, data.format, data.encoding) for file in expand_files(files)}
    if formats == {"tsv"} and not data.quoting:
        return stem.with_name(stem.name + ".tsv"), has_header(data)
    return stem.with_name(stem.name + ".jsonl"), True


class TableWriter:
    """Writes rows to a .tsv or .jsonl file under a temporary name, and gives it its name when all went well.

    Args:
        path: Ends in .tsv (unquoted, as the readers here expect it) or .jsonl.
        header: Whether a TSV file begins with the columns' names.

    Raises:
        DataError: The ending is another one, or the file cannot be written.
    """

    def __init__(self, path: str | Path, header: bool = True):
        self.path = Path(path)
        if self.path.suffix not in (".tsv", ".jsonl"):
            raise DataError(
                f"{self.path}: cannot write {self.path.suffix or 'a file without an ending'}, expected .tsv or .jsonl"
            )
        self._header = header
        self._rows = 0
        try:
            self._part = part_name(self.path)
            self._stream = open(self._part, "w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> "TableWriter":
        """Returns itself."""
        return self

    def write(self, table: pa.Table, columns: Mapping[str, Sequence[Any]]) -> None:
        """Adds rows.

        Args:
            table: The user's own columns, n rows.
            columns: Ours, each [n], written after them.

        Raises:
            DataError: A column of ours has the name of one of the user's, or a value cannot stand in a TSV file.
        """
        check_rows(self.path, table, list(columns), lambda index: f"output row {self._rows + index + 1}")
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        if self.path.suffix == ".jsonl":
            rows = plain_rows(_finite(table))
            self._stream.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
        else:
            if self._header and not self._rows:
                self._stream.write("\t".join(table.column_names) + "\n")
            columns_of_texts = map(_as_texts, table.schema, table.columns)
            self._stream.writelines("\t".join(row) + "\n" for row in zip(*columns_of_texts, strict=True))
        self._rows += len(table)

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Renames the file to its name, or after an error removes it."""
        self._stream.close()
        if error_type is None:
            self._part.replace(self.path)
        else:
            self._part.unlink()


def check_rows(path: Path, table: pa.Table, names: Sequence[str], row_name: Callable[[int], str]) -> None:
    """Checks that a file of the kind that `path` ends in can hold rows.

    Args:
        path: The file to be written, .tsv or .jsonl.
        table: The user's own columns.
        names: Of the columns that will be added.
        row_name: Index of a row in `table` -> what to call it.

    Raises:
        DataError: It cannot; the first column, or row, that stands in the way.
    """
    taken = next((name for name in names if name in table.column_names), None)
    if taken is not None:
        raise DataError(f"{path}: the input already has a column {taken!r}; rename it")
    for field, column in zip(table.schema, table.columns, strict=True):
        if path.suffix == ".tsv":
            _check_column(path, field, column, row_name)
        elif pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            raise DataError(
                f"{path}: column {field.name!r} holds bytes ({field.type}), which JSON Lines cannot hold; "
                "leave it out of the input"
            )


def _check_column(path: Path, field: pa.Field, column: pa.ChunkedArray, row_name: Callable[[int], str]) -> None:
    breaks = "holds a tab or a line break, which a TSV file cannot hold; write .jsonl instead"
    if re.search(_BREAKS_TSV, field.name):
        raise DataError(f"{path}: the name of column {field.name!r} {breaks}")
    try:
        texts = _as_texts(field, column)
    except pa.ArrowException as error:
        raise DataError(
            f"{path}: column {field.name!r} is of type {field.type}, which a TSV file cannot hold; write .jsonl instead"
        ) from error
    broken = next((index for index, text in enumerate(texts) if re.search(_BREAKS_TSV, text)), None)
    if broken is not None:
        raise DataError(f"{path}: the value of column {field.name!r} in {row_name(broken)} {breaks}")


def _as_texts(field: pa.Field, column: pa.ChunkedArray) -> list[str]:
    texts = pc.fill_null(pc.cast(column, pa.string()), "").to_pylist()
    # A string among values of several types is itself, as where all are strings.
    return [json.loads(text) if text.startswith('"') else text for text in texts] if is_json(field) else texts


def _finite(table: pa.Table) -> pa.Table:
    """JSON does not know NaN and infinity, which become null."""
    for at, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            values = table[field.name]
            table = table.set_column(at, field, pc.if_else(pc.is_finite(values), values, None))
    return table
