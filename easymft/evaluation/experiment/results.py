"""The results of an experiment's cells as files, and the choice of each method's learning rate."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote_plus

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from easymft.checksums import read_object, write_object
from easymft.data.bad_rows import shown
from easymft.errors import DamagedError, DataError
from easymft.files import PART, short_name
from easymft.names import cut_name

Setting = Literal["full", "all_then_few", "few_both", "unseen_target"]
Group = tuple[str, str, str]  # method, setting, amount
_Rates = dict[float, dict[tuple[str, int], float]]  # learning rate -> (domain, seed) -> dev accuracy
Record = TypeVar("Record")

STRICT = ConfigDict(strict=True, extra="forbid")
Name = Annotated[str, Field(min_length=1)]
Rate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
_Loss = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]
_ROUNDING = 1e-6  # how far an accuracy may be from the share of right items


@dataclass(frozen=True, config=STRICT)
class Scores:
    """One model on one split of one domain.

    Attributes:
        accuracy: In [0, 1].
        macro_f1: In [0, 1].
        loss: Mean cross-entropy in nats.
        examples: Their number.
    """

    accuracy: _Share
    macro_f1: _Share
    loss: _Loss
    examples: _Count


@dataclass(frozen=True, config=STRICT)
class ItemScores(Scores):
    """Scores with the outcome of each item, by which methods are paired.

    Attributes:
        correct: "1" for a right prediction and "0" for a wrong one, for each example in the file's order.
    """

    correct: Annotated[str, Field(pattern="^[01]+$")]

    @model_validator(mode="after")
    def _check_items(self) -> "ItemScores":
        if len(self.correct) != self.examples:
            raise ValueError(f"expected {self.examples} marks in correct, one for each example: {len(self.correct)}")
        share = self.correct.count("1") / self.examples
        if abs(share - self.accuracy) > _ROUNDING:
            raise ValueError(f"accuracy {self.accuracy} is not the share of right items in correct, {share}")
        return self


@dataclass(frozen=True, config=STRICT)
class Cell:
    """One method, with one setting, amount of data, learning rate and seed, on one domain.

    Attributes:
        method: Its name.
        setting: "full", or a reading of the few-shot table: "all_then_few" (all data, then the amount to fine-tune),
            "few_both" (the amount in both stages), "unseen_target" (the first stage without this domain).
        amount: Labelled data to fine-tune on, such as "100%", "5%" or "8 per class".
        domain: The domain that is tested.
        seed: Of initialisation, order and dropout.
        learning_rate: At its peak.
    """

    method: Name
    setting: Setting
    amount: Name
    domain: Name
    seed: Annotated[int, Field(ge=0)]
    learning_rate: Rate

    @property
    def group(self) -> Group:
        """Method, setting and amount: what shares a learning rate."""
        return self.method, self.setting, self.amount

    @property
    def key(self) -> tuple[Any, ...]:
        """What no two cells share."""
        return *self.group, self.domain, self.seed, self.learning_rate


@dataclass(frozen=True, config=STRICT)
class CellResult(Cell):
    """What was measured of a cell.

    Attributes:
        dev: By which learning rates are chosen.
        test: What is reported.
        seconds: What the cell took.
    """

    dev: Scores
    test: ItemScores
    seconds: _Loss


_CELL = TypeAdapter(CellResult)


def write_cell(folder: str | Path, cell: CellResult) -> Path:
    """Writes `cell` into `folder`/cells under a name made of its keys, and returns the file."""
    return write_record(Path(folder) / "cells", cell.key, _CELL.dump_json(cell, indent=1))


def write_record(folder: Path, key: Sequence[Any], content: bytes) -> Path:
    """Writes `content` into `folder` under a name that only this key has, and returns the file."""
    file = folder / f"{key_name(key)}.json"
    write_object(file, json.loads(content))
    return file


def key_name(key: Sequence[Any]) -> str:
    """Returns a name for files and folders that no other key has, such as "mix,full,100%25,books,42,0.0001".

    It does not begin with a dot, as what is hidden or half-written does.
    """
    name = short_name(",".join(quote_plus(str(part)) for part in key))
    return f"%2E{name[1:]}" if name.startswith(".") else name


def read_cells(folder: str | Path) -> list[CellResult]:
    """Reads every cell of an experiment.

    Args:
        folder: Has the files cells/*.json.

    Returns:
        The cells in the order of their files' names.

    Raises:
        DataError: There are none; a file is not a cell, with all that is wrong in it; two files hold the same cell.
    """
    cells: dict[tuple[Any, ...], tuple[Path, CellResult]] = {}
    for file, cell in read_records(Path(folder) / "cells", _CELL):
        earlier, _ = cells.setdefault(cell.key, (file, cell))
        if earlier != file:
            raise DataError(f"{file}: the same cell as in {earlier}: {', '.join(map(str, cell.key))}")
    if not cells:
        raise DataError(f"{Path(folder) / 'cells'}: no results of an experiment (*.json) here")
    return [cell for _, cell in cells.values()]


def read_records(folder: Path, kind: TypeAdapter[Record]) -> Iterable[tuple[Path, Record]]:
    """Reads the JSON files of a folder, in the order of their names; those still being written are left out.

    Raises:
        DataError: A file cannot be read or is not of this kind: file, place and value of all that is wrong with it.
    """
    for file in sorted(file for file in folder.glob("*.json") if not file.name.startswith(PART)):
        try:
            record = read_record(file, kind)
        except FileNotFoundError:  # another process has removed it
            continue
        yield file, record


def read_record(file: Path, kind: TypeAdapter[Record]) -> Record:
    """Reads a JSON file.

    Raises:
        FileNotFoundError: There is none.
        DataError: As in `read_records`.
    """
    try:
        return kind.validate_json(json.dumps(read_object(file)))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        raise DataError("\n".join(f"{file}: {_describe(problem)}" for problem in found)) from error
    except DamagedError as error:
        raise DataError(f"{error}; remove it and run the same command again, to have it made anew") from error


def choose_learning_rates(cells: Sequence[CellResult], seeds: Sequence[int]) -> dict[Group, float]:
    """Chooses the learning rate of each method, by its dev accuracy alone.

    Args:
        cells: Of any number of methods, settings and amounts.
        seeds: The seeds to choose by; others are not looked at.

    Returns:
        (method, setting, amount) -> the rate with the highest mean dev accuracy over domains, then over `seeds`; of
        equal ones the smallest. Where one rate alone was tried it is that one, whatever cells it lacks.

    Raises:
        DataError: One of several rates lacks cells of `seeds`: a line for each such rate names them.
        ValueError: `seeds` is empty.
    """
    if not seeds:
        raise ValueError(f"expected at least one seed to choose learning rates by. Received: {list(seeds)}")
    incomplete = find_incomplete_rates(cells, seeds)
    if incomplete:
        raise DataError("\n".join(line for lines in incomplete.values() for line in lines))
    chosen = {}
    for group, rates in _dev_accuracies(cells).items():
        needed = _needed_cells(rates, seeds)
        # Rounded, so that equal means stay equal though floating-point sums are not.
        means = {rate: round(fmean(found.get(cell, 0.0) for cell in needed), 12) for rate, found in rates.items()}
        chosen[group] = min(rates, key=lambda rate: (-means[rate], rate))
    return chosen


def find_incomplete_rates(cells: Iterable[CellResult], seeds: Sequence[int]) -> dict[Group, list[str]]:
    """Returns (method, setting, amount) -> what is missing, where one of several rates lacks cells of `seeds`."""
    incomplete = {}
    for group, rates in _dev_accuracies(cells).items():
        needed = _needed_cells(rates, seeds)
        lines = [_lacking(group, rate, needed, found) for rate, found in sorted(rates.items())]
        if len(rates) > 1 and any(lines):
            incomplete[group] = [line for line in lines if line]
    return incomplete


def _dev_accuracies(cells: Iterable[CellResult]) -> dict[Group, _Rates]:
    groups: dict[Group, _Rates] = {}
    for cell in cells:
        rates = groups.setdefault(cell.group, {})
        rates.setdefault(cell.learning_rate, {})[cell.domain, cell.seed] = cell.dev.accuracy
    return groups


def _needed_cells(rates: _Rates, seeds: Sequence[int]) -> list[tuple[str, int]]:
    """Every domain that any rate has, with every seed."""
    domains = sorted({domain for accuracies in rates.values() for domain, _ in accuracies})
    return [(domain, seed) for seed in dict.fromkeys(seeds) for domain in domains]


def _lacking(group: Group, rate: float, needed: Sequence[tuple[str, int]], found: Iterable[tuple[str, int]]) -> str:
    lacking = [f"{cut_name(domain)} with seed {seed}" for domain, seed in needed if (domain, seed) not in found]
    if not lacking:
        return ""
    more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
    return (
        f"{' / '.join(group)}: learning rate {rate:g} cannot be compared with the others, it has no result for "
        f"{', '.join(lacking[:5])}{more}"
    )


def _describe(problem: Any) -> str:
    place = ".".join(map(str, problem["loc"]))
    value = "" if problem["type"] == "missing" else f". Received: {shown(problem['input'])}"
    return f"{place}: {problem['msg']}{value}" if place else f"{problem['msg']}{value}"
