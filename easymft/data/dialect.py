"""Tells how the fields of a TSV or CSV file are separated, and whether they are quoted, from its first rows."""

import csv
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from easymft.config.data_section import DataConfig
from easymft.config.section import composed
from easymft.data.columns import configured_columns, has_header

LONGEST_FIELD = 1 << 24  # characters of a quoted field; more means that its end is missing
SEPARATORS = {",": "a comma", ";": "a semicolon", "|": "a bar", "\t": "a tab"}
_ROWS_LOOKED_AT = 100
_CONSISTENT = 0.9  # the share of rows with the same number of fields
_SEPARATOR_LINE = re.compile(r'^"?sep=(.)"?\r?$', re.IGNORECASE)
_QUOTED_SHARE = 0.1  # of rows; so many hold a field within quotes only where these are no part of the text
_QUOTED_ROWS = 3


@dataclass(frozen=True)
class Dialect:
    """How a file is to be split into fields.

    Attributes:
        separator: One character.
        quoting: Whether a field in `"` may hold separators and line ends.
        lines_before: 1 where the first line says what the separator is, as Excel writes and hides it; else 0.
    """

    separator: str
    quoting: bool
    lines_before: int = 0


def find_dialect(path: str, data: DataConfig, kind: str, head: str, tell: bool = True) -> Dialect:
    """Returns how to split a file.

    Args:
        path: The file, for messages.
        data: What is configured.
        kind: "tsv" or "csv".
        head: The file's first lines.
        tell: Warn of what was not to be expected.

    Warns:
        UserWarning: The separator of a CSV file is no comma, or that of a TSV file no tab.
    """
    quoting = kind == "csv" if data.quoting is None else data.quoting
    said = _SEPARATOR_LINE.match(head.partition("\n")[0])
    if said:
        head = head.partition("\n")[2]
    separator = data.separator
    if separator is None:
        usual = "\t" if kind == "tsv" else ","
        separator = said[1] if said else usual if kind == "tsv" else _likeliest(data, head, quoting)
        if tell and separator != usual:
            warnings.warn(
                f"{path}: is read with {_named(separator)} between fields, as its first line{'' if said else 's'} "
                f"show{'s' if said else ''}, not {SEPARATORS[usual]}; data.separator sets another",
                stacklevel=2,
            )
    return Dialect(separator, quoting, int(said is not None))


def _named(separator: str) -> str:
    return f"{SEPARATORS.get(separator, 'the separator')} ({separator!r})"


def separator_hint(data: DataConfig, dialect: Dialect, head: str) -> str:
    """Returns what to say of a file whose columns are not found: which separator finds them; "" where none does."""
    now = _fit(data, dialect.separator, head, dialect.quoting)
    better = {one: _fit(data, one, head, True) for one in SEPARATORS if one != dialect.separator}
    best = max(better, key=lambda one: better[one])
    if better[best] <= max(now, (0, 0.0, 0)):
        return ""
    tab = ", or data.format: tsv" if best == "\t" else ""
    return f"its fields look separated by {_named(best)}: set data.separator: {_as_json(best)}{tab}"


def _as_json(separator: str) -> str:
    return '"\\t"' if separator == "\t" else f'"{separator}"'


def _likeliest(data: DataConfig, head: str, quoting: bool) -> str:
    fits = {one: _fit(data, one, head, quoting) for one in SEPARATORS}
    best = max(fits, key=lambda one: fits[one])  # of equal ones the first, which is the comma
    comma = fits[","]
    # A comma that splits all rows alike is one, whatever else the texts hold, unless another finds more columns.
    return "," if comma[0] >= fits[best][0] and comma[1] >= _CONSISTENT and comma[2] else best


def _fit(data: DataConfig, separator: str, head: str, quoting: bool) -> tuple[int, float, int]:
    """Returns how well a separator fits: configured columns found, share of rows of one width, fields beyond one."""
    rows = _split(head, separator, quoting)
    widths = Counter(map(len, rows))
    if not widths:
        return 0, 0.0, 0
    width, count = widths.most_common(1)[0]
    share = count / len(rows)
    if width == 1 or share < _CONSISTENT:
        share, width = 0.0, 1
    columns = list(configured_columns(data.columns).values())
    names = [one for one in columns if isinstance(one, str)]
    if has_header(data) and names:
        header = {composed(name.strip().strip('"')) for name in rows[0]}
        found = sum(name in header for name in names)
    elif data.column_names is not None:
        found = len(data.column_names) == width
    else:
        found = sum(one < width for one in columns if isinstance(one, int)) if width > 1 else 0
    return int(found), share, width - 1


def _split(head: str, separator: str, quoting: bool) -> list[list[str]]:
    lines = [f"{one}\n" for one in head.split("\n")]
    if not quoting:
        rows: list[list[str]] = [line.rstrip("\r\n").split(separator) for line in lines[:_ROWS_LOOKED_AT]]
    else:
        rows = []
        # What is not well quoted ends the look at the file; the reader reports it.
        try:
            rows += itertools.islice(csv.reader(lines, delimiter=separator), _ROWS_LOOKED_AT)
        except csv.Error:
            pass
    return [row for row in rows if any(row)]


def _has_doubled(field: str) -> bool:
    inner = field[1:-1]
    return '""' in inner and '"' not in inner.replace('""', "")


def _is_quoted(field: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == '"'


def _is_as_excel(field: str) -> bool:
    return "," in field if _is_quoted(field) else "," not in field and '"' not in field


class QuoteWatch:
    """Looks for signs that a file without quoting was written with it.

    Args:
        path: The file, for the warning.
    """

    def __init__(self, path: str):
        self._path = path
        self._rows = self._quoted = 0
        self._as_excel = True  # so far: in quotes is what holds a comma, and nothing else
        self._doubled: str | None = None

    def add(self, texts: Sequence[str], separator: str) -> None:
        """Looks at the lines of some rows."""
        self._rows += len(texts)
        for text in texts:
            if '"' not in text:
                self._as_excel = self._as_excel and "," not in text
                continue
            parts = text.split(separator)
            fields = list(filter(_is_quoted, parts))
            self._as_excel = self._as_excel and all(map(_is_as_excel, parts))
            self._quoted += bool(fields)
            if self._doubled is None:
                self._doubled = next(filter(_has_doubled, fields), None)

    def finish(self) -> None:
        """Ends the file.

        Warns:
            UserWarning: Its fields look quoted.
        """
        many = self._quoted >= max(_QUOTED_ROWS, _QUOTED_SHARE * self._rows)
        if self._doubled is None and not many and not (self._quoted and self._as_excel):
            return
        what = f'{self._quoted} of {self._rows} lines hold a field in quotes (")'
        if self._as_excel:
            what += ", which are those with a comma, as Excel writes them"
        elif self._doubled is not None:
            what += ', with doubled ones ("") in some'
        warnings.warn(
            f"{self._path}: its fields look quoted, but are read with their quotes as part of the text: {what}; to "
            "read what stands in the quotes set data.quoting: true, to keep it so data.quoting: false",
            stacklevel=2,
        )


class SwallowWatch:
    """Looks for rows that a stray quote has put together into one field.

    Args:
        path: The file, for the warning.
        separator: Between fields.
    """

    def __init__(self, path: str, separator: str):
        self._path = path
        self._separator = separator
        self._told = False

    def add(self, row: int, line: int, fields: Sequence[str]) -> None:
        """Looks at the fields of a row.

        Warns:
            UserWarning: A field holds lines that look like rows of their own; told once.
        """
        if self._told or len(fields) < 2:
            return
        for field in fields:
            inner = field.split("\n")[1:] if "\n" in field else []
            alike = [one for one in inner if one.count(self._separator) >= len(fields) - 1]
            if alike:
                self._told = True
                warnings.warn(
                    f"{self._path}: row {row} (from line {line} on) holds {len(inner) + 1} lines in one quoted field, "
                    f"of which {len(alike)} look like rows of their own; if a quote is left open there, mend it, or "
                    "set data.quoting: false, which reads quotes as characters",
                    stacklevel=2,
                )
                return
