"""Writing tables of the user's own columns with columns of ours, in constant memory."""

import codecs
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from easymft.data.chunks import own_name, plain_rows
from easymft.data.excel_writer import ExcelWriter
from easymft.data.table_checks import TablePlan, check_rows
from easymft.data.table_form import TableForm
from easymft.data.table_values import as_texts, conform, finite
from easymft.errors import DataError
from easymft.files import part_name


class FormatWriter(Protocol):
    """Writes the rows of one format."""

    def write(self, table: pa.Table) -> None:
        """Adds rows, those of the first call with the names of the columns."""

    def close(self) -> None:
        """Ends the file; called once."""


class TableWriter:
    """Writes rows to a file under a temporary name, and gives it its name when all went well.

    Args:
        plan: What will be written; or the file's form alone, where the rows decide.

    Raises:
        DataError: The file cannot be written.
    """

    def __init__(self, plan: TablePlan | TableForm):
        self.form, schema = (plan, None) if isinstance(plan, TableForm) else (plan.form, plan.schema)
        self.rows = 0
        path = self.form.path
        try:
            self._part = part_name(path)
            self._writer = _open(self._part, self.form, schema)
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> "TableWriter":
        """Returns itself."""
        return self

    def write(self, table: pa.Table, columns: Mapping[str, Sequence[Any]]) -> None:
        """Adds rows.

        Args:
            table: The user's own columns, n rows.
            columns: Ours, each [n], written after them.

        Raises:
            DataError: A column of ours has the name of one of the user's, or the file cannot hold a value.
        """
        check_rows(self.form, table, list(columns), lambda index: f"output row {self.rows + index + 1}")
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        self._writer.write(table)
        self.rows += len(table)

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Renames the file to its name, or after an error removes it."""
        try:
            self._writer.close()
            if error_type is None:
                self._part.replace(self.form.path)
        finally:
            self._part.unlink(missing_ok=True)


def _open(part: Path, form: TableForm, schema: pa.Schema | None) -> FormatWriter:
    if form.kind == "parquet":
        return _ParquetWriter(part, schema)
    if form.kind == "xlsx":
        return ExcelWriter(part, form)
    return _JsonLinesWriter(part, form) if form.kind == "jsonl" else _DelimitedWriter(part, form)


class _DelimitedWriter:
    def __init__(self, part: Path, form: TableForm):
        self._form, self._begun = form, False
        self._stream = open(part, "w", encoding=form.encoding, newline="")
        options = {"delimiter": form.separator, "lineterminator": form.line_end}
        self._quoted = csv.writer(self._stream, **options)
        self._all_quoted = csv.writer(self._stream, quoting=csv.QUOTE_ALL, **options)

    def write(self, table: pa.Table) -> None:
        if self._form.header and not self._begun:
            self._write_row(list(map(own_name, table.schema)))
        self._begun = True
        for row in zip(*map(as_texts, table.schema, table.columns), strict=True):
            self._write_row(row)

    def _write_row(self, row: Sequence[str]) -> None:
        if not self._form.quoted:
            self._stream.write(self._form.separator.join(row) + self._form.line_end)
        # Of the two characters that break lines, the csv module of Python 3.11 quotes those of the line's end alone.
        elif any("\r" in field for field in row):
            self._all_quoted.writerow(row)
        else:
            self._quoted.writerow(row)

    def close(self) -> None:
        self._stream.close()


class _JsonLinesWriter:
    def __init__(self, part: Path, form: TableForm):
        self._stream = open(part, "w", encoding=form.encoding, newline="\n")
        self._only_ascii = not codecs.lookup(form.encoding).name.startswith("utf")

    def write(self, table: pa.Table) -> None:
        rows = plain_rows(finite(table))
        self._stream.writelines(json.dumps(row, ensure_ascii=self._only_ascii, default=str) + "\n" for row in rows)

    def close(self) -> None:
        self._stream.close()


class _ParquetWriter:
    def __init__(self, part: Path, schema: pa.Schema | None):
        self._part, self._schema = part, schema
        self._writer = None if schema is None else pq.ParquetWriter(part, schema)

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._schema = table.schema
            self._writer = pq.ParquetWriter(self._part, self._schema)
        self._writer.write_table(conform(table, self._schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
