"""Writes Excel files row by row; needs openpyxl, which the others do not."""

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from easymft.data.chunks import own_name
from easymft.data.table_form import TableForm
from easymft.errors import DataError

_KEPT = (bool, float, date, time, timedelta, Decimal)  # a datetime is a date
_EXACT = 1 << 53  # Excel's numbers are floats, which hold integers up to here
_FIRST_YEAR = 1900
_NOT_PLAIN = ("=", "#")  # openpyxl takes a text that begins so for a formula or an error


def check_excel() -> None:
    """Raises DataError where openpyxl is not installed."""
    try:
        import openpyxl  # noqa: F401
    except ImportError as error:
        raise DataError("Excel files need openpyxl: pip install 'easymft[excel]'") from error


class ExcelWriter:
    """Writes one sheet.

    Args:
        path: The file.
        form: Its header, and the name of the sheet.
    """

    def __init__(self, path: Path, form: TableForm):
        check_excel()
        from openpyxl import Workbook

        self._path, self._header = path, form.header
        path.touch()  # tells now if it cannot be written, as the file itself is written in the end
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet(form.sheet or "Sheet1")

    def write(self, table: pa.Table) -> None:
        """Adds rows, those of the first call with the names of the columns."""
        if self._header:
            self._append(map(own_name, table.schema))
            self._header = False
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            self._append(row)

    def _append(self, values: Any) -> None:
        self._sheet.append([self._cell(value) for value in values])

    def _cell(self, value: Any) -> Any:
        from openpyxl.cell import WriteOnlyCell

        value = _plain(value)
        if isinstance(value, str) and value.startswith(_NOT_PLAIN):
            value = WriteOnlyCell(self._sheet, value)
            value.data_type = "s"
        return value

    def close(self) -> None:
        """Writes the file."""
        self._book.save(self._path)


def _plain(value: Any) -> Any:
    """A value that Excel knows, or its text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > _EXACT or isinstance(value, datetime) and value.tzinfo is not None:
        return str(value)
    if isinstance(value, date) and value.year < _FIRST_YEAR:
        return str(value)
    return value if isinstance(value, (int, *_KEPT)) else str(value)
