"""Reads Parquet in constant memory."""

import re
import warnings
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from easymft.config.data_section import DataConfig
from easymft.data.chunks import ArrowChunk, renamed
from easymft.data.columns import configured_columns, unique_names
from easymft.data.packing import local_file
from easymft.errors import DataError, one_line

_INDEX_OF_PANDAS = re.compile(r"__index_level_\d+__")


def stray_index_columns(paths: Sequence[str], data: DataConfig) -> set[str]:
    """Returns the columns in which pandas keeps the names of rows, where not all files have them and none is in use.

    pandas writes them or not as the rows were chosen, so files of one set differ in them.

    Warns:
        UserWarning: There are some.
    """
    found: list[set[str]] = []
    for path in paths:
        try:
            names = pq.read_schema(local_file(path)).names
        except (pa.ArrowException, OSError):
            continue  # the reader reports it
        found.append({name for name in names if _INDEX_OF_PANDAS.fullmatch(name)})
    stray = set().union(*found) - set.intersection(*found) if found else set()
    stray -= set(map(str, configured_columns(data.columns).values()))
    if stray:
        warnings.warn(
            f"{', '.join(sorted(stray))}: left out, as only some of the files have this column, in which pandas keeps "
            "the names of rows",
            stacklevel=2,
        )
    return stray


class ParquetReader:
    """A Parquet file; its rows are counted from 1.

    Attributes:
        names: The names of its columns, all different.
    """

    def __init__(self, path: str, data: DataConfig, size: int, left_out: Collection[str]):
        """Opens the file.

        Args:
            path: The file.
            data: The columns in use.
            size: Rows per chunk.
            left_out: Names of columns that are not read.

        Raises:
            DataError: It cannot be read, is no Parquet file, or holds no rows.
        """
        self._path = path
        self._size = size
        try:
            with pq.ParquetFile(local_file(path)) as file:
                schema = file.schema_arrow
                rows = file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: is no readable Parquet file ({one_line(error)}).") from error
        if rows == 0:
            raise DataError(f"{path}: is empty (no rows), expected rows.")
        self._kept = [at for at, name in enumerate(schema.names) if name not in left_out]
        self._types = [schema.field(at).type for at in self._kept]
        self.own_names = [schema.names[at] for at in self._kept]
        self.names = unique_names(self.own_names, data, path)

    def check_types(self, located: dict[str, int], numbers: Collection[str]) -> None:
        """Checks the types of the columns in use.

        Args:
            located: Field -> position of its column.
            numbers: Fields that are numbers; "text" and "text_pair" are strings, others strings, numbers or booleans.

        Raises:
            DataError: A column is of another type.
        """
        for field, position in located.items():
            kind = self._types[position]
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
            is_number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
            if field in numbers:
                good, expected = is_number, "numbers"
            elif field in ("text", "text_pair"):
                good, expected = is_text, "strings"
            else:
                good, expected = is_text or is_number or pa.types.is_boolean(kind), "strings, whole numbers or booleans"
            if field == "label" and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
                expected += "; several labels for one text are not supported"
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
            with pq.ParquetFile(local_file(self._path)) as file:
                for batch in file.iter_batches(self._size):
                    batch.validate(full=True)
                    table = self._named(pa.Table.from_batches([batch]))
                    yield ArrowChunk(np.arange(row, row + len(table), dtype=np.int64), table)
                    row += len(table)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self._path}: from row {row} on cannot be read ({one_line(error)}).") from error

    def _named(self, table: pa.Table) -> pa.Table:
        if list(self.names) == table.column_names:
            return table
        table = table.select(self._kept)
        schema = pa.schema(map(renamed, table.schema, self.names, self.own_names))
        return pa.Table.from_arrays(table.columns, schema=schema)
