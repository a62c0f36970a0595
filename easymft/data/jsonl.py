"""Reads JSON Lines in constant memory, with the row of everything that is wrong."""

import functools
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from easymft.data.bad_rows import Problem, shown
from easymft.data.chunks import ListChunk
from easymft.data.encoding import LineDecoder, iter_lines, read_head
from easymft.data.packing import local_file
from easymft.errors import DataError

_TYPE_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "list", dict: "object"}
_COLUMNS_OF_PANDAS = re.compile(r'\{"(?:[^"\\]|\\.)*": ?\{"0":')
_MOST_KEYS = 10_000
_LINES_AT_ONCE = 1024


def json_type(value: object) -> str:
    """Returns what JSON calls the type of `value`."""
    return "null" if value is None else _TYPE_NAMES.get(type(value), type(value).__name__)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes an object of its keys and values; of a key that stands twice, Python's own would drop a value."""
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in value if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return value


def _parse(path: str, row: int, text: str) -> dict[str, Any] | Problem:
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        what = "empty line" if not text.strip() else f"is not JSON ({error}): {shown(text)}"
        return Problem(path, row, None, text, f"{what}, expected one JSON object")
    if not isinstance(value, dict):
        return Problem(
            path, row, None, text, f"is of JSON type {json_type(value)}, expected an object; got {shown(text)}"
        )
    return value


def gather_keys(paths: Sequence[str], encoding: str | None) -> tuple[str, ...]:
    """Returns the keys of all objects in JSON Lines files in the order of their first occurrence.

    The files are read for it once in a process; rows that are bad are left to the reader.

    Raises:
        DataError: A file cannot be read, is no JSON Lines, or has more than 10,000 different keys.
    """
    keys: dict[str, None] = {}
    for path in paths:
        status = os.stat(local_file(path))
        keys |= dict.fromkeys(_keys_of(path, encoding, status.st_size, status.st_mtime_ns))
    return tuple(keys)


@functools.lru_cache(maxsize=1024)
def _keys_of(path: str, encoding: str | None, *_status: int) -> tuple[str, ...]:
    _check_no_document(path, encoding)
    keys: dict[str, None] = {}
    for number, lines in iter_lines(path, _LINES_AT_ONCE, encoding):
        for line in lines:
            try:
                value = json.loads(line.decode())
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and not value.keys() <= keys.keys():
                keys |= dict.fromkeys(value)
        if len(keys) > _MOST_KEYS:
            raise DataError(
                f"{path}: has more than {_MOST_KEYS} different keys in its first {number + len(lines) - 1} rows, "
                "expected objects with the same keys, which are the columns."
            )
    return tuple(keys)


def _check_no_document(path: str, encoding: str | None) -> None:
    """Checks that a file is not one JSON value over many lines."""
    head = read_head(path, encoding).lstrip("\ufeff \t\r\n")
    if head.startswith("["):
        raise DataError(
            f"{path}: is a JSON array, expected one JSON object on each line (JSON Lines); to convert it: "
            f"jq -c '.[]' {path} > new.jsonl"
        )
    if head.startswith("{") and head.partition("\n")[0].strip() == "{":
        raise DataError(
            f"{path}: is a JSON object over several lines, expected one JSON object on each line (JSON Lines); if it "
            f"is one row: jq -c . {path} > new.jsonl"
        )
    if _COLUMNS_OF_PANDAS.match(head):
        raise DataError(
            f"{path}: is one JSON object of columns, as pandas writes it, expected one JSON object on each line (JSON "
            'Lines): to_json(..., orient="records", lines=True)'
        )


class JsonLinesReader:
    """A file with one JSON object per line.

    Attributes:
        names: The keys of its columns; an object may lack some of them (null).
    """

    def __init__(self, path: str, size: int, names: Sequence[str], encoding: str | None):
        """Reads the first chunk.

        Args:
            path: The file.
            size: Rows per chunk.
            names: The keys of this file and of those that are read with it (see `gather_keys`).
            encoding: `data.encoding`.

        Raises:
            DataError: The file is empty or cannot be read, or its first rows are no JSON objects.
        """
        self._path = path
        self._encoding = encoding
        records = self._read(size)
        rows, objects, problems = next(records, ([], [], []))
        if not objects:
            raise DataError(str(problems[0]) if problems else f"{path}: is empty (no rows), expected rows.")
        self.names = tuple(names)
        self._records = chain([(rows, objects, problems)], records)

    def _read(self, size: int) -> Iterator[tuple[list[int], list[dict[str, Any]], list[Problem]]]:
        decoder = LineDecoder(self._path, self._encoding)
        empty: list[int] = []  # rows at the end so far
        for number, lines in iter_lines(self._path, size, self._encoding):
            rows, texts, problems = decoder.decode(number, lines)
            last_problem = max((problem.row for problem in problems), default=0)
            kept = len(rows)
            while kept and rows[kept - 1] > last_problem and not texts[kept - 1].strip():
                kept -= 1
            if kept or problems:
                problems += [_parse(self._path, row, "") for row in empty]
                empty = []
            empty += rows[kept:]
            parsed = [(row, _parse(self._path, row, text)) for row, text in zip(rows[:kept], texts, strict=False)]
            good = [(row, one) for row, one in parsed if isinstance(one, dict)]
            problems += [one for _, one in parsed if isinstance(one, Problem)]
            if good or problems:
                yield [row for row, _ in good], [one for _, one in good], problems

    def chunks(self) -> Iterator[ListChunk]:
        """Yields the rows that are objects; may be called once."""
        for rows, objects, problems in self._records:
            pairs = [(row, one, self._problem(row, one)) for row, one in zip(rows, objects, strict=True)]
            problems += [replace(bad, cells=tuple(map(one.get, self.names))) for _, one, bad in pairs if bad]
            rows = [row for row, _, problem in pairs if not problem]
            objects = [one for _, one, problem in pairs if not problem]
            columns = [[one.get(name) for one in objects] for name in self.names]
            yield ListChunk(self._path, self.names, np.array(rows, np.int64), columns, problems)

    def _problem(self, row: int, one: dict[str, Any]) -> Problem | None:
        # A lone surrogate such as "\ud800" is valid JSON, but no text.
        for name, value in one.items():
            if isinstance(value, list | dict):
                try:
                    json.dumps(value, ensure_ascii=False).encode()
                except ValueError as error:  # of which UnicodeEncodeError is one
                    message = f"holds what no file in UTF-8 can hold ({error})"
                    return Problem(self._path, row, name, shown(str(value)), message)
            if isinstance(value, str) and not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError as error:
                    half = value[error.start]
                    message = f"holds {half!r}, half a surrogate pair, which is no character"
                    return Problem(self._path, row, name, value, message)
        return None
