"""Cells of an experiment, made from the marks of their test items."""

import pytest

from easymft.evaluation.experiment.results import CellResult, ItemScores, Scores
from easymft.evaluation.experiment.tables import build_tables


@pytest.fixture
def make_cell():
    """A cell; its accuracy follows from `correct`."""

    def make(method="mft_full", domain="books", seed=1, correct="1110", dev=0.5, **changes):
        accuracy = correct.count("1") / len(correct)
        keys = {"setting": "full", "amount": "100%", "learning_rate": 1e-4, "seconds": 2.0, **changes}
        test = ItemScores(accuracy=accuracy, macro_f1=0.25, loss=0.75, examples=len(correct), correct=correct)
        return CellResult(method=method, domain=domain, seed=seed, dev=Scores(dev, 0.5, 1.0, 20), test=test, **keys)

    return make


@pytest.fixture
def make_cells(make_cell):
    """Cells from method -> seed -> domain -> correct."""

    def make(outcomes, **changes):
        return [
            make_cell(method, domain, seed, correct, **changes)
            for method, by_seed in outcomes.items()
            for seed, by_domain in by_seed.items()
            for domain, correct in by_domain.items()
        ]

    return make


@pytest.fixture
def make_table(make_cells):
    """The one table of such cells, of one learning rate each."""

    def make(outcomes, resamples=200, **changes):
        cells = make_cells(outcomes, **changes)
        (table,) = build_tables(cells, {cell.group: cell.learning_rate for cell in cells}, resamples)
        return table

    return make
