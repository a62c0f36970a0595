"""Checksums of what EasyMFT writes and later trusts, so that damage is told instead of trained on.

A folder has the digests of its files beside them, in the form of `sha256sum`; a JSON object has that of the rest of it
as its last key. SHA-256 is the fastest of Python's own digests where the processor knows it.
"""

import functools
import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from easymft.errors import DamagedError, one_line
from easymft.files import PART, replacing

SUMS_FILE = "easymft.sha256"
_KEY = "sha256"
_BLOCK_BYTES = 1 << 20


def file_digest(file: str | Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits; a file is read once as long as it does not change.

    Raises:
        OSError: It cannot be read.
    """
    found = os.stat(file)
    return _digest(os.path.realpath(file), found.st_ino, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _digest(file: str, *_: int) -> str:
    digest = hashlib.sha256()  # hashlib.file_digest came with Python 3.11
    with open(file, "rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def forget_digests() -> None:
    """Lets `file_digest` read every file anew, as a new process does."""
    _digest.cache_clear()


def write_sums(folder: Path) -> None:
    """Writes the digests of all files in a folder and below it, which nobody else may be writing to."""
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in names if name != SUMS_FILE]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8", newline="\n")


def check_sums(folder: Path, *, needed: bool = False, known: Collection[str] = ("*",)) -> None:
    """Checks that the files of a folder are those that `write_sums` saw.

    Args:
        folder: Where they are.
        needed: Whether a folder without digests is damaged; else it is an earlier version's, or a foreign one's.
        known: Patterns of the names (as of `Path.match`) of files that must have a digest; others may have been added.

    Raises:
        DamagedError: A file is missing, has other content, or has no digest.
    """
    sums = folder / SUMS_FILE
    try:
        *lines, rest = sums.read_bytes().decode().split("\n")
    except FileNotFoundError as error:
        if needed:
            raise DamagedError(f"{sums}: is missing") from error
        return
    except (OSError, ValueError) as error:
        raise DamagedError(f"{sums}: cannot be read ({one_line(error)})") from error
    if rest or not lines:
        raise DamagedError(f"{sums}: is cut short")
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name, digest in expected.items():
        try:
            found = file_digest(folder / name)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or one_line(error)
            raise DamagedError(f"{folder / name}: cannot be read ({reason}), but {SUMS_FILE} names it") from error
        if found != digest:
            raise DamagedError(f"{folder / name}: is not as it was written, by {SUMS_FILE} beside it")
    for file in sorted(folder.iterdir()):
        ours = file.name not in (SUMS_FILE, *expected) and not file.name.startswith(PART) and file.is_file()
        if ours and any(file.match(pattern) for pattern in known):
            raise DamagedError(f"{sums}: does not name {file.name}, which is beside it")


def write_object(file: str | Path, value: dict[str, Any]) -> None:
    """Writes a JSON object with its checksum as the last key, whole or not at all."""
    text = json.dumps(value | {_KEY: _digest_of(value)}, indent=2, ensure_ascii=False)
    with replacing(file) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read_object(file: str | Path) -> dict[str, Any]:
    """Reads what `write_object` wrote, without the checksum; an earlier version's has none.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedError: It holds something else.
    """
    try:
        value = json.loads(Path(file).read_bytes().decode("utf-8-sig"))
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no character to show
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{file}: is not JSON in UTF-8 ({one_line(error)})") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{file}: holds a {type(value).__name__}, expected a JSON object")
    if not value:
        return value
    key = _KEY if _KEY in value else list(value)[-1]  # where the damage is in the key
    rest = {name: inner for name, inner in value.items() if name != key}
    right = value[key] == _digest_of(rest)
    if right != (key == _KEY):
        raise DamagedError(f'{file}: is not as it was written, by its "{_KEY}"')
    return rest if right else value


def _digest_of(value: dict[str, Any]) -> str:
    """Of the content alone: an editor may lay it out anew."""
    plain = json.loads(json.dumps(value))  # tuples become lists
    text = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
