"""Opens files as they come: packed in any of four ways, or a pipe, which can be read once only."""

import atexit
import bz2
import functools
import gzip
import lzma
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from easymft.errors import DataError, one_line

_BLOCK_BYTES = 1 << 20
STANDARD_INPUT = "/dev/stdin"
PACKED_ENDINGS = (".gz", ".bz2", ".xz", ".zst")


def _open_zstd(path: str, _: str) -> IO[bytes]:
    return pa.input_stream(path, compression="zstd")


# The name of each way of packing, the first bytes that give it away, and what unpacks it.
_PACKINGS: dict[str, tuple[bytes, Callable[[str, str], Any]]] = {
    "gzip": (b"\x1f\x8b\x08", gzip.open),
    "bzip2": (b"BZh", bz2.open),
    "xz": (b"\xfd7zXZ\x00", lzma.open),
    "zstd": (b"\x28\xb5\x2f\xfd", _open_zstd),
}
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # one of them stands at byte 5, as "BZh" may begin a text


def local_file(path: str) -> str:
    """Returns a file that can be read from its start as often as needed: `path`, or where it is a pipe, a copy of it.

    A pipe (standard input, a named pipe, `<(command)` of a shell) is read once; its copy lasts as long as the process.

    Raises:
        DataError: It cannot be read.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode):
        return path
    return _spooled(path)


@functools.cache
def _spooled(path: str) -> str:
    handle, copy = tempfile.mkstemp(prefix="easymft-")
    atexit.register(Path(copy).unlink, missing_ok=True)
    try:
        with open(path, "rb") as stream, open(handle, "wb") as target:
            shutil.copyfileobj(stream, target)
    except OSError as error:
        raise DataError(f"{path}: cannot be read into {copy} ({error.strerror}).") from error
    return copy


def packing(path: str) -> str | None:
    """Returns how a file is packed, by its first bytes, whatever its ending: a name such as "gzip"; None: not at all.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with open(local_file(path), "rb") as stream:
            start = stream.read(10)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    for name, (mark, _) in _PACKINGS.items():
        if start.startswith(mark) and (name != "bzip2" or start.endswith(_BZIP2_BLOCKS)):
            return name
    return None


def without_packed_ending(path: str) -> str:
    """Returns `path` without .gz, .bz2, .xz or .zst, in any case."""
    stem, ending = os.path.splitext(path)
    return stem if ending.lower() in PACKED_ENDINGS else path


def read_blocks(path: str) -> Iterator[bytes]:
    """Yields a file's content, unpacked, in blocks of about a million bytes.

    Raises:
        DataError: It cannot be read, or is packed and damaged.
    """
    name = packing(path)
    unpack = open if name is None else _PACKINGS[name][1]
    try:
        with unpack(local_file(path), "rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield block
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        if name is not None:
            raise DataError(f"{path}: is no complete {name} file ({one_line(error)}).") from error
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from error


def read_start(path: str, size: int) -> bytes:
    """Returns the first `size` bytes of a file's content, unpacked, or fewer where it has no more.

    Raises:
        DataError: As `read_blocks`.
    """
    start = b""
    for block in read_blocks(path):
        start += block
        if len(start) >= size:
            break
    return start[:size]
