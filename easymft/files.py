"""Writing files and folders so that nobody ever sees half of one."""

import functools
import glob
import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part."  # how temporary names begin
STALE_SECONDS = 24 * 3600  # what is that old under such a name was left by a process that was killed
_PART_NAME = re.compile(r"\.part\.(?P<place>[0-9a-f]{8})\.(?P<process>\d+)\.(?P<time>\d+)\..+", re.DOTALL)
_LONGEST_NAME = 180  # of 255 that file systems take: temporary names and endings are longer
_STARTED = time.time_ns()
_WILDCARDS = re.compile(r"[\[\]*?\\]")
_ALIAS = "easymft"  # how the other names of `without_wildcards` end


def short_name(name: str) -> str:
    """An ASCII name as it is, or, where it is too long for a file or folder, its beginning and a hash of the whole."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - len(digest) - 1]}~{digest}"


def part_name(path: Path) -> Path:
    """A name beside `path` for a file or folder that is to take its place.

    It is this writer's own, as several processes may write the same, and ends as `path` does, since writers choose the
    format by it. Missing folders above are made, and what a writer that is gone left beside is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{PART}*.{glob.escape(path.name)}"):
        if _is_left(left):
            _remove(left)
    return path.with_name(f"{PART}{_here()}.{os.getpid()}.{time.time_ns()}.{path.name}")


@contextmanager
def replacing(file: str | Path) -> Iterator[Path]:
    """Gives a name (`part_name`) for what takes the place of `file` if the block ends well, and is removed if not."""
    part = part_name(Path(file))
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives an empty folder beside `folder`, for the block to fill and to rename; removed at the end if still there."""
    part = part_name(folder)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Removes a folder, if it is there, as a whole: were this process killed meanwhile, none would take it for one."""
    gone = part_name(folder)
    with suppress(FileNotFoundError):
        folder.rename(gone)
    _remove(gone)


def remove_left(folder: Path) -> None:
    """Removes what processes that are gone had begun to write, in a folder and all below it; others' work stays."""
    for place, folders, files in os.walk(folder):
        for left in [Path(place, name) for name in (*folders, *files) if name.startswith(PART)]:
            if _is_left(left):
                _remove(left)
        folders[:] = [name for name in folders if not name.startswith(PART)]


def has_wildcards(path: str | Path) -> bool:
    """Whether TensorFlow takes a path for a glob."""
    return bool(_WILDCARDS.search(str(path)))


@contextmanager
def without_wildcards(folder: Path) -> Iterator[Path]:
    """Gives a folder a name that TensorFlow does not take for a glob, as it does one that holds `[`, `*` or `?`.

    It is the folder's own where that will do, else a link in the folder for temporary files, which goes at the end;
    what was opened under it must be closed by then.
    """
    if not has_wildcards(folder):
        yield folder
        return
    places = [place for place in (tempfile.gettempdir(), "/tmp", "/var/tmp") if not has_wildcards(place)]
    link = part_name(Path(places[0] if places else "/") / _ALIAS)
    link.symlink_to(folder.absolute(), target_is_directory=True)
    try:
        yield link
    finally:
        link.unlink(missing_ok=True)


@functools.cache
def _here() -> str:
    """Where this process runs: its number tells it apart on one machine alone, or in one container."""
    space = 0
    with suppress(OSError):
        space = os.stat("/proc/self/ns/pid").st_ino
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _is_left(path: Path) -> bool:
    """Whether the writer of a temporary name is gone; one elsewhere, or of an earlier version, if the name is old."""
    found = _PART_NAME.fullmatch(path.name)
    if found and found["place"] == _here():
        return not _is_at_work(int(found["process"]), int(found["time"]))
    try:
        return time.time() - path.lstat().st_mtime > STALE_SECONDS
    except FileNotFoundError:  # gone meanwhile
        return False


def _is_at_work(process: int, since: int) -> bool:
    if process == os.getpid():  # numbers come again, in a container soon
        return since >= _STARTED
    if os.name == "nt":  # where a signal of any number ends a process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # gone meanwhile, or another user's
            path.unlink()
