"""Writing files so that nobody ever sees half of one."""

import glob
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part."  # how temporary names begin
STALE_SECONDS = 24 * 3600  # a temporary file that old was left by a process that was killed


@contextmanager
def replacing(file: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside `file`, which takes its place if the block ends well and is removed otherwise.

    The temporary name is this writer's own, as several processes may write the same file, and ends as `file` does,
    since writers choose the format by it. Missing folders are made, and what a killed writer left long ago is removed.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{PART}{os.getpid()}.{time.time_ns()}.{file.name}")
    for left in file.parent.glob(f"{PART}*.{glob.escape(file.name)}"):
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            left.unlink(missing_ok=True)
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
