"""Leaves out rows without content at the end of a file, as editors and spreadsheets write them."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from easymft.data.delimited import Records


@dataclass
class _Run:
    """Rows in a row that are empty and have the same number of fields."""

    row: int
    line: int
    width: int
    count: int = 1


def without_empty_end(path: str, parts: Iterator[Records], size: int) -> Iterator[Records]:
    """Yields `parts` without the rows at the end of the file whose fields are all empty.

    Args:
        path: The file, for the warning.
        parts: Its rows.
        size: Rows to yield at once, where many empty ones stand before others.

    Warns:
        UserWarning: Rows with separators were left out, or of a file with one column.
    """
    held: list[_Run] = []
    widths: set[int] = set()
    for records in parts:
        last_problem = max((problem.row for problem in records.problems), default=0)
        keep = len(records.rows)
        while keep and not any(records.fields[keep - 1]) and records.rows[keep - 1] > last_problem:
            keep -= 1
        if keep or records.problems:
            yield from _released(held, size)
            held = []
            widths.update(map(len, records.fields[:keep]))
            some = Records(records.rows[:keep], records.fields[:keep], records.problems, records.lines)
            yield some
        for row, fields in zip(records.rows[keep:], records.fields[keep:], strict=True):
            line, width = records.lines.get(row, row), max(len(fields), 1)
            last = held[-1] if held else None
            # An empty row is one line.
            if last and last.width == width and last.row + last.count == row and last.line + last.count == line:
                last.count += 1
            else:
                held.append(_Run(row, line, width))
    if not widths:  # nothing but empty rows
        yield from _released(held, size)
        return
    noteworthy = [run for run in held if run.width > 1 or widths == {1}]
    if noteworthy:
        count = sum(run.count for run in noteworthy)
        warnings.warn(
            f"{path}: {count} row{'s' * (count > 1)} without any content at the end of the file, from row "
            f"{noteworthy[0].row} on, {'are' if count > 1 else 'is'} left out",
            stacklevel=2,
        )


def _released(held: list[_Run], size: int) -> Iterator[Records]:
    for run in held:
        for start in range(0, run.count, size):
            rows = list(range(run.row + start, run.row + min(start + size, run.count)))
            shift = run.line - run.row
            lines = {row: row + shift for row in rows} if shift else {}
            yield Records(rows, [[""] * run.width for _ in rows], lines=lines)
