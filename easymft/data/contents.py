"""Names what a file is by its content, where that cannot be read here, or its ending does not say."""

import os
import zipfile

from easymft.data.encoding import read_head
from easymft.data.packing import local_file, packing, read_start
from easymft.errors import DataError

_SAVE = "save it as .xlsx or .csv"
# First bytes -> what such a file is, and what to do.
_FOREIGN = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file (.xls), or one with a password", _SAVE),
    (b"%PDF-", "a PDF file", "save its table as .csv"),
    (b"{\\rtf1", "an RTF document", _SAVE),
    (b"ARROW1\x00\x00", "an Arrow (Feather) file", "save it as .parquet"),
    (b"Obj\x01", "an Avro file", "save it as .parquet or .jsonl"),
    (b"SQLite format 3\x00", "an SQLite database", "save the table as .csv"),
    (b"\x89HDF", "an HDF5 file", "save the table as .parquet"),
    (b"\x89PNG", "a picture", "name a table"),
    (b"\xff\xd8\xff", "a picture", "name a table"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it"),
)
_PARQUET_MARK = b"PAR1"  # at both ends
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in (2, 3, 4, 5))


def _zip_content(path: str) -> str:
    """Returns "xlsx", or what else is in a ZIP file and what to do."""
    try:
        with zipfile.ZipFile(local_file(path)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return "a damaged ZIP file (or Excel file); fetch or save it again"
    if "xl/workbook.xml" in names:
        return "xlsx"
    if "xl/workbook.bin" in names:
        return f"a binary Excel file (.xlsb); {_SAVE}"
    if "content.xml" in names:
        return f"an OpenDocument file (.ods); {_SAVE}"
    if "word/document.xml" in names:
        return f"a Word document; {_SAVE}"
    if "data.pkl" in {name.rsplit("/", 1)[-1] for name in names}:
        return "a PyTorch file; name a table"
    return "a ZIP archive; unpack it"


def _ends_as_parquet(path: str) -> bool:
    with open(local_file(path), "rb") as stream:
        stream.seek(-len(_PARQUET_MARK), 2)
        return stream.read() == _PARQUET_MARK


def foreign_content(path: str, text_is_given: bool) -> str | None:
    """Returns what a file is by its first bytes, "parquet", "xlsx", or a description of what cannot be read here.

    Args:
        path: The file.
        text_is_given: Do not doubt that it is a table if it is text: its first text may be a page of HTML.

    Returns:
        A description is such as "a PDF file; save its table as .csv". None: it may be text.

    Raises:
        DataError: The file cannot be read.
    """
    start = read_start(path, 512)
    if start.startswith(b"PK\x03\x04"):
        return f"a packed ZIP or Excel file ({packing(path)}); unpack it" if packing(path) else _zip_content(path)
    if start.startswith(_PARQUET_MARK) and _ends_as_parquet(path):
        return "parquet"
    for mark, what, advice in _FOREIGN:
        if start.startswith(mark):
            return f"{what}; {advice}"
    if start.startswith(_PICKLES):
        return "a file of Python objects (.pkl); save its table as .parquet or .csv"
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it"
    text = b"" if text_is_given else start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<table")):
        return f"an HTML page; {_SAVE}"
    return f"an XML file; {_SAVE}" if text.startswith(b"<?xml") else None


def text_format(path: str, encoding: str | None) -> str | None:
    """Returns "jsonl", or "tsv", where the first line of a text file shows it: by a brace, or by a tab.

    Raises:
        DataError: The file cannot be read, is empty, or is no text.
    """
    head = read_head(path, encoding)
    if not head:
        raise DataError(f"{path}: is empty (0 bytes), expected rows.")
    first = head.lstrip("\r\n").partition("\n")[0]
    if first.lstrip().startswith(("{", "[")):
        return "jsonl"
    return "tsv" if "\t" in first else None


def shown_ending(path: str) -> str:
    """Returns the ending of a file's name as a message shows it."""
    ending = os.path.splitext(path)[1]
    return f"the ending {ending!r}" if ending else "a name without an ending"
