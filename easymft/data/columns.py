"""Which column of a file holds which field of an example."""

import difflib
import warnings
from collections.abc import Collection, Sequence
from itertools import combinations, count

from easymft.config.data_section import ColumnsConfig, DataConfig
from easymft.config.section import Column, composed
from easymft.data.bad_rows import shown
from easymft.errors import DataError

_NAMES_SHOWN = 20
_MUST_DIFFER = ("text", "text_pair", "domain", "label")
_LIKELIEST_ABSENT = ("typicality", "label", "weight", "id", "domain")  # the scores are in training files alone
# What a header calls these fields, for the check that no header is read as an example.
_USUAL_NAMES = {
    "text": {"text", "text1", "text_1", "text_a", "sentence", "sentence1", "review", "premise", "content"},
    "text_pair": {"text_pair", "text2", "text_2", "text_b", "sentence2", "hypothesis"},
    "domain": {"domain", "genre", "category"},
    "label": {"label", "labels", "class", "gold_label", "target", "category"},
}


def configured_columns(columns: ColumnsConfig) -> dict[str, Column]:
    """Returns field -> name or number of its column, for the fields that have one."""
    return {name: value for name, value in columns if value is not None}


def has_header(data: DataConfig) -> bool:
    """Whether the first line of a TSV or CSV file holds names; `data.header` null means: where they are needed."""
    if data.header is not None:
        return data.header
    return data.column_names is None and all(isinstance(one, str) for one in configured_columns(data.columns).values())


def check_columns(data: DataConfig, *, pair: bool, need_label: bool) -> None:
    """Checks that the settings of the columns agree with one another and with the application.

    Raises:
        DataError: They do not.
    """
    columns = configured_columns(data.columns)
    if pair and "text_pair" not in columns:
        raise DataError("data.columns.text_pair is null, expected a column: text_matching reads two texts.")
    if not pair and "text_pair" in columns:
        raise DataError(
            f"data.columns.text_pair is {columns['text_pair']!r}, expected null: text_classification reads one text."
        )
    if need_label and "label" not in columns:
        raise DataError("data.columns.label is null, expected the column of the classes.")
    if data.header and data.column_names is not None:
        raise DataError(
            "data.column_names is given and data.header is true, expected names for files without a header."
        )
    check_unique(data.column_names or [], "data.column_names")
    used: dict[Column, str] = {}
    for field in _MUST_DIFFER:
        if field in columns:
            if columns[field] in used:
                raise DataError(
                    f"data.columns.{used[columns[field]]} and data.columns.{field} are both {columns[field]!r}, "
                    "expected different columns."
                )
            used[columns[field]] = field


def check_unique(names: Sequence[str], place: str) -> None:
    """Raises DataError where a name stands twice in `names`, which were found at `place`."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{place}: holds {', '.join(map(shown, repeated))} more than once, expected different names.")


def unique_names(names: Sequence[str], data: DataConfig, file: str) -> tuple[str, ...]:
    """Returns `names` with other ones in place of those that are empty or stand a second time.

    Args:
        names: As a file has them.
        data: The columns in use, whose names must be unique.
        file: For the message.

    Raises:
        DataError: The name of a column in use stands twice.

    Warns:
        UserWarning: The name of a column in use is written in another Unicode form than NFC.
    """
    used = [column for column in configured_columns(data.columns).values() if isinstance(column, str)]
    same = [composed(name) for name in names]
    check_unique([name for name in same if name in used], f"{file}: header")
    for name, one in zip(names, same, strict=True):
        if name != one in used:
            warnings.warn(
                f"{file}: the name of column {one!r} has another Unicode form (letters and accents apart, as macOS "
                "writes them) and is taken for the same",
                stacklevel=2,
            )
    result: list[str] = []
    taken = set(names)
    for number, name in enumerate(names):
        if not name or name in result:
            stem = name or "column"
            numbers = count(2 if name else number)
            name = next(new for new in (f"{stem}_{one}" for one in numbers) if new not in taken)
            taken.add(name)
        result.append(name)
    return tuple(result)


def names_without_header(data: DataConfig, width: int, optional: Collection[str]) -> tuple[str, ...]:
    """Returns the names of the columns of a file without a header.

    Args:
        data: Names from `column_names`; without it numbered columns bear the name of their field.
        width: How many columns the file's first row has.
        optional: Fields whose column may be absent. Where `width` falls short of `column_names`, the names of absent
            ones are left out: one of `_LIKELIEST_ABSENT` first, several only if one is not enough.

    Warns:
        UserWarning: Others could be left out as well.
    """
    columns = configured_columns(data.columns)
    if data.column_names is None:
        fields = {number: field for field, number in reversed(columns.items())}
        return tuple(fields.get(number, f"column_{number}") for number in range(width))
    absent = [columns[field] for field in _LIKELIEST_ABSENT if field in optional and field in columns]
    for number in range(len(absent) + 1):
        found = [tuple(one for one in data.column_names if one not in left) for left in combinations(absent, number)]
        found = [names for names in found if len(names) == width]
        if len(found) > 1:
            some = ", ".join(map(str, absent))
            warnings.warn(
                f"{width} columns are read as {', '.join(found[0])}, but any of {some} may be absent: "
                "leave out of data.column_names what is not in the file",
                stacklevel=2,
            )
        if found:
            return found[0]
    return tuple(data.column_names)


def locate_columns(
    data: DataConfig,
    names: Sequence[str],
    file: str,
    *,
    header_row: bool | None,
    optional: Collection[str],
    separator_hint: str = "",
) -> dict[str, int]:
    """Returns field -> position of its column among `names`, in the order of `ColumnsConfig`.

    Args:
        data: The columns by name or number.
        names: The columns that `file` has.
        file: For messages.
        header_row: Whether `names` came from the first row of a TSV or CSV file; None for other formats.
        optional: Fields that are left out where their column is absent.
        separator_hint: What to say where a column is missing because fields were split wrongly; "": they were not.

    Raises:
        DataError: A column is missing.
    """
    found = {}
    for field, column in configured_columns(data.columns).items():
        position = _position(column, names)
        if position is not None:
            found[field] = position
        elif field not in optional:
            raise DataError(_missing_column(data, field, column, names, file, header_row, separator_hint))
    return found


def _position(column: Column, names: Sequence[str]) -> int | None:
    if isinstance(column, str):
        return next((at for at, name in enumerate(names) if composed(name) == column), None)
    return column if column < len(names) else None


def _missing_column(
    data: DataConfig,
    field: str,
    column: Column,
    names: Sequence[str],
    file: str,
    header_row: bool | None,
    separator_hint: str,
) -> str:
    what = f"data.columns.{field}"
    if isinstance(column, int):
        message = f"{file}: no column number {column} for {what}, the file has {len(names)} (0 to {len(names) - 1})"
        return f"{message}; {separator_hint}." if separator_hint else f"{message}."
    if header_row is False and data.column_names is None:
        return (
            f"{file}: no column {column!r} for {what}, as data.header is false or other columns are numbers; "
            "give its number, or data.column_names."
        )
    there = ", ".join(shown(name) for name in names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    message = f"{file}: no column {column!r} for {what}, the columns there are: {there}"
    if separator_hint:
        return f"{message}; {separator_hint}."
    if any(name.strip().strip('"').strip() == column for name in names):
        if any('"' in name for name in names):
            return f"{message}; to read quoted fields set data.quoting: true."
        return f"{message}; to remove white space set data.strip_whitespace: true."
    folded = {composed(name).casefold(): name for name in names}
    near = difflib.get_close_matches(column.casefold(), folded, n=1, cutoff=0.75)
    if near:
        return f"{message}; did you mean {folded[near[0]]!r}?"
    if not header_row:
        return f"{message}."
    if len(names) == 1 and column in names[0]:
        return f"{message}; if another character separates its fields set data.separator."
    return (
        f"{message}. Row 1 was read as the header; if it is an example, "
        "set data.header: false with data.column_names, or give columns by number."
    )


def check_first_row(data: DataConfig, values: dict[str, str], file: str) -> None:
    """Checks that the first row of a file without a header is not a header.

    Args:
        data: The configured names.
        values: Field -> what the first row holds there.
        file: For messages.

    Raises:
        DataError: All of its texts, domain and label are the names of their columns, or usual names for them.
    """
    fields = [field for field in _MUST_DIFFER if field in values]
    columns = configured_columns(data.columns)
    for field in fields:
        value = values[field].strip().strip('"').casefold()
        if value == str(columns[field]).casefold() and isinstance(columns[field], str):
            continue
        # A file of texts alone may well begin with the text "Review".
        if len(fields) == 1 or value not in _USUAL_NAMES[field]:
            return
    raise DataError(
        f"{file}: row 1 holds {', '.join(shown(values[field]) for field in fields)}, which looks like a header, "
        "although by data.header, column_names or numbers there is none; set data.header: true, column_names: null."
    )


def check_header_is_none(values: dict[str, str], labels: Collection[str], file: str) -> None:
    """Checks that the header of a file, whose columns are numbered, is not an example.

    Args:
        values: Field -> what the header holds there.
        labels: The known classes.
        file: For messages.

    Raises:
        DataError: The header's label is one of `labels`.
    """
    if values.get("label") in labels:
        raise DataError(
            f"{file}: row 1 was read as the header (data.header is true), but holds the label {values['label']!r}; "
            "if it is an example set data.header: false."
        )
