"""The results of an experiment as CSV: all cells, and a line for each method of each table."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from easymft.evaluation.experiment.results import CellResult, Group
from easymft.evaluation.experiment.tables import BASELINES, MethodRow, ResultTable, Score
from easymft.files import replacing

_KEYS = ("method", "setting", "amount", "domain", "seed", "learning_rate")
_METRICS = ("accuracy", "macro_f1", "loss", "examples")


def write_cells_csv(file: str | Path, cells: Sequence[CellResult], chosen: Mapping[Group, float]) -> None:
    """Writes a line for each cell, of all learning rates: its keys, whether its rate is the chosen one, its metrics.

    "undecided" stands where `chosen` has no rate of the cell's method, setting and amount. Accuracy and
    macro_f1 are in [0, 1], loss in nats.
    """
    rows = []
    for cell in cells:
        row: dict[str, Any] = {name: getattr(cell, name) for name in _KEYS}
        row["chosen_rate"] = {None: "undecided", cell.learning_rate: "yes"}.get(chosen.get(cell.group), "no")
        for split in ("dev", "test"):
            row |= {f"{split}_{name}": getattr(getattr(cell, split), name) for name in _METRICS}
        rows.append({**row, "seconds": cell.seconds})
    _write(file, rows)


def write_table_csv(file: str | Path, tables: Sequence[ResultTable]) -> None:
    """Writes a line for each method of each table, in percent and points, not rounded.

    A domain that a table lacks, a deviation over one seed, and a comparison that cannot be made are empty.
    """
    domains = sorted({domain for table in tables for domain in table.domains})
    _write(file, [_table_row(table, row, domains) for table in tables for row in table.rows])


def _table_row(table: ResultTable, row: MethodRow, domains: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "setting": table.setting,
        "amount": table.amount,
        "method": row.method,
        "learning_rate": row.learning_rate,
        "rates_tried": len(row.tried),
        "seeds": " ".join(map(str, row.seeds)),
        "seeds_in_average": " ".join(map(str, row.averages)),
    }
    for domain in domains:
        found |= _score_columns(f"domain_{domain}", row.by_domain.get(domain))
    found |= _score_columns("average", row.average)
    for baseline in BASELINES:
        comparison = row.comparisons.get(baseline)
        values: dict[str, Any] = dict.fromkeys(("difference", "p_value", "low", "high", "share_not_above", "seeds"))
        if comparison is not None:
            values |= {name: 100 * getattr(comparison, name) for name in ("difference", "low", "high")}
            values |= {name: getattr(comparison, name) for name in ("p_value", "share_not_above")}
            values["seeds"] = " ".join(map(str, comparison.by_seed))
        found |= {f"vs_{baseline}_{name}": value for name, value in values.items()}
    return found


def _score_columns(name: str, score: Score | None) -> dict[str, float | None]:
    mean = None if score is None else 100 * score.mean
    deviation = None if score is None or score.deviation is None else 100 * score.deviation
    return {f"{name}_mean": mean, f"{name}_sd": deviation}


def _write(file: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with replacing(file) as part, part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
