"""Reads JSON Lines in constant memory, with the row of everything that is wrong."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, NoReturn

import numpy as np

from easymft.data.bad_rows import Problem, shown
from easymft.data.chunks import ListChunk
from easymft.data.delimited import decode_lines
from easymft.data.sources import iter_lines
from easymft.errors import DataError

_TYPE_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "list", dict: "object"}


def json_type(value: object) -> str:
    """Returns what JSON calls the type of `value`."""
    return "null" if value is None else _TYPE_NAMES.get(type(value), type(value).__name__)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _parse(path: str, row: int, text: str) -> dict[str, Any] | Problem:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        what = "empty line" if not text.strip() else f"is not JSON ({error}): {shown(text)}"
        return Problem(path, row, None, text, f"{what}, expected one JSON object")
    if not isinstance(value, dict):
        return Problem(
            path, row, None, text, f"is of JSON type {json_type(value)}, expected an object; got {shown(text)}"
        )
    return value


class JsonLinesReader:
    """A file with one JSON object per line.

    Attributes:
        names: The keys of the first object. Another row may lack some of them (null); one with a further key is bad.
    """

    def __init__(self, path: str, size: int):
        """Reads the first chunk.

        Args:
            path: The file.
            size: Rows per chunk.

        Raises:
            DataError: The file is empty or cannot be read, or its first rows are no JSON objects.
        """
        self._path = path
        records = self._read(size)
        rows, objects, problems = next(records)
        if not objects:
            raise DataError(str(problems[0]))
        self.names = tuple(objects[0])
        self._records = chain([(rows, objects, problems)], records)

    def _read(self, size: int) -> Iterator[tuple[list[int], list[dict[str, Any]], list[Problem]]]:
        for number, lines in iter_lines(self._path, size):
            rows, texts, problems = decode_lines(self._path, number, lines)
            parsed = [_parse(self._path, row, text) for row, text in zip(rows, texts, strict=True)]
            good = [isinstance(one, dict) for one in parsed]
            rows = [row for row, fine in zip(rows, good, strict=True) if fine]
            problems += [one for one in parsed if isinstance(one, Problem)]
            yield rows, [one for one in parsed if isinstance(one, dict)], problems

    def chunks(self) -> Iterator[ListChunk]:
        """Yields the rows that are objects with no other keys than the first one's; may be called once."""
        known = set(self.names)
        for rows, objects, problems in self._records:
            pairs = [(row, one, self._problem(row, one, known)) for row, one in zip(rows, objects, strict=True)]
            problems += [replace(bad, cells=tuple(map(one.get, self.names))) for _, one, bad in pairs if bad]
            rows = [row for row, _, problem in pairs if not problem]
            objects = [one for _, one, problem in pairs if not problem]
            columns = [[one.get(name) for one in objects] for name in self.names]
            yield ListChunk(self._path, self.names, np.array(rows, np.int64), columns, problems)

    def _problem(self, row: int, one: dict[str, Any], known: set[str]) -> Problem | None:
        if not one.keys() <= known:
            key = next(key for key in one if key not in known)
            message = f"key {key!r} is not in the file's first row, whose keys are its columns: {', '.join(self.names)}"
            return Problem(self._path, row, key, str(one[key]), message)
        # A lone surrogate such as "\ud800" is valid JSON, but no text; 1e999 is, but no finite number.
        for name, value in one.items():
            if isinstance(value, list | dict | float):
                try:
                    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
                except ValueError as error:  # of which UnicodeEncodeError is one
                    message = f"holds what no file in UTF-8 and JSON can hold ({error})"
                    return Problem(self._path, row, name, shown(str(value)), message)
            if isinstance(value, str) and not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError as error:
                    half = value[error.start]
                    message = f"holds {half!r}, half a surrogate pair, which is no character"
                    return Problem(self._path, row, name, value, message)
        return None
