"""The tables of an experiment: methods by domains, with their differences to the baselines."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from easymft.errors import DataError
from easymft.evaluation.experiment.results import CellResult, Group, Setting
from easymft.evaluation.significance import paired_bootstrap, paired_t_test

BASELINES = ("two_stage", "mix")
_BySeed = Mapping[int, Mapping[str, CellResult]]  # seed -> domain -> its cell


@dataclass(frozen=True)
class Score:
    """Test accuracy over seeds.

    Attributes:
        mean: In [0, 1].
        deviation: The sample's standard deviation, with divisor S - 1; None with one seed.
        seeds: Those it is of.
    """

    mean: float
    deviation: float | None
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """A method's domain average minus a baseline's, paired by seed and by test item.

    Attributes:
        difference: Over the paired seeds, in [-1, 1].
        p_value: Of the paired t-test over seeds; None where it is not defined.
        low: Lower end of the 95% interval over test items.
        high: Upper end.
        share_not_above: The share of the bootstrap's resamples in which the method is not better.
        by_seed: Seed -> difference, for the seeds that both have in every domain.
        without_partner: The seeds that only one of the two has in every domain.
    """

    difference: float
    p_value: float | None
    low: float
    high: float
    share_not_above: float
    by_seed: Mapping[int, float]
    without_partner: tuple[int, ...]


@dataclass(frozen=True)
class MethodRow:
    """One method in a table.

    Attributes:
        method: Its name.
        learning_rate: The chosen one, of which all numbers are.
        tried: All learning rates it was run with.
        by_domain: Domain -> its score; None without any result.
        averages: Seed -> mean accuracy over the domains, for the seeds that have them all.
        average: Of `averages`; None where there are none.
        comparisons: Baseline -> comparison with it; None where no seed is complete in both. A baseline has none with
            itself, and one that is not in the table is not here.
    """

    method: str
    learning_rate: float
    tried: tuple[float, ...]
    by_domain: Mapping[str, Score | None]
    averages: Mapping[int, float]
    average: Score | None
    comparisons: Mapping[str, Comparison | None]

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds it has any result of."""
        return tuple(sorted({seed for score in self.by_domain.values() if score for seed in score.seeds}))


@dataclass(frozen=True)
class ResultTable:
    """The methods under one setting with one amount of data.

    Attributes:
        setting: As in `CellResult`.
        amount: As in `CellResult`.
        domains: The columns.
        rows: The baselines, then the others by name.
    """

    setting: str
    amount: str
    domains: tuple[str, ...]
    rows: tuple[MethodRow, ...]

    @property
    def baselines(self) -> tuple[str, ...]:
        """Those of `BASELINES` that are in the table."""
        return tuple(name for name in BASELINES if any(row.method == name for row in self.rows))

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds that any method has a result of."""
        return tuple(sorted({seed for row in self.rows for seed in row.seeds}))


def build_tables(
    cells: Sequence[CellResult], chosen: Mapping[Group, float], resamples: int = 10_000
) -> list[ResultTable]:
    """Makes a table of each setting and amount.

    Args:
        cells: Of all learning rates.
        chosen: (method, setting, amount) -> the rate to report, as `choose_learning_rates` returns it.
        resamples: Of the bootstrap.

    Returns:
        The tables in the order of `CellResult.setting` and `amount_order`.

    Raises:
        DataError: A domain has another number of test items in one cell than in the others of its table.
    """
    groups: dict[tuple[str, str], list[CellResult]] = {}
    for cell in cells:
        groups.setdefault((cell.setting, cell.amount), []).append(cell)
    order = get_args(Setting)
    keys = sorted(groups, key=lambda key: (order.index(key[0]), amount_order(key[1])))
    return [_build_table(*key, groups[key], chosen, resamples) for key in keys]


def with_names(table: ResultTable, methods: Mapping[str, str], domains: Mapping[str, str]) -> ResultTable:
    """The same table with other names of methods and domains; the baselines keep theirs."""
    rows = [
        replace(
            row,
            method=methods[row.method],
            by_domain={domains[domain]: score for domain, score in row.by_domain.items()},
        )
        for row in table.rows
    ]
    return replace(table, domains=tuple(domains[domain] for domain in table.domains), rows=tuple(rows))


def amount_order(amount: str) -> tuple[int, float, str]:
    """Returns a key that sorts amounts: counts ("8 per class"), then percentages ("5%"), then the rest, by number."""
    found = re.match(r"\s*(\d+(?:\.\d+)?)", amount)
    if found is None:
        return 2, 0.0, amount
    return int("%" in amount), float(found[1]), amount


def _build_table(
    setting: str, amount: str, cells: Sequence[CellResult], chosen: Mapping[Group, float], resamples: int
) -> ResultTable:
    _check_items(cells)
    domains = tuple(sorted({cell.domain for cell in cells}))
    tried: dict[str, set[float]] = {}
    results: dict[str, dict[int, dict[str, CellResult]]] = {}
    for cell in cells:
        tried.setdefault(cell.method, set()).add(cell.learning_rate)
        if cell.learning_rate == chosen[cell.group]:
            results.setdefault(cell.method, {}).setdefault(cell.seed, {})[cell.domain] = cell
    # Only the seeds with every domain can be averaged over domains, and compared.
    complete = {
        method: {seed: by_domain for seed, by_domain in sorted(by_seed.items()) if len(by_domain) == len(domains)}
        for method, by_seed in results.items()
    }
    rows = []
    for method in sorted(results, key=lambda name: (name not in BASELINES, name)):
        averages = {seed: _average(by_domain) for seed, by_domain in complete[method].items()}
        row = MethodRow(
            method=method,
            learning_rate=chosen[method, setting, amount],
            tried=tuple(sorted(tried[method])),
            by_domain={domain: _score(_accuracies(results[method], domain)) for domain in domains},
            averages=averages,
            average=_score(averages),
            comparisons={
                name: _compare(complete[method], complete[name], domains, resamples)
                for name in BASELINES
                if name in results and name != method
            },
        )
        rows.append(row)
    return ResultTable(setting, amount, domains, tuple(rows))


def _check_items(cells: Sequence[CellResult]) -> None:
    first: dict[str, CellResult] = {}
    for cell in cells:
        other = first.setdefault(cell.domain, cell)
        if other.test.examples != cell.test.examples:
            raise DataError(
                f"methods are paired by test item, but domain {cell.domain} has {other.test.examples} of them in "
                f"({', '.join(map(str, other.key))}) and {cell.test.examples} in ({', '.join(map(str, cell.key))})"
            )


def _accuracies(results: _BySeed, domain: str) -> dict[int, float]:
    found = {seed: by_domain[domain].test.accuracy for seed, by_domain in results.items() if domain in by_domain}
    return dict(sorted(found.items()))


def _average(by_domain: Mapping[str, CellResult]) -> float:
    return float(np.mean([cell.test.accuracy for cell in by_domain.values()]))


def _score(by_seed: Mapping[int, float]) -> Score | None:
    if not by_seed:
        return None
    values = list(by_seed.values())
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Score(float(np.mean(values)), deviation, tuple(by_seed))


def _compare(ours: _BySeed, theirs: _BySeed, domains: Sequence[str], resamples: int) -> Comparison | None:
    shared = [seed for seed in ours if seed in theirs]
    if not shared:
        return None
    first, second = ([_average(results[seed]) for seed in shared] for results in (ours, theirs))
    outcomes = [[_outcomes(results, shared, domain) for domain in domains] for results in (ours, theirs)]
    bootstrap = paired_bootstrap(*outcomes, resamples=resamples)
    return Comparison(
        difference=bootstrap.difference,
        p_value=paired_t_test(first, second),
        low=bootstrap.low,
        high=bootstrap.high,
        share_not_above=bootstrap.share_not_above,
        by_seed={seed: a - b for seed, a, b in zip(shared, first, second, strict=True)},
        without_partner=tuple(sorted(set(ours) ^ set(theirs))),
    )


def _outcomes(results: _BySeed, seeds: Sequence[int], domain: str) -> np.ndarray:
    """Whether each test item is right, [S, n]."""
    marks = [results[seed][domain].test.correct.encode("ascii") for seed in seeds]
    return np.array([np.frombuffer(mark, np.uint8) == ord("1") for mark in marks])
