"""Chunks of rows as the readers of the file formats hand them on, before their values are checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from easymft.data.bad_rows import Problem
from easymft.errors import DataError


class Chunk(Protocol):
    """Some rows of one file: well-formed, their values not yet checked.

    Attributes:
        rows: [n] int64, the rows' 1-based numbers.
        problems: Rows in between that are not well-formed.
    """

    rows: np.ndarray
    problems: list[Problem]

    def column(self, position: int) -> list[Any]:
        """Returns the [n] values of a column."""

    def table(self, keep: np.ndarray | None) -> pa.Table:
        """Returns all columns; with `keep`, a [n] mask, only those rows."""


@dataclass
class ListChunk:
    """Rows whose columns are Python lists, each [n]; `names` names them."""

    file: str
    names: Sequence[str]
    rows: np.ndarray
    columns: list[list[Any]]
    problems: list[Problem] = field(default_factory=list)
    arrow_type: pa.DataType | None = None

    def column(self, position: int) -> list[Any]:
        """Returns the [n] values of a column."""
        return self.columns[position]

    def table(self, keep: np.ndarray | None) -> pa.Table:
        """Returns all columns, as `arrow_type` or of inferred types; with `keep`, a [n] mask, only those rows.

        Raises:
            DataError: A column mixes types that no Arrow column can hold.
        """
        arrays = []
        for name, values in zip(self.names, self.columns, strict=True):
            kept = values if keep is None else [value for value, good in zip(values, keep, strict=True) if good]
            try:
                arrays.append(_array(kept, self.arrow_type))
            except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
                first, last = self.rows[0], self.rows[-1]
                raise DataError(
                    f"{self.file}: rows {first} to {last}, column {name!r}: expected values of one type, got {error}."
                ) from error
        return pa.Table.from_arrays(arrays, names=list(self.names))


def _array(values: list[Any], arrow_type: pa.DataType | None) -> pa.Array:
    try:
        return pa.array(values, type=arrow_type)
    except OverflowError:
        return pa.array(values, type=pa.uint64())  # such as hashes of 64 bits


@dataclass
class ArrowChunk:
    """Rows of an Arrow table."""

    rows: np.ndarray
    arrow: pa.Table
    problems: list[Problem] = field(default_factory=list)

    def column(self, position: int) -> list[Any]:
        """Returns the [n] values of a column."""
        return self.arrow.column(position).to_pylist()

    def table(self, keep: np.ndarray | None) -> pa.Table:
        """Returns all columns; with `keep`, a [n] mask, only those rows."""
        return self.arrow if keep is None else self.arrow.filter(pa.array(keep))
