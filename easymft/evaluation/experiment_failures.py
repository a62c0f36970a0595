"""The cells of an experiment that failed, as files."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from easymft.evaluation.experiment_results import STRICT, Name, Rate, Setting, read_records, write_record


@dataclass(frozen=True, config=STRICT)
class CellFailure:
    """A cell that ended in an error; the keys are those of `CellResult`.

    Attributes:
        method: Its name.
        setting: Which reading of the few-shot table, or "full".
        amount: Labelled data to fine-tune on.
        domain: The domain that was to be tested.
        seed: Of initialisation, order and dropout.
        learning_rate: At its peak.
        error: What went wrong.
    """

    method: Name
    setting: Setting
    amount: Name
    domain: Name
    seed: Annotated[int, Field(ge=0)]
    learning_rate: Rate
    error: Name

    @property
    def key(self) -> tuple[Any, ...]:
        """The key of the cell that is missing."""
        return self.method, self.setting, self.amount, self.domain, self.seed, self.learning_rate


_FAILURE = TypeAdapter(CellFailure)


def write_failure(folder: str | Path, failure: CellFailure) -> Path:
    """Writes `failure` into `folder`/failures under a name made of its keys, and returns the file."""
    return write_record(Path(folder) / "failures", failure.key, _FAILURE.dump_json(failure, indent=1))


def read_failures(folder: str | Path) -> list[CellFailure]:
    """Reads `folder`/failures/*.json; none, where there is no such folder.

    Raises:
        DataError: A file is not a failure, with all that is wrong in it.
    """
    return [failure for _, failure in read_records(Path(folder) / "failures", _FAILURE)]
