"""The cells of an experiment that failed, as files."""

from pathlib import Path

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from easymft.evaluation.experiment.results import STRICT, Cell, Name, key_name, read_record, read_records, write_record


@dataclass(frozen=True, config=STRICT)
class CellFailure(Cell):
    """A cell that ended in an error.

    Attributes:
        error: What went wrong.
        diverged: Whether training ended in numbers that are not finite, as it would again.
    """

    error: Name
    diverged: bool = False


_FAILURE = TypeAdapter(CellFailure)


def write_failure(folder: str | Path, failure: CellFailure) -> Path:
    """Writes `failure` into `folder`/failures under a name made of its keys, and returns the file."""
    return write_record(Path(folder) / "failures", failure.key, _FAILURE.dump_json(failure, indent=1))


def has_diverged(folder: str | Path, cell: Cell) -> bool:
    """Whether the training of `cell` is known to diverge, in this process or another that shares `folder`."""
    try:
        return read_record(Path(folder) / "failures" / f"{key_name(cell.key)}.json", _FAILURE).diverged
    except FileNotFoundError:
        return False


def read_failures(folder: str | Path) -> list[CellFailure]:
    """Reads `folder`/failures/*.json; none, where there is no such folder.

    Raises:
        DataError: A file is not a failure, with all that is wrong in it.
    """
    return [failure for _, failure in read_records(Path(folder) / "failures", _FAILURE)]
