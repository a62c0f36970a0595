"""Rows that cannot be used: what is wrong with them, and what becomes of them (`data.bad_rows`)."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from easymft.errors import DataError
from easymft.files import part_name

_SHOWN_CHARACTERS = 60
_ESCAPES = {9: "\\t", 10: "\\n", 13: "\\r"}


def shown(value: object) -> str:
    """Returns `value` quoted for a message, cut to 60 characters."""
    text = repr(value)
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}...{text[-1] if isinstance(value, str) else ''}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one row.

    Attributes:
        file: The file as the user named it.
        row: 1-based, as an editor counts lines (header included); in Parquet, the number of the row.
        column: The column's name; None where the row as a whole is wrong.
        value: What stands there, as text.
        problem: What is wrong and what was expected, with the value.
        cells: The row's values as far as they are there, in the columns' order, where it is wrong as a whole.
    """

    file: str
    row: int
    column: str | None
    value: str
    problem: str
    cells: tuple[Any, ...] = ()

    @property
    def reason(self) -> str:
        """What is wrong, on one line in characters that any file holds, for a table that has the row itself."""
        text = self.problem if self.column is None else f"column {self.column!r}: {self.problem}"
        return _writable(text)

    def __str__(self) -> str:
        """Returns the one line that a user reads."""
        place = f"row {self.row}" if self.column is None else f"row {self.row}, column {self.column!r}"
        return f"{self.file}: {place}: {self.problem}"


def _writable(text: str) -> str:
    """The text with escapes for what breaks lines and fields, and for what is no UTF-8, such as lone surrogates."""
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace").decode("utf-8")


class SkippedRows:
    """The list of skipped rows: a TSV file of file, row, column, problem and value.

    Use it as a context manager, or call `close`: the list stands under a temporary name until then. The file is written
    also when nothing was skipped, so that it never speaks of an earlier run.

    Attributes:
        path: Where the list goes; None: nowhere.
        count: Rows that were skipped.
        kept: All other rows, 0 until their files were read to the end.
    """

    def __init__(self, path: str | os.PathLike[str] | None):
        """Starts a list.

        Args:
            path: Where it goes; None only counts.

        Raises:
            DataError: `path` cannot be written.
        """
        self.path = None if path is None else Path(path)
        self.count = self.kept = 0
        self._last: tuple[str, int] | None = None
        self._stream: TextIO | None = None
        if self.path is not None:
            try:
                self._part = part_name(self.path)
                self._stream = open(self._part, "w", encoding="utf-8", newline="")
            except OSError as error:
                raise DataError(f"{self.path}: cannot be written ({error.strerror}).") from error
            self._write("file", "row", "column", "problem", "value")

    def add(self, problem: Problem) -> None:
        """Lists `problem`; the problems of one row come one after another and count as one skipped row."""
        if self._last != (problem.file, problem.row):
            self._last = (problem.file, problem.row)
            self.count += 1
        self._write(problem.file, str(problem.row), problem.column or "", problem.problem, problem.value)

    def add_kept(self, rows: int) -> None:
        """Counts the good rows of files that were read to the end."""
        self.kept += rows

    def _write(self, *fields: str) -> None:
        if self._stream is not None:
            self._stream.write("\t".join(map(_writable, fields)) + "\n")

    def close(self, *, discard: bool = False) -> None:
        """Moves the list to its place; with `discard` removes it. A second call does nothing."""
        if self._stream is None or self.path is None:
            return
        self._stream.close()
        self._stream = None
        if discard:
            self._part.unlink()
        else:
            self._part.replace(self.path)

    def __enter__(self) -> "SkippedRows":
        """Returns itself."""
        return self

    def __exit__(self, error_type: type | None, *_: object) -> None:
        """Closes the list, or after an error discards it."""
        self.close(discard=error_type is not None)


class BadRows:
    """Collects problems while files are read: to stop with all of them in one error, or to skip their rows."""

    def __init__(self, limit: int, skipped_rows: SkippedRows | None):
        """Starts without problems.

        Args:
            limit: How many of them the error lists at most.
            skipped_rows: Where they are listed and then forgotten; None to stop.
        """
        self._limit = limit
        self._skipped_rows = skipped_rows
        self._listed: list[Problem] = []
        self.count = 0

    @property
    def stopped(self) -> bool:
        """Whether reading has failed and goes on just to find all problems."""
        return self._skipped_rows is None and self.count > 0

    def add(self, problems: Iterable[Problem]) -> None:
        """Takes the problems of a chunk of rows of one file."""
        for problem in sorted(problems, key=lambda one: one.row):
            self.count += 1
            if len(self._listed) < self._limit:
                self._listed.append(problem)
            if self._skipped_rows is not None:
                self._skipped_rows.add(problem)

    def finish(self, good_rows: int) -> None:
        """Ends the reading of all files.

        Raises:
            DataError: There were problems and the rows are not to be skipped, or no good row is left.
        """
        if self.stopped:
            raise DataError(self._message())
        if self._skipped_rows is not None:
            self._skipped_rows.add_kept(good_rows)
        if good_rows == 0:
            raise DataError(f"No row is left after skipping all bad ones:\n{self._message()}")

    def _message(self) -> str:
        lines = [str(problem) for problem in self._listed]
        if self.count > len(lines):
            lines.append(f"... and {self.count - len(lines)} more")
        return "\n".join(lines)
