"""Reads the rows of an Excel file (.xlsx) as the texts that a spreadsheet program shows."""

import datetime
import difflib
import importlib
import itertools
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

from easymft.data.delimited import Records
from easymft.data.packing import local_file
from easymft.errors import DataError, one_line

_ROWS_OF_WIDTH = 1000  # rows that say how many columns there are
_SHOWN_DIGITS = 15  # that Excel keeps of a number
_MIDNIGHT = datetime.time()
_ERRORS = {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!"}


def excel_records(path: str, sheet: str | None, size: int) -> Iterator[Records]:
    """Yields the rows of a sheet, numbered as in the spreadsheet, empty ones among them.

    Args:
        path: The file.
        sheet: The sheet's name; None: the first one.
        size: Rows to yield at once.

    Raises:
        DataError: openpyxl is not installed, the file is no Excel file or empty, or has no such sheet.

    Warns:
        UserWarning: There are several sheets and none is named, or cells hold errors.
    """
    with open(local_file(path), "rb") as stream:
        table = _open_sheet(path, stream, sheet)
        yield from _records(path, table, stream, size)


def _records(path: str, table: Any, stream: BinaryIO, size: int) -> Iterator[Records]:
    rows = _texts(path, table)
    first = list(itertools.islice(rows, _ROWS_OF_WIDTH))
    width = max((len(row) for row in first), default=0)
    if width == 0:
        raise DataError(f"{path}: sheet {table.title!r} is empty, expected rows.")
    if any(len(row) < width or "" in row for row in first):
        _tell_formulas(path, stream, table.title, first)
    records, number = Records(), 0
    for part in (first, rows):
        for row in part:
            number += 1
            records.rows.append(number)
            records.fields.append(row + [""] * (width - len(row)))
            if len(records.rows) == size:
                yield records
                records = Records()
    if records.rows:
        yield records


def _open_sheet(path: str, stream: BinaryIO, name: str | None) -> Any:
    try:
        importlib.import_module("openpyxl")
    except ImportError as error:
        raise DataError(
            f'{path}: to read Excel files takes openpyxl, which is not installed; pip install "easymft[excel]", or '
            "save the file as .csv."
        ) from error
    try:
        book = _open_book(stream, values=True)
    except Exception as error:  # whatever a damaged XML file leads to
        raise DataError(f"{path}: is no readable Excel file of the kind .xlsx ({one_line(error)}).") from error
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if not sheets:
        raise DataError(f"{path}: has no sheet with cells, expected one.")
    names = ", ".join(map(repr, sheets))
    if name is None:
        name = next(iter(sheets))
        if len(sheets) > 1:
            warnings.warn(f"{path}: has the sheets {names}; {name!r} is read, data.sheet names another", stacklevel=2)
    elif name not in sheets:
        near = difflib.get_close_matches(name, sheets, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise DataError(f"{path}: has no sheet {name!r} (data.sheet), expected one of {names}{hint}")
    sheets[name].reset_dimensions()  # what a file says of them may be wrong
    return sheets[name]


def _open_book(stream: BinaryIO, values: bool) -> Any:
    import openpyxl  # not needed, and so perhaps not installed, where no file is an Excel file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on parts of the file that are no cells
        return openpyxl.load_workbook(stream, read_only=True, data_only=values)


def _tell_formulas(path: str, stream: BinaryIO, sheet: str, rows: list[list[str]]) -> None:
    """Warns if a cell that reads as empty holds a formula, whose value only spreadsheet programs store."""
    formulas = _open_book(stream, values=False)[sheet]
    formulas.reset_dimensions()
    for row, cells in zip(rows, formulas.iter_rows(values_only=True), strict=False):
        for at, cell in enumerate(cells):
            if isinstance(cell, str) and cell.startswith("=") and not "".join(row[at : at + 1]):
                warnings.warn(
                    f"{path}: the formula {cell!r}, perhaps others, has no stored value and reads as empty; open the "
                    "file in a spreadsheet program and save it",
                    stacklevel=2,
                )
                return


def _texts(path: str, table: Any) -> Iterator[list[str]]:
    """Yields the cells of each row as texts, without empty ones at the end."""
    told = False
    for number, cells in enumerate(table.iter_rows(values_only=True), 1):
        texts = [_text(cell) for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        if not told and not _ERRORS.isdisjoint(texts):
            told = True
            found = next(text for text in texts if text in _ERRORS)
            warnings.warn(
                f"{path}: row {number}, perhaps others, holds the error {found!r} of a formula, read as this text",
                stacklevel=2,
            )
        yield texts


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.replace("_x000D_", "")  # a carriage return, as Excel writes it
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 10**_SHOWN_DIGITS
        return str(int(value)) if whole else f"{value:.{_SHOWN_DIGITS}g}"
    if isinstance(value, datetime.datetime):
        return str(value.date() if value.time() == _MIDNIGHT else value)
    return str(value)
