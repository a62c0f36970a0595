"""Splits TSV and CSV files into the fields of their rows, in constant memory."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from easymft.data.bad_rows import Problem
from easymft.data.dialect import LONGEST_FIELD, Dialect, QuoteWatch, SwallowWatch
from easymft.data.encoding import LineDecoder, iter_lines
from easymft.errors import DataError


@dataclass
class Records:
    """Some rows of a file, and the problems of rows between them.

    Attributes:
        rows: Their numbers, as a spreadsheet counts them.
        fields: Their fields.
        problems: What is wrong with others.
        lines: Row -> number of its first line, for rows of both kinds where it is another number.
    """

    rows: list[int] = field(default_factory=list)
    fields: list[list[str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lines: dict[int, int] = field(default_factory=dict)


def delimited_records(
    path: str, dialect: Dialect, size: int, *, encoding: str | None, strip: bool, watch_quotes: bool
) -> Iterator[Records]:
    """Yields the rows of a TSV or CSV file.

    Without quoting a row is a line and `"` is a character like any other; with quoting the rules of RFC 4180 hold: a
    quoted field may span lines. Lines end in LF or CR LF.

    Args:
        path: The file.
        dialect: How to split it.
        size: Rows to yield at once.
        encoding: `data.encoding`.
        strip: White space may stand between a separator and a quote.
        watch_quotes: Without quoting, warn if fields look quoted.

    Raises:
        DataError: The file cannot be read, or a quoted field has no end.
    """
    if dialect.quoting:
        return _quoted_records(path, dialect, size, encoding, strip)
    return _plain_records(path, dialect, size, encoding, watch_quotes)


def _plain_records(
    path: str, dialect: Dialect, size: int, encoding: str | None, watch_quotes: bool
) -> Iterator[Records]:
    decoder = LineDecoder(path, encoding)
    watch = QuoteWatch(path) if watch_quotes else None
    for number, lines in iter_lines(path, size, encoding):
        if number == 1:
            lines, number = lines[dialect.lines_before :], number + dialect.lines_before
        rows, texts, problems = decoder.decode(number, lines)
        problems = [_with_cells(one, dialect.separator) for one in problems]
        texts = [text.removesuffix("\r") for text in texts]
        if watch is not None:
            watch.add(texts, dialect.separator)
        records = Records(rows, [text.split(dialect.separator) for text in texts], problems)
        yield _shifted(records, dialect.lines_before) if dialect.lines_before else records
    if watch is not None:
        watch.finish()


def _with_cells(problem: Problem, separator: str) -> Problem:
    return replace(problem, cells=tuple(problem.value.removesuffix("\r").split(separator)))


def _shifted(records: Records, by: int) -> Records:
    """Records whose rows are `by` less than their lines."""
    problems = [replace(problem, row=problem.row - by) for problem in records.problems]
    rows = [row - by for row in records.rows]
    lines = {row: row + by for row in [*rows, *(one.row for one in problems)]}
    return Records(rows, records.fields, problems, lines)


class _Lines:
    """Decoded lines for Python's reader of CSV; those that cannot be decoded go on with replacements."""

    def __init__(self, path: str, dialect: Dialect, size: int, encoding: str | None):
        self._decoder = LineDecoder(path, encoding)
        self._lines = iter_lines(path, size, encoding)
        self._skip = dialect.lines_before
        self.last = ""
        self.damaged: list[Problem] = []  # of the lines so far, since this list was emptied; `row` is the line

    def __iter__(self) -> Iterator[str]:
        for number, lines in self._lines:
            if number == 1:
                lines, number = lines[self._skip :], number + self._skip
            good, texts, problems = self._decoder.decode(number, lines)
            decoded = dict(zip(good, texts, strict=True)) if problems else {}
            bad = {problem.row: problem for problem in problems}
            for at, line in enumerate(lines, number):
                if not bad:
                    self.last = texts[at - number]
                elif at in bad:
                    self.damaged.append(bad[at])
                    self.last = line.decode(errors="replace")
                else:
                    self.last = decoded[at]
                yield self.last + "\n"


def _quoted_records(path: str, dialect: Dialect, size: int, encoding: str | None, strip: bool) -> Iterator[Records]:
    # The limit holds for the whole process, so it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    lines = _Lines(path, dialect, size, encoding)
    reader = csv.reader(lines, delimiter=dialect.separator, strict=True, skipinitialspace=strip)
    watch = SwallowWatch(path, dialect.separator)
    records = Records()
    row = 0
    while True:
        row += 1
        line = reader.line_num + 1 + dialect.lines_before
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            records.problems.append(_not_well_quoted(path, row, line, error, lines.last))
            lines.damaged.clear()
        else:
            if lines.damaged:
                line = lines.damaged[0].row
                records.problems += [replace(one, row=row, cells=tuple(fields)) for one in lines.damaged]
                lines.damaged.clear()
            else:
                if reader.line_num + dialect.lines_before > line:
                    watch.add(row, line, fields)
                records.rows.append(row)
                records.fields.append(fields)
        if line != row:
            records.lines[row] = line
        if len(records.rows) + len(records.problems) >= size:
            yield records
            records = Records()
    if records.rows or records.problems:
        yield records


def _not_well_quoted(path: str, row: int, line: int, error: csv.Error, last_line: str) -> Problem:
    text = str(error)
    where = f"{path}: row {row}{f' (line {line})' if line != row else ''}"
    off = "if no fields are quoted set data.quoting: false"
    if "field larger" in text or "end of data" in text:
        raise DataError(
            f"{where}: a quoted field begins that has no end, or more than {LONGEST_FIELD >> 20} million characters; "
            f"{off}."
        ) from error
    if '\\"' in last_line:
        off = 'a quote in a quoted field is written "", not \\"'
    if "new-line" in text:
        text = "a carriage return (CR) stands alone, expected LF or CR LF as line ends"
    return Problem(path, row, None, text, f"is not well quoted: {text}; {off}")
