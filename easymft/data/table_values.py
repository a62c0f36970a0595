"""The values of the user's own columns as a file's format takes them."""

import json
import warnings
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from easymft.data.chunks import as_json_field, is_json

# Types of which one of the same kind can take the values of the other.
_FAMILIES: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_signed_integer,
    pa.types.is_unsigned_integer,
    pa.types.is_floating,
    lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind),
)


def as_texts(field: pa.Field, column: pa.ChunkedArray) -> list[str]:
    """The texts of a column's values, "" for null.

    Raises:
        pyarrow.ArrowException: They have none.
    """
    if pa.types.is_dictionary(field.type):
        column = column.cast(field.type.value_type)
    texts = pc.fill_null(pc.cast(column, pa.string()), "").to_pylist()
    # A string among values of several types is itself, as where all are strings.
    return [json.loads(text) if text.startswith('"') else text for text in texts] if is_json(field) else texts


def finite(table: pa.Table) -> pa.Table:
    """JSON and Excel do not know NaN and infinity, which become null."""
    for at, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            values = table.column(at)
            table = table.set_column(at, field, pc.if_else(pc.is_finite(values), values, None))
    return table


def unite(known: pa.Schema | None, found: pa.Schema) -> pa.Schema:
    """The types of columns that can hold what two tables of the same columns hold.

    Args:
        known: The first table's types; None where there was none.
        found: The other table's types.

    Returns:
        The types; where none can hold both, texts of JSON (`is_json`).

    Warns:
        UserWarning: A column becomes text by it.
    """
    # No file but the one that was read has the names that `own_name` gives back, which other metadata is for.
    found = pa.schema([field if is_json(field) else field.remove_metadata() for field in found], found.metadata)
    if known is None:
        for field in filter(is_json, found):
            _tell(field.name)
        return found
    return pa.schema([_united(ours, theirs) for ours, theirs in zip(known, found, strict=True)], known.metadata)


def _united(ours: pa.Field, theirs: pa.Field) -> pa.Field:
    if is_json(ours) or ours.type == theirs.type and not is_json(theirs) or pa.types.is_null(theirs.type):
        return ours
    if pa.types.is_null(ours.type) and not is_json(theirs):
        return theirs
    kinds = [one.type.value_type if pa.types.is_dictionary(one.type) else one.type for one in (ours, theirs)]
    if not is_json(theirs) and (kinds[0] == kinds[1] or any(all(map(family, kinds)) for family in _FAMILIES)):
        pair = [pa.schema([pa.field(ours.name, kind)]) for kind in kinds]
        return pa.unify_schemas(pair, promote_options="permissive").field(0)
    _tell(ours.name)
    return as_json_field(ours.name)


def _tell(name: str) -> None:
    what = f"column {name!r} holds values of several types, which become their JSON texts in Parquet"
    warnings.warn(what, stacklevel=4)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows in columns of other types, as `unite` found them."""
    columns = [_conformed(*three) for three in zip(table.schema, table.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _conformed(field: pa.Field, column: pa.ChunkedArray, target: pa.Field) -> pa.ChunkedArray:
    if not is_json(target) or is_json(field):
        return column.cast(target.type)
    texts = [None if one is None else json.dumps(one, ensure_ascii=False, default=str) for one in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, target.type)])
