"""In what form a table is written: the format that the file's ending names, and the details of the files it is of."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from easymft.config.data_section import DataConfig
from easymft.data.columns import has_header
from easymft.data.dialect import find_dialect
from easymft.data.encoding import read_head
from easymft.data.packing import read_start
from easymft.data.sources import expand_files, file_format
from easymft.errors import DataError

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")
_MARK_BYTES = 4
_UTF8_MARK = codecs.BOM_UTF8
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)  # that of UTF-32-LE begins as UTF-16-LE's


@dataclass(frozen=True)
class TableForm:
    """A file to be written.

    Attributes:
        path: Its name, which ends in one of `ENDINGS`, in capitals or not.
        header: Whether its first row holds the columns' names; in TSV, CSV and Excel alone.
        separator: The character between fields of TSV and CSV.
        quoted: TSV and CSV: whether fields are put in quotes where they need it; else some texts cannot be written.
        line_end: The end of each line of TSV and CSV.
        encoding: The encoding of TSV, CSV and JSON Lines.
        sheet: The name of the sheet of an Excel file.
        named: Whether the user named the file, so that no other form can take its place.
        note: Why it is not of the input's form; "" where it is.
    """

    path: Path
    header: bool = True
    separator: str = ","
    quoted: bool = True
    line_end: str = "\n"
    encoding: str = "utf-8"
    sheet: str | None = None
    named: bool = False
    note: str = ""

    @property
    def kind(self) -> str:
        """The format: "csv", "tsv", "jsonl", "parquet" or "xlsx"."""
        return self.path.suffix.lower().removeprefix(".")

    @property
    def is_delimited(self) -> bool:
        """Whether it is TSV or CSV."""
        return self.kind in ("csv", "tsv")

    def as_jsonl(self, note: str) -> "TableForm":
        """The same table as JSON Lines, which hold any text; `note` says why."""
        encoding = "utf-8" if self.encoding == "utf-8-sig" else self.encoding
        return replace(self, path=self.path.with_suffix(".jsonl"), encoding=encoding, note=note)


def plain_form(path: str | Path, named: bool = True) -> TableForm:
    """The usual form of a file: CSV with commas, as Python's csv module writes it, TSV without quotes, all in UTF-8.

    Args:
        path: The file.
        named: Whether the user named it.

    Raises:
        DataError: Its ending is none of `ENDINGS`.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        known = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        raise DataError(f"{path}: cannot write {path.suffix or 'a file without an ending'}, expected {known}")
    is_tsv = ending == ".tsv"
    return TableForm(path, separator="\t" if is_tsv else ",", quoted=not is_tsv, named=named)


def form_of_predictions(folder: Path, named: str | None, files: Sequence[str], data: DataConfig) -> TableForm:
    """The form of predictions for `files`, with a header.

    Args:
        folder: Where they go if the user names no file.
        named: The file that the user names, which decides the format.
        files: The input files or globs.
        data: How they are read.

    Returns:
        Of the input's form where the format is the input's. TSV and CSV are in UTF-8, with a byte order mark where the
        input has one or is in another encoding, since Excel would not read UTF-8 without it.
    """
    like_input = same_form(folder / "predictions", files, data)
    if named is not None:
        form = plain_form(named)
        if form.kind != like_input.kind or like_input.note:
            return form
        like_input = replace(like_input, path=form.path, named=True, quoted=like_input.quoted or form.quoted)
    encoding = "utf-8" if not like_input.is_delimited or like_input.encoding == "utf-8" else "utf-8-sig"
    return replace(like_input, header=True, encoding=encoding)


def same_form(stem: Path, files: Sequence[str], data: DataConfig) -> TableForm:
    """The form in which a table reads back with the settings of the files it came from.

    Args:
        stem: Path without an ending.
        files: The input files or globs.
        data: How they are read.

    Returns:
        `<stem>.<format of the files>`, not compressed; of the first one's form, as to what may differ. JSON Lines where
        the files are of several formats.
    """
    paths = expand_files(files)
    kinds = sorted({file_format(path, data.format, data.encoding) for path in paths})
    several = len(kinds) > 1
    form = plain_form(stem.with_name(f"{stem.name}.{'jsonl' if several else kinds[0]}"), named=False)
    form = replace(form, sheet=data.sheet, header=has_header(data))
    if several:
        note = f"the input files are of several formats ({', '.join(kinds)})"
        return replace(form, encoding=_encoding(data, b""), note=note)
    if not form.is_delimited:
        return replace(form, encoding=_encoding(data, b""))
    head = read_head(paths[0], data.encoding)
    dialect = find_dialect(paths[0], data, form.kind, head, tell=False)
    first_line, line_feed, _ = head.partition("\n")
    return replace(
        form,
        separator=dialect.separator,
        quoted=dialect.quoting,
        line_end="\r\n" if line_feed and first_line.endswith("\r") else "\n",
        encoding=_encoding(data, read_start(paths[0], _MARK_BYTES)),
    )


def _encoding(data: DataConfig, start: bytes) -> str:
    """The encoding in which a file that begins with `start` would be read again; UTF-8 where it is of none."""
    if codecs.lookup(data.encoding or "utf-8").name not in ("utf-8", "utf-8-sig") and not start.startswith(_UTF8_MARK):
        return data.encoding
    return "utf-8-sig" if start.startswith((_UTF8_MARK, *_WIDE_MARKS)) else "utf-8"
