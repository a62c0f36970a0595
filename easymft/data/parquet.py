"""Reads Parquet in constant memory."""

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from easymft.data.chunks import ArrowChunk
from easymft.errors import DataError, one_line


class ParquetReader:
    """A Parquet file; its rows are counted from 1.

    Attributes:
        names: The names of its columns.
    """

    def __init__(self, path: str, size: int):
        """Opens the file.

        Args:
            path: The file.
            size: Rows per chunk.

        Raises:
            DataError: It cannot be read, is no Parquet file, or holds no rows.
        """
        self._path = path
        self._size = size
        try:
            with pq.ParquetFile(path) as file:
                self._schema = file.schema_arrow
                rows = file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: is no readable Parquet file ({one_line(error)}).") from error
        if rows == 0:
            raise DataError(f"{path}: is empty (no rows), expected rows.")
        self.names = tuple(self._schema.names)

    def check_types(self, located: dict[str, int], numbers: Collection[str]) -> None:
        """Checks the types of the columns in use.

        Args:
            located: Field -> position of its column.
            numbers: Fields that are numbers; "text" and "text_pair" are strings, others strings or integers.

        Raises:
            DataError: A column is of another type.
        """
        for field, position in located.items():
            kind = self._schema.field(position).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
            if field in numbers:
                good, expected = pa.types.is_floating(kind) or pa.types.is_integer(kind), "numbers"
            elif field in ("text", "text_pair"):
                good, expected = is_text, "strings"
            else:
                good, expected = is_text or pa.types.is_integer(kind), "strings or integers"
            # A column of nulls alone: each row is reported.
            if not good and not pa.types.is_null(kind):
                raise DataError(
                    f"{self._path}: column {self.names[position]!r} is of type {kind}, expected {expected}."
                )

    def chunks(self) -> Iterator[ArrowChunk]:
        """Yields the file's rows; may be called once.

        Raises:
            DataError: The file is damaged, or a string in it is not UTF-8.
        """
        row = 1
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(self._size):
                    batch.validate(full=True)
                    table = pa.Table.from_batches([batch])
                    yield ArrowChunk(np.arange(row, row + len(table), dtype=np.int64), table)
                    row += len(table)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self._path}: from row {row} on cannot be read ({one_line(error)}).") from error
