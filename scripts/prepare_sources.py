"""Reading the published archives of data sets, packed or unpacked. Shared by the scripts prepare_*.py."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from easymft.errors import DataError

_DAMAGED = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, NotImplementedError)


class Source(NamedTuple):
    """A folder, a .tar(.gz) or a .zip.

    Attributes:
        path: As the user named it.
        names: The files in it with their folders, sorted; without those that macOS adds to archives.
        open: Opens one of them to read bytes.
    """

    path: str
    names: list[str]
    open: Callable[[str], IO[bytes]]

    def lines(self, name: str) -> Iterator[bytes]:
        """Yields the lines of a file, without a byte order mark."""
        with self.open(name) as stream:
            for number, line in enumerate(stream):
                yield line if number else line.removeprefix(b"\xef\xbb\xbf")


@contextmanager
def open_source(path: str) -> Iterator[Source]:
    """Opens a source; nothing is unpacked to the disk.

    Args:
        path: A folder, or a .tar, .tar.gz or .zip file. How it is packed is seen from the file, not from its name.

    Raises:
        DataError: There is nothing, it is of another kind, or it turns out to be damaged while it is read.
    """
    try:
        with ExitStack() as stack:
            yield _open(Path(path), stack)
    except _DAMAGED as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        reason = reason.splitlines()[0].rstrip(":")  # tarfile tells on lines of their own what it tried
        raise DataError(f"{path}: cannot be read ({reason}), expected a folder, a .tar.gz or a .zip") from error


def _open(path: Path, stack: ExitStack) -> Source:
    if path.is_dir():
        root = path.resolve()
        files = {f"{root.name}/{file.relative_to(root).as_posix()}": file for file in root.rglob("*") if file.is_file()}
        return Source(str(path), _sorted(files), lambda name: files[name].open("rb"))
    if zipfile.is_zipfile(path):
        packed = stack.enter_context(zipfile.ZipFile(path))
        entries = {entry.filename: entry for entry in packed.infolist() if not entry.is_dir()}
        locked = [name for name, entry in entries.items() if entry.flag_bits & 1]
        if locked:
            raise DataError(f"{path}: {locked[0]!r} is encrypted, expected a .zip without a password")
        return Source(str(path), _sorted(entries), lambda name: packed.open(entries[name]))
    archive = stack.enter_context(tarfile.open(path))
    members = {member.name.removeprefix("./"): member for member in archive if member.isfile()}
    return Source(str(path), _sorted(members), lambda name: archive.extractfile(members[name]))


def _sorted(names: dict[str, object]) -> list[str]:
    return sorted(name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith("._"))
