"""Finds input files and tells their format."""

import glob
import hashlib
import os
import warnings
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from easymft.checksums import file_digest
from easymft.data.contents import foreign_content, shown_ending, text_format
from easymft.data.packing import PACKED_ENDINGS, STANDARD_INPUT, local_file, packing, read_start, without_packed_ending
from easymft.errors import DataError

_ENDINGS = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
_BINARY = ("parquet", "xlsx")
_BINARY_STARTS = (b"PAR1", b"PK")  # damaged files of these formats have them too
_NAMES = {"parquet": "a Parquet file", "xlsx": "an Excel file (.xlsx)"}
_config_folder: ContextVar[Path | None] = ContextVar("config_folder", default=None)


def look_beside(folder: Path) -> None:
    """Makes messages on missing files say where they stand in `folder`, that of the config, as is often meant."""
    _config_folder.set(folder)


def expand_files(patterns: Sequence[str]) -> list[str]:
    """Returns the files that `patterns` name, the matches of each glob sorted.

    Args:
        patterns: File names or globs; `**` spans folders. A name that exists is never taken for a glob. "-" is standard
            input.

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
            digest.update(bytes.fromhex(file_digest(local_file(path))))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def _matches(pattern: str) -> list[str]:
    path = STANDARD_INPUT if pattern == "-" else os.path.expanduser(pattern)
    if os.path.exists(path):
        return [path]
    if not glob.has_magic(path):
        raise DataError(f"{pattern}: no such file (looked in {os.getcwd()}){_beside_config(path)}.")
    matches = sorted(glob.glob(_with_literal_folders(path), recursive=True))
    if not matches:
        raise DataError(f"{pattern}: no file matches this glob (looked in {os.getcwd()}){_beside_config(path)}.")
    return matches


def _beside_config(path: str) -> str:
    folder = _config_folder.get()
    if folder is None or os.path.isabs(path) or not glob.glob(os.path.join(glob.escape(str(folder)), path)):
        return ""
    return f"; it stands beside the config: run the command in {folder}, or write {folder / path}"


def _with_literal_folders(pattern: str) -> str:
    """A glob whose leading folders, as far as there are any of these very names, stand for themselves."""
    folder, names = Path(pattern), []
    while not folder.exists():
        names.insert(0, folder.name)
        folder = folder.parent
    return pattern if not glob.has_magic(str(folder)) else os.path.join(glob.escape(str(folder)), *names)


def file_format(path: str, configured: str, encoding: str | None = None) -> str:
    """Returns the format of a file: `configured`, or with "auto" what its ending says, else its first line.

    Args:
        path: The file.
        configured: `data.format`.
        encoding: `data.encoding`, for a file whose first line tells.

    Returns:
        "tsv", "csv", "jsonl", "parquet" or "xlsx".

    Raises:
        DataError: The file is of no such format by its content, or nothing says of which, or it is a packed file of a
            format that is compressed inside.

    Warns:
        UserWarning: The first line told.
    """
    content = foreign_content(path, text_is_given=configured != "auto")
    ending = os.path.splitext(without_packed_ending(path))[1].lower()
    kind = _ENDINGS.get(ending) if configured == "auto" else configured
    if (kind or content) in _BINARY and packing(path):
        raise DataError(
            f"{path}: {_NAMES[kind or content]} is compressed inside, expected it without {packing(path)} around it."
        )
    if content is not None and content != kind:
        if content not in _BINARY:
            raise DataError(f"{path}: is {content}.")
        if kind is not None:
            says = f"data.format is {kind}" if configured != "auto" else f"its ending is {ending}"
            raise DataError(
                f'{path}: is {_NAMES[content]} by its content, though {says}; set data.format: "{content}".'
            )
        kind = content
    if kind is None:
        kind = text_format(path, encoding)
        if kind is None:
            known = ", ".join(_ENDINGS)
            raise DataError(
                f"{path}: cannot tell the format from {shown_ending(without_packed_ending(path))}, expected one of "
                f"{known} (text also packed: {', '.join(PACKED_ENDINGS)}); or set data.format, to csv for instance."
            )
        warnings.warn(
            # From here, as Python shows a warning once for each place, and several ask for the format.
            f"{path}: is read as {kind}, as its first line looks like it; data.format says it for sure",
            stacklevel=1,
        )
    return kind


def check_start(path: str, kind: str) -> None:
    """Checks that a file can be of its format, if that is Parquet or Excel; what is damaged is left to the reader.

    Args:
        path: The file.
        kind: As `file_format` returns it.

    Raises:
        DataError: It is empty, or its first bytes are of something else.
    """
    if kind not in _BINARY:
        return
    start = read_start(path, 4)
    if not start:
        raise DataError(f"{path}: is empty (0 bytes), expected rows.")
    if not start.startswith(_BINARY_STARTS):
        raise DataError(
            f"{path}: is not {_NAMES[kind]} by its content; set data.format to what it is (csv?), or save it again."
        )
