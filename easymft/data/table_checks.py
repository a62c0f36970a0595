"""Whether a file can hold a table, told before hours go into it."""

import re
from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from easymft.data.bad_rows import shown
from easymft.data.chunks import own_name
from easymft.data.excel_writer import check_excel
from easymft.data.table_form import TableForm
from easymft.data.table_values import as_texts, unite
from easymft.errors import DataError

EXCEL_ROWS, EXCEL_CHARACTERS = 1_048_576, 32_767
_NOT_IN_XML = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
# At some of them only Python's splitlines breaks; texts of the user's hold such, a name of ours had better not.
_BREAKS_OF_LINES = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_NAMES = {"csv": "a CSV file", "tsv": "a TSV file", "jsonl": "JSON Lines", "parquet": "Parquet"}
_NAMES |= {"xlsx": "an Excel file"}


class CannotHold(DataError):
    """A file of one format cannot hold a table that a file of another one could.

    Attributes:
        what: The column, row or name that stands in the way, and why.
    """

    def __init__(self, form: TableForm, what: str, instead: str = "write .jsonl instead"):
        super().__init__(f"{form.path}: {what}; {instead}")
        self.what = what


class TablePlan:
    """A table that will be written, looked at chunk by chunk: whether its file can hold it, and of what types it is.

    Attributes:
        form: The file's form. Where the user has not named the file and it cannot hold the table, this becomes JSON
            Lines, with a note.

    Args:
        form: The form to begin with.
        ours: The columns that will be added to the user's own.
        texts: What those will hold, such as the names of classes, as far as it is known.

    Raises:
        DataError: A file that the user named cannot hold our names and texts, or openpyxl is not installed.
    """

    def __init__(self, form: TableForm, ours: pa.Schema, texts: Iterable[str] = ()):
        self.form = form
        self._ours, self._rows = ours, 0
        self._own: pa.Schema | None = None
        if form.kind == "xlsx":
            check_excel()
        self._try(lambda form: _check_ours(form, [*ours.names, *texts]))

    @property
    def schema(self) -> pa.Schema | None:
        """The types of all columns of a Parquet file, ours after the user's own; None for other formats."""
        return None if self._own is None else pa.schema([*self._own, *self._ours], self._own.metadata)

    def check(self, table: pa.Table, row_name: Callable[[int], str]) -> None:
        """Looks at a chunk.

        Args:
            table: The user's own columns.
            row_name: Index of a row in `table` -> what to call it.

        Raises:
            DataError: The file cannot hold it; the first column, or row, that stands in the way.

        Warns:
            UserWarning: A column becomes text, since no column of a Parquet file can hold its values.
        """
        self._rows += len(table)
        self._try(lambda form: _check_count(form, self._rows))
        self._try(lambda form: check_rows(form, table, self._ours.names, row_name))
        if self.form.kind == "parquet":
            self._own = unite(self._own, table.schema)

    def _try(self, check: Callable[[TableForm], None]) -> None:
        try:
            check(self.form)
        except CannotHold as error:
            if self.form.named or self.form.kind == "jsonl":
                raise
            self.form = self.form.as_jsonl(error.what)
            check(self.form)


def check_rows(form: TableForm, table: pa.Table, names: Sequence[str], row_name: Callable[[int], str]) -> None:
    """Checks that a file can hold rows.

    Args:
        form: The form of the file to be written.
        table: The user's own columns.
        names: The names of the columns that will be added.
        row_name: Index of a row in `table` -> what to call it.

    Raises:
        DataError: It cannot; the first column, or row, that stands in the way.
    """
    taken = next((name for name in names if name in table.column_names), None)
    if taken is not None:
        raise DataError(f"{form.path}: the input already has a column {taken!r}; rename it")
    for field, column in zip(table.schema, table.columns, strict=True):
        if form.is_delimited:
            _check_delimited(form, field, column, row_name)
        elif form.kind == "jsonl":
            _check_json(form, field)
        elif form.kind == "xlsx":
            _check_excel(form, field, column, row_name)


def _check_ours(form: TableForm, texts: Sequence[str]) -> None:
    if form.kind == "xlsx":
        bad, what = _NOT_IN_XML, "a control character"
    elif form.is_delimited and not form.quoted:
        bad, what = f"[{re.escape(form.separator)}{_BREAKS_OF_LINES}]", _breaks(form)
    else:
        return
    broken = next((text for text in texts if re.search(bad, text)), None)
    if broken is not None:
        what = f"the name {shown(broken)} holds {what}, which {_NAMES[form.kind]} cannot hold"
        raise CannotHold(form, what, "write .csv or .jsonl instead" if form.kind == "tsv" else "write .jsonl instead")


def _breaks(form: TableForm) -> str:
    return f"{'a tab' if form.separator == chr(9) else repr(form.separator)} or a line break"


def _check_count(form: TableForm, rows: int) -> None:
    if form.kind == "xlsx" and rows + form.header > EXCEL_ROWS:
        what = f"there are more than {EXCEL_ROWS - form.header:,} rows, which an Excel file cannot hold"
        raise CannotHold(form, what, "write .csv or .parquet instead")


def _cast(form: TableForm, field: pa.Field, column: pa.ChunkedArray) -> list[str]:
    try:
        return as_texts(field, column)
    except pa.ArrowException as error:
        what = f"column {field.name!r} is of type {field.type}, which {_NAMES[form.kind]} cannot hold"
        raise CannotHold(form, what) from error


def _check_delimited(
    form: TableForm, field: pa.Field, column: pa.ChunkedArray, row_name: Callable[[int], str]
) -> None:
    texts = _cast(form, field, column)
    if form.quoted:
        return
    bad = re.compile(f"[{re.escape(form.separator)}\n\r]")
    holds = f"holds {_breaks(form)}, which {_NAMES[form.kind]}{' without quotes' * (form.kind == 'csv')} cannot hold"
    instead = "write .csv or .jsonl instead" if form.kind == "tsv" else "write .jsonl instead"
    if form.header and bad.search(own_name(field)):
        raise CannotHold(form, f"the name of column {own_name(field)!r} {holds}", instead)
    broken = next((index for index, text in enumerate(texts) if bad.search(text)), None)
    if broken is not None:
        raise CannotHold(form, f"the value of column {field.name!r} in {row_name(broken)} {holds}", instead)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _check_json(form: TableForm, field: pa.Field) -> None:
    if _is_binary(field.type):
        raise DataError(
            f"{form.path}: column {field.name!r} holds bytes ({field.type}), which JSON Lines cannot hold; "
            "leave it out of the input"
        )


def _check_excel(form: TableForm, field: pa.Field, column: pa.ChunkedArray, row_name: Callable[[int], str]) -> None:
    if _is_binary(field.type):
        raise CannotHold(form, f"column {field.name!r} holds bytes ({field.type}), which an Excel file cannot hold")
    bad = re.compile(_NOT_IN_XML)
    for index, text in enumerate([own_name(field), *_cast(form, field, column)]):
        long = len(text) > EXCEL_CHARACTERS
        if long or bad.search(text):
            place = f"the value of column {field.name!r} in {row_name(index - 1)}" if index else "a column's name"
            what = f"has more than {EXCEL_CHARACTERS:,} characters" if long else "holds a control character"
            raise CannotHold(form, f"{place} {what}, which an Excel file cannot hold", "write .csv instead")
