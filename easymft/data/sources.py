"""Finds input files, tells their format and splits them into lines, gzipped or not."""

import glob
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from easymft.errors import DataError

_BLOCK_BYTES = 1 << 20
_ENDINGS = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def expand_files(patterns: Sequence[str]) -> list[str]:
    """Returns the files that `patterns` name, the matches of each glob sorted.

    Args:
        patterns: File names or globs; `**` spans folders. A name that exists is never taken for a glob.

    Raises:
        DataError: No pattern, a missing file, a glob without match, a folder, or a file named twice.
    """
    if not patterns:
        raise DataError("No input files are given, expected at least one file name or glob.")
    seen: dict[str, str] = {}
    paths = []
    for pattern in patterns:
        for path in _matches(pattern):
            if os.path.isdir(path):
                raise DataError(f"{path}: is a folder, expected a file; to read its files write e.g. '{path}/*.tsv'.")
            same = os.path.realpath(path)
            if same in seen:
                raise DataError(f"{path}: is named twice ({seen[same]!r} and {pattern!r}), expected each file once.")
            seen[same] = pattern
            paths.append(path)
    return paths


def digest_files(paths: Sequence[str]) -> str:
    """Returns the SHA-256 of the files' contents in their order, whatever their names; 64 hexadecimal digits.

    Raises:
        DataError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def _matches(pattern: str) -> list[str]:
    path = os.path.expanduser(pattern)
    if os.path.exists(path):
        return [path]
    if not glob.has_magic(path):
        raise DataError(f"{pattern}: no such file (looked in {os.getcwd()}).")
    matches = sorted(glob.glob(_with_literal_folders(path), recursive=True))
    if not matches:
        raise DataError(f"{pattern}: no file matches this glob (looked in {os.getcwd()}).")
    return matches


def _with_literal_folders(pattern: str) -> str:
    """A glob whose leading folders, as far as there are any of these very names, stand for themselves."""
    folder, names = Path(pattern), []
    while not folder.exists():
        names.insert(0, folder.name)
        folder = folder.parent
    return pattern if not glob.has_magic(str(folder)) else os.path.join(glob.escape(str(folder)), *names)


def file_format(path: str, configured: str) -> str:
    """Returns "tsv", "csv", "jsonl" or "parquet": `configured`, or with "auto" what the file's ending says.

    Raises:
        DataError: The ending is none of the known ones, or a gzipped Parquet file.
    """
    stem, ending = os.path.splitext(path[: -len(".gz")] if path.endswith(".gz") else path)
    kind = _ENDINGS.get(ending.lower()) if configured == "auto" else configured
    if kind is None:
        raise DataError(
            f"{path}: cannot tell the format from the ending {ending!r}, expected one of {', '.join(_ENDINGS)} "
            "(also with .gz); or set data.format."
        )
    if kind == "parquet" and path.endswith(".gz"):
        raise DataError(f"{path}: a Parquet file is compressed inside, expected it without .gz around it.")
    return kind


def _open_bytes(path: str) -> BinaryIO:
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")


def _read_blocks(path: str) -> Iterator[bytes]:
    try:
        with _open_bytes(path) as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is no complete gzip file ({error}).") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error


def iter_lines(path: str, size: int) -> Iterator[tuple[int, list[bytes]]]:
    r"""Yields the lines of a text file in lists of `size` (the last may be shorter), in constant memory.

    A line ends at `\n`, which is cut off; a byte order mark of UTF-8 is dropped.

    Args:
        path: The file; one that ends in .gz is unpacked on the way.
        size: Lines per list.

    Yields:
        The 1-based number of the list's first line, and the lines.

    Raises:
        DataError: The file cannot be read, is empty, is UTF-16, or is a damaged gzip file.
    """
    number, lines, rest = 1, [], b""
    for block in _read_blocks(path):
        *complete, rest = (rest + block).split(b"\n")
        lines += complete
        while len(lines) > size:
            yield number, _without_bom(path, number, lines[:size])
            del lines[:size]
            number += size
    if rest:
        lines.append(rest)
    if not lines and number == 1:
        raise DataError(f"{path}: is empty (0 bytes), expected rows.")
    for start in range(0, len(lines), size):
        yield number + start, _without_bom(path, number + start, lines[start : start + size])


def _without_bom(path: str, number: int, lines: list[bytes]) -> list[bytes]:
    if number == 1:
        if lines[0].startswith(_UTF16_BOMS):
            raise DataError(f"{path}: row 1, byte 1: is UTF-16 by its first two bytes, expected UTF-8.")
        lines[0] = lines[0].removeprefix(_UTF8_BOM)
    return lines
