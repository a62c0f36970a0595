"""Reads TSV and CSV in constant memory, with the row of everything that is wrong."""

import csv
from collections.abc import Collection, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa

from easymft.config.data_section import DataConfig
from easymft.data.bad_rows import Problem, shown
from easymft.data.chunks import ListChunk
from easymft.data.columns import has_header, names_without_header
from easymft.data.sources import iter_lines
from easymft.errors import DataError

# Some rows' numbers and fields, and the problems of rows between them.
_Records = tuple[list[int], list[list[str]], list[Problem]]


class DelimitedReader:
    """A TSV or CSV file.

    Without quoting a row is a line and `"` is a character like any other; with quoting the rules of RFC 4180 hold: a
    quoted field may span lines and line ends may be CR LF, and a row's number is that of its first line.

    Attributes:
        names: The names of its columns.
        header: Whether they were read from its first row.
        first_row: The fields of its first row, be it a header or not.
    """

    def __init__(self, path: str, data: DataConfig, kind: str, size: int, optional: Collection[str]):
        """Reads the first chunk.

        Args:
            path: The file.
            data: Header, names, quoting, white space.
            kind: "tsv" or "csv".
            size: Rows per chunk.
            optional: Fields whose column may be absent.

        Raises:
            DataError: The file is empty or cannot be read, or its first row cannot.
        """
        self._path = path
        self._strip = data.strip_whitespace
        separator = "\t" if kind == "tsv" else ","
        quoting = kind == "csv" if data.quoting is None else data.quoting
        read = _quoted_records if quoting else _plain_records
        records = read(path, separator, size, self._strip)
        rows, fields, problems = next(records)
        self.header = has_header(data)
        if problems and (not rows or (self.header and rows[0] > problems[0].row)):
            raise DataError(str(problems[0]))
        self.first_row = tuple(self._cleaned(fields[0]))
        self.names = self.first_row if self.header else names_without_header(data, len(fields[0]), optional)
        if self.header:
            rows, fields = rows[1:], fields[1:]
        self._records = chain([(rows, fields, problems)], records)

    def _cleaned(self, fields: list[str]) -> list[str]:
        return [field.strip() for field in fields] if self._strip else fields

    def chunks(self) -> Iterator[ListChunk]:
        """Yields the rows that have one field per column; may be called once."""
        width = len(self.names)
        for rows, fields, problems in self._records:
            if any(len(one) != width for one in fields):
                pairs = list(zip(rows, fields, strict=True))
                problems += [self._ragged(row, one) for row, one in pairs if len(one) != width]
                rows = [row for row, one in pairs if len(one) == width]
                fields = [one for one in fields if len(one) == width]
            columns = [self._cleaned(list(column)) for column in zip(*fields, strict=True)] or [[] for _ in self.names]
            yield ListChunk(self._path, self.names, np.array(rows, np.int64), columns, problems, pa.string())

    def _ragged(self, row: int, fields: list[str]) -> Problem:
        names = ", ".join(self.names)
        if fields in ([], [""]):
            return Problem(self._path, row, None, "", f"empty line, expected {len(self.names)} fields ({names})")
        start = shown(" | ".join(fields))
        message = (
            f"{len(fields)} field{'s' * (len(fields) != 1)}, expected {len(self.names)} ({names}); it holds {start}"
        )
        return Problem(self._path, row, None, " | ".join(fields), message, tuple(self._cleaned(fields)))


def decode_lines(path: str, number: int, lines: list[bytes]) -> tuple[list[int], list[str], list[Problem]]:
    """Decodes lines from UTF-8.

    Args:
        path: The file, for problems.
        number: The first line's number.
        lines: The lines.

    Returns:
        The numbers of the good lines, the good lines, and the problems of the others.
    """
    try:
        return list(range(number, number + len(lines))), [line.decode() for line in lines], []
    except UnicodeDecodeError:
        rows, texts, problems = [], [], []
    for row, line in enumerate(lines, number):
        try:
            texts.append(line.decode())
            rows.append(row)
        except UnicodeDecodeError as error:
            problems.append(not_utf8(path, row, line, error))
    return rows, texts, problems


def not_utf8(path: str, row: int, line: bytes, error: UnicodeDecodeError) -> Problem:
    """Returns the problem of a line that is not UTF-8."""
    value = line.decode(errors="backslashreplace")
    near = shown(line[max(error.start - 15, 0) : error.start + 15].decode(errors="backslashreplace"))
    message = f"byte {error.start + 1} of the row is 0x{line[error.start]:02x}, which is not UTF-8 (near {near})"
    return Problem(path, row, None, value, message)


def _plain_records(path: str, separator: str, size: int, strip: bool) -> Iterator[_Records]:
    for number, lines in iter_lines(path, size):
        rows, texts, problems = decode_lines(path, number, lines)
        if any(text.endswith("\r") for text in texts):
            if strip:
                texts = [text.removesuffix("\r") for text in texts]
            else:
                rows, texts, found = _without_crlf(path, rows, texts)
                problems += found
        yield rows, [text.split(separator) for text in texts], problems


def _without_crlf(path: str, rows: list[int], texts: list[str]) -> tuple[list[int], list[str], list[Problem]]:
    problem = "ends in CR LF (a Windows line end), expected LF; to accept both set data.strip_whitespace: true"
    if rows[0] == 1 and texts[0].endswith("\r"):
        raise DataError(f"{path}: row 1: {problem}")
    pairs = list(zip(rows, texts, strict=True))
    problems = [Problem(path, row, None, text, problem) for row, text in pairs if text.endswith("\r")]
    good = [(row, text) for row, text in pairs if not text.endswith("\r")]
    return [row for row, _ in good], [text for _, text in good], problems


def _quoted_lines(path: str, size: int, damaged: list[Problem]) -> Iterator[str]:
    """Yields decoded lines; those that are not UTF-8 go on with replacements and are put into `damaged`."""
    for number, lines in iter_lines(path, size):
        for row, line in enumerate(lines, number):
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                damaged.append(not_utf8(path, row, line, error))
                text = line.decode(errors="replace")
            yield text + "\n"


def _quoted_records(path: str, separator: str, size: int, strip: bool) -> Iterator[_Records]:
    damaged: list[Problem] = []
    lines = _quoted_lines(path, size, damaged)
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=strip)
    rows: list[int] = []
    records: list[list[str]] = []
    problems: list[Problem] = []
    while True:
        row = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if "field larger" in str(error) or "end of data" in str(error):
                raise DataError(
                    f"{path}: row {row}: a quoted field has no end, or more than {csv.field_size_limit()} characters."
                ) from error
            problems.append(Problem(path, row, None, str(error), f"is not well quoted: {error}"))
        else:
            if damaged:
                problems += damaged
            else:
                rows.append(row)
                records.append(fields)
        damaged.clear()
        if len(rows) + len(problems) >= size:
            yield rows, records, problems
            rows, records, problems = [], [], []
    if rows or problems:
        yield rows, records, problems
