"""Writing files and folders so that nobody ever sees half of one."""

import glob
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part."  # how temporary names begin
STALE_SECONDS = 24 * 3600  # what is that old under such a name was left by a process that was killed
_LONGEST_NAME = 180  # of 255 that file systems take: temporary names and endings are longer


def short_name(name: str) -> str:
    """An ASCII name as it is, or, where it is too long for a file or folder, its beginning and a hash of the whole."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - len(digest) - 1]}~{digest}"


def part_name(path: Path) -> Path:
    """A name beside `path` for a file or folder that is to take its place.

    It is this writer's own, as several processes may write the same, and ends as `path` does, since writers choose the
    format by it. Missing folders above are made, and what a killed writer left beside long ago is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{PART}*.{glob.escape(path.name)}"):
        with suppress(FileNotFoundError):  # gone meanwhile
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
    return path.with_name(f"{PART}{os.getpid()}.{time.time_ns()}.{path.name}")


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
    shutil.rmtree(gone, ignore_errors=True)
