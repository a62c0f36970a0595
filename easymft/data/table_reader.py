"""Reads TSV, CSV and Excel files, whose rows are texts, with the row of everything that is wrong."""

import warnings
from collections.abc import Collection, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa

from easymft.config.data_section import DataConfig
from easymft.data.bad_rows import Problem, shown
from easymft.data.chunks import ListChunk
from easymft.data.columns import has_header, names_without_header, unique_names
from easymft.data.delimited import Records, delimited_records
from easymft.data.dialect import find_dialect, separator_hint
from easymft.data.encoding import read_head
from easymft.data.excel import excel_records
from easymft.data.trailing import without_empty_end
from easymft.errors import DataError


class TableReader:
    """A TSV, CSV or Excel file.

    Attributes:
        names: The names of its columns, all different.
        header: Whether they were read from its first row.
        first_row: The fields of its first row, be it a header or not.
        separator_hint: What to say where a column is missing, if the fields look split wrongly; else "".
    """

    def __init__(self, path: str, data: DataConfig, kind: str, size: int, optional: Collection[str]):
        """Reads the first chunk.

        Args:
            path: The file.
            data: Header, names, quoting, white space and the like.
            kind: "tsv", "csv" or "xlsx".
            size: Rows per chunk.
            optional: Fields whose column may be absent.

        Raises:
            DataError: The file is empty or cannot be read, or its first row cannot.
        """
        self._path = path
        self._strip = data.strip_whitespace
        self.separator_hint = ""
        self._unquoted = False
        self._told_quotes = self._told_surplus = False
        records = without_empty_end(path, self._open(data, kind, size), size)
        first = next(records, Records())
        self.header = has_header(data)
        if first.problems and (not first.rows or (self.header and first.rows[0] > first.problems[0].row)):
            raise DataError(str(first.problems[0]))
        if not first.rows:
            raise DataError(f"{path}: is empty, expected rows.")
        if not any(first.fields[0]):
            raise DataError(f"{path}: row {first.rows[0]} is empty, expected {'a header' if self.header else 'a row'}.")
        self.first_row = tuple(self._cleaned(first.fields[0]))
        self.own_names: tuple[str, ...] = self.first_row
        if self.header:
            self.names = unique_names(self.first_row, data, path)
            first = Records(first.rows[1:], first.fields[1:], first.problems, first.lines)
        else:
            self.names = self.own_names = names_without_header(data, len(first.fields[0]), optional)
        self._records = chain([first], records)

    def _open(self, data: DataConfig, kind: str, size: int) -> Iterator[Records]:
        if kind == "xlsx":
            return excel_records(self._path, data.sheet, size)
        head = read_head(self._path, data.encoding)
        dialect = find_dialect(self._path, data, kind, head)
        self.separator_hint = separator_hint(data, dialect, head)
        self._unquoted = not dialect.quoting
        return delimited_records(
            self._path,
            dialect,
            size,
            encoding=data.encoding,
            strip=self._strip,
            watch_quotes=data.quoting is None,
        )

    def _cleaned(self, fields: list[str]) -> list[str]:
        return [field.strip() for field in fields] if self._strip else fields

    def chunks(self) -> Iterator[ListChunk]:
        """Yields the rows that have one field per column; may be called once."""
        width = len(self.names)
        for records in self._records:
            rows, fields, problems = records.rows, records.fields, records.problems
            if any(len(one) != width for one in fields):
                fields = [self._fitted(row, one) for row, one in zip(rows, fields, strict=True)]
                pairs = list(zip(rows, fields, strict=True))
                problems += [self._ragged(row, one) for row, one in pairs if len(one) != width]
                rows = [row for row, one in pairs if len(one) == width]
                fields = [one for one in fields if len(one) == width]
            columns = [self._cleaned(list(column)) for column in zip(*fields, strict=True)] or [[] for _ in self.names]
            yield ListChunk(
                self._path,
                self.names,
                np.array(rows, np.int64),
                columns,
                problems,
                pa.string(),
                lines=records.lines,
                own_names=self.own_names,
            )

    def _fitted(self, row: int, fields: list[str]) -> list[str]:
        """A row with as many fields as there are columns, where what it has too much or too little is nothing."""
        width = len(self.names)
        if len(fields) > width and not any(fields[width:]):
            if not self._told_surplus:
                self._told_surplus = True
                warnings.warn(
                    f"{self._path}: row {row}, perhaps others, has {len(fields)} fields and the file {width} columns; "
                    "those too many are empty and left out",
                    stacklevel=2,
                )
            return fields[:width]
        if self.header and 1 < len(fields) < width and not any(self.own_names[len(fields) :]):
            return fields + [""] * (width - len(fields))
        return fields

    def _ragged(self, row: int, fields: list[str]) -> Problem:
        names = ", ".join(self.own_names)
        if not any(fields):
            message = f"empty line, expected {len(self.names)} fields ({names})"
            return Problem(self._path, row, None, "", message)
        start = shown(" | ".join(fields))
        message = (
            f"{len(fields)} field{'s' * (len(fields) != 1)}, expected {len(self.names)} ({names}); it holds {start}"
        )
        if self._unquoted and not self._told_quotes and any(field.count('"') % 2 for field in fields):
            self._told_quotes = True
            message += "; to read quoted fields, which may span lines, set data.quoting: true"
        elif not self._unquoted and not self._strip and any(field.startswith(' "') for field in fields):
            message += "; a space stands before a quote, which data.strip_whitespace: true takes away"
        elif self.separator_hint:
            message += f"; {self.separator_hint}"
            self.separator_hint = ""
        return Problem(self._path, row, None, " | ".join(fields), message, tuple(self._cleaned(fields)))
