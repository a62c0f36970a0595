"""Writing tables of the user's own columns with columns of ours, in constant memory."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from easymft.config.schema import DataConfig
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
    formats = {file_format(file, data.format) for file in expand_files(files)}
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
        for name in columns:
            if name in table.column_names:
                raise DataError(f"{self.path}: the input already has a column {name!r}; rename it")
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        if self.path.suffix == ".jsonl":
            table = self._as_json(table)
            self._stream.writelines(
                json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in table.to_pylist()
            )
        else:
            self._write_tsv(table)
        self._rows += len(table)

    def _as_json(self, table: pa.Table) -> pa.Table:
        """JSON knows neither bytes nor NaN and infinity, which become null."""
        for at, field in enumerate(table.schema):
            if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
                raise DataError(
                    f"{self.path}: column {field.name!r} holds bytes ({field.type}), which JSON Lines cannot hold; "
                    "leave it out of the input"
                )
            if pa.types.is_floating(field.type):
                values = table[field.name]
                table = table.set_column(at, field, pc.if_else(pc.is_finite(values), values, None))
        return table

    def _write_tsv(self, table: pa.Table) -> None:
        if self._header and not self._rows:
            self._write_header(table.column_names)
        columns = []
        for name in table.column_names:
            try:
                texts = pc.fill_null(pc.cast(table[name], pa.string()), "")
            except pa.ArrowException as error:
                raise DataError(
                    f"{self.path}: column {name!r} is of type {table[name].type}, which a TSV file cannot hold; "
                    "write .jsonl instead"
                ) from error
            broken = pc.match_substring_regex(texts, _BREAKS_TSV)
            if pc.any(broken).as_py():
                row = self._rows + broken.combine_chunks().to_pylist().index(True) + 1
                raise DataError(
                    f"{self.path}: the value of column {name!r} in output row {row} holds a tab or a line break, which "
                    "a TSV file cannot hold; write .jsonl instead"
                )
            columns.append(texts.to_pylist())
        self._stream.writelines("\t".join(row) + "\n" for row in zip(*columns, strict=True))

    def _write_header(self, names: Sequence[str]) -> None:
        for name in names:
            if re.search(_BREAKS_TSV, name):
                raise DataError(
                    f"{self.path}: the name of column {name!r} holds a tab or a line break, which a TSV file cannot "
                    "hold; write .jsonl instead"
                )
        self._stream.write("\t".join(names) + "\n")

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Renames the file to its name, or after an error removes it."""
        self._stream.close()
        if error_type is None:
            self._part.replace(self.path)
        else:
            self._part.unlink()
