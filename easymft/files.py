"""Writing files so that nobody ever sees half of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside `file`, which takes its place if the block ends well and is removed otherwise.

    The temporary name ends as `file` does, since writers choose the format by it. Missing folders are made.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".part.{file.name}")
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
