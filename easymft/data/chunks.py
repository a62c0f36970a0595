"""Chunks of rows as the readers of the file formats hand them on, before their values are checked."""

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from easymft.data.bad_rows import Problem

_PLAIN = {str, int, float, bool}
_JSON_MARK = {b"easymft": b"json"}  # in a field's metadata
_OWN_NAME = b"easymft.name"


def is_json(field: pa.Field) -> bool:
    """Whether a column of `Chunk.table` holds JSON texts in place of values that no Arrow column can hold."""
    return field.metadata == _JSON_MARK


def as_json_field(name: str) -> pa.Field:
    """A column of JSON texts."""
    return pa.field(name, pa.string(), metadata=_JSON_MARK)


def own_name(field: pa.Field) -> str:
    """The name that a column of `Chunk.table` has in its file, where it may be empty or stand more than once."""
    return (field.metadata or {}).get(_OWN_NAME, field.name.encode()).decode()


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a `Chunk.table`, with the values that the file has."""
    rows = table.to_pylist()
    for name in (one.name for one in table.schema if is_json(one)):
        for row in rows:
            row[name] = None if row[name] is None else json.loads(row[name])
    return rows


def renamed(field: pa.Field, name: str, own: str) -> pa.Field:
    """`field` with a name that no other column has, and with that of the file where it is another (see `own_name`)."""
    return field.with_name(name) if own == name else field.with_name(name).with_metadata({_OWN_NAME: own})


class Chunk(Protocol):
    """Some rows of one file: well-formed, their values not yet checked.

    Attributes:
        rows: [n] int64, the rows' 1-based numbers.
        problems: Rows in between that are not well-formed.
        lines: Row -> number of its first line, of rows of both kinds where it is another number.
    """

    rows: np.ndarray
    problems: list[Problem]
    lines: dict[int, int]

    def whole(self) -> "Chunk":
        """The same with those rows in their places: their values as far as they are there, else None."""

    def column(self, position: int) -> list[Any]:
        """Returns the [n] values of a column."""

    def table(self, keep: np.ndarray | None) -> pa.Table:
        """Returns all columns; with `keep`, a [n] mask, only those rows."""


@dataclass
class ListChunk:
    """Rows whose columns are Python lists, each [n]; `names` names them, `own_names` does so in the file."""

    file: str
    names: Sequence[str]
    rows: np.ndarray
    columns: list[list[Any]]
    problems: list[Problem] = field(default_factory=list)
    arrow_type: pa.DataType | None = None
    lines: dict[int, int] = field(default_factory=dict)
    own_names: Sequence[str] | None = None

    def whole(self) -> "ListChunk":
        """The same with the rows of `problems` in their places: their values as far as they are there, else None."""
        broken = {problem.row: problem.cells for problem in self.problems}
        if not broken:
            return self
        rows = np.concatenate([self.rows, np.fromiter(broken, np.int64)])
        order = np.argsort(rows)
        columns = []
        for at, values in enumerate(self.columns):
            all_values = [*values, *(_held(cells[at]) if at < len(cells) else None for cells in broken.values())]
            columns.append([all_values[place] for place in order])
        return replace(self, rows=rows[order], columns=columns, problems=[])

    def column(self, position: int) -> list[Any]:
        """Returns the [n] values of a column."""
        return self.columns[position]

    def table(self, keep: np.ndarray | None) -> pa.Table:
        """Returns all columns, as `arrow_type` or of inferred types; with `keep`, a [n] mask, only those rows.

        Where a column's values are of several types or nested, it holds their JSON texts, and says so (`is_json`).
        """
        columns = []
        own_names = self.names if self.own_names is None else self.own_names
        for name, own, values in zip(self.names, own_names, self.columns, strict=True):
            kept = values if keep is None else [value for value, good in zip(values, keep, strict=True) if good]
            arrow_field, array = _column(name, kept, self.arrow_type)
            columns.append((renamed(arrow_field, name, own), array))
        return pa.Table.from_arrays([array for _, array in columns], schema=pa.schema([field for field, _ in columns]))


def _column(name: str, values: list[Any], arrow_type: pa.DataType | None) -> tuple[pa.Field, pa.Array]:
    kinds = {type(value) for value in values} - {NoneType}
    if arrow_type is not None or not kinds or (len(kinds) == 1 and kinds < _PLAIN):
        for kind in (arrow_type, pa.uint64()):  # the second for such as hashes of 64 bits
            with contextlib.suppress(OverflowError):
                array = pa.array(values, type=kind)
                return pa.field(name, array.type), array
    # Arrow would change values of other kinds (1 beside 2.5 to 1.0), or refuse them.
    return as_json_field(name), pa.array(map(_as_json, values), pa.string())


def _held(value: Any) -> Any:
    """A value of a bad row, or None where no file in UTF-8 and JSON can hold it."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False, default=str).encode()
    except ValueError:
        return None
    return value


def _as_json(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False)


def _finite(value: Any) -> Any:
    """`value` with null in place of NaN and infinity, which JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return {name: _finite(one) for name, one in value.items()} if isinstance(value, dict) else value


@dataclass
class ArrowChunk:
    """Rows of an Arrow table."""

    rows: np.ndarray
    arrow: pa.Table
    problems: list[Problem] = field(default_factory=list)
    lines: dict[int, int] = field(default_factory=dict)

    def whole(self) -> "ArrowChunk":
        """The same, as each row of an Arrow table is there."""
        return self

    def column(self, position: int) -> list[Any]:
        """Returns the [n] values of a column."""
        return self.arrow.column(position).to_pylist()

    def table(self, keep: np.ndarray | None) -> pa.Table:
        """Returns all columns; with `keep`, a [n] mask, only those rows."""
        return self.arrow if keep is None else self.arrow.filter(pa.array(keep))
