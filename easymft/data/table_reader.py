"""Reads TSV, CSV and Excel files, whose rows are texts, with the row of everything that is wrong."""

import warnings
from collections.abc import Collection, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa

from easymft.config.data_section import DataConfig
from easymft.config.section import composed
from easymft.data.bad_rows import Problem, shown
from easymft.data.chunks import ListChunk
from easymft.data.columns import configured_columns, has_header, names_without_header, unique_names
from easymft.data.delimited import Records, delimited_records
from easymft.data.dialect import find_dialect, separator_hint
from easymft.data.encoding import read_head
from easymft.data.excel import excel_records
from easymft.data.trailing import without_empty_end
from easymft.errors import DataError

_ROWS_ABOVE_A_HEADER = 20  # at most, such as a title


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
        self._separator = ""
        self._told_quotes = self._told_surplus = self._told_too_many = False
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
            self.separator_hint = self.separator_hint or self._later_header(data, first, optional)
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
        self._separator = dialect.separator
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

    def _later_header(self, data: DataConfig, records: Records, optional: Collection[str]) -> str:
        """What to say where names of columns are missing in the first row, and stand in a later one; else ""."""
        used = configured_columns(data.columns).items()
        needed = {name for field, name in used if isinstance(name, str) and field not in optional}
        rows = zip(records.rows[:_ROWS_ABOVE_A_HEADER], records.fields, strict=False)
        found = [row for row, fields in rows if needed <= set(map(composed, self._cleaned(fields)))]
        if not needed or not found or found[0] == records.rows[0]:
            return ""
        return f"row {found[0]} holds these names: remove the rows above it"

    def chunks(self) -> Iterator[ListChunk]:
        """Yields the rows that have one field per column; may be called once."""
        width = len(self.names)
        for records in self._records:
            rows, fields, problems = records.rows, records.fields, records.problems
            again = {row: one for row, one in zip(rows, fields, strict=True) if self._is_header(one)}
            if again:
                problems += [self._repeated(row, one) for row, one in again.items()]
                fields = [one for row, one in zip(rows, fields, strict=True) if row not in again]
                rows = [row for row in rows if row not in again]
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

    def _is_header(self, fields: list[str]) -> bool:
        """Whether a row is the header once more, perhaps after the byte order mark of another file."""
        if not self.header or len(fields) < 2 or fields[-1].strip() != self.first_row[-1].strip():
            return False
        return self._cleaned([fields[0].removeprefix("\ufeff"), *fields[1:]]) == list(self.first_row)

    def _repeated(self, row: int, header: list[str]) -> Problem:
        message = "is the header again, as where files were put together; remove it"
        return Problem(self._path, row, None, " | ".join(header), message, tuple(header))

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
        elif len(fields) > len(self.names) and not self._told_too_many:
            self._told_too_many = True
            message += self._too_many_hint(fields)
        return Problem(self._path, row, None, " | ".join(fields), message, tuple(self._cleaned(fields)))

    def _too_many_hint(self, fields: list[str]) -> str:
        if self.header and len(fields) == len(self.names) + 1 and fields[0].isdecimal():
            return "; if the header lacks a name for the first column, as R leaves out that of row names, add one"
        if self._separator == ",":
            return "; a field that holds a comma has to stand in quotes"
        return ""
