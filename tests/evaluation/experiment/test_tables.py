import dataclasses

import pytest

from easymft.errors import DataError
from easymft.evaluation.experiment.tables import amount_order, build_tables

# Accuracies: mix 0.5, 0.75 | 0.5, 0.25; two_stage 0.75, 0.75 | 0.5, 0.5; mft 1.0, 0.75 | 1.0, 0.5 (books, dvd | seeds)
OUTCOMES = {
    "mft": {1: {"books": "1111", "dvd": "0111"}, 2: {"books": "1111", "dvd": "0110"}},
    "mix": {1: {"books": "0011", "dvd": "0111"}, 2: {"books": "0110", "dvd": "0100"}},
    "two_stage": {1: {"books": "0111", "dvd": "1110"}, 2: {"books": "0110", "dvd": "1010"}},
}


def without(outcomes, *places):
    """`outcomes` without some (method, seed, domain)."""
    return {
        method: {
            seed: {domain: marks for domain, marks in by_domain.items() if (method, seed, domain) not in places}
            for seed, by_domain in by_seed.items()
        }
        for method, by_seed in outcomes.items()
    }


def rows_of(table):
    return {row.method: row for row in table.rows}


def test_means_and_deviations(make_table):
    table = make_table(OUTCOMES)
    assert (table.setting, table.amount, table.domains, table.seeds) == ("full", "100%", ("books", "dvd"), (1, 2))
    assert [row.method for row in table.rows] == ["mix", "two_stage", "mft"]
    row = rows_of(table)["mft"]
    assert (row.by_domain["books"].mean, row.by_domain["books"].deviation) == (1.0, 0.0)
    assert row.by_domain["dvd"].mean == 0.625
    assert row.by_domain["dvd"].deviation == pytest.approx(0.125 * 2**0.5)  # of the sample: divisor 1
    assert row.averages == {1: 0.875, 2: 0.75}
    assert (row.average.mean, row.average.seeds) == (0.8125, (1, 2))
    assert row.average.deviation == pytest.approx(0.0625 * 2**0.5)


def test_one_seed_has_no_deviation(make_table):
    table = make_table({method: {1: by_seed[1]} for method, by_seed in OUTCOMES.items()})
    row = rows_of(table)["mft"]
    assert row.average.deviation is None and row.by_domain["dvd"].deviation is None
    assert row.comparisons["mix"].p_value is None


def test_comparisons(make_table):
    row = rows_of(make_table(OUTCOMES))["mft"]
    assert list(row.comparisons) == ["two_stage", "mix"]
    found = row.comparisons["two_stage"]
    assert found.difference == 0.1875 and found.by_seed == {1: 0.125, 2: 0.25}
    # t = 0.1875 / (0.0625 * sqrt(2) / sqrt(2)) = 3 with 1 degree of freedom
    assert found.p_value == pytest.approx(0.2048328)
    assert found.low < 0.1875 < found.high
    assert 0.0 < found.share_not_above < 0.5
    assert found.without_partner == ()
    baseline = rows_of(make_table(OUTCOMES))["two_stage"]
    assert list(baseline.comparisons) == ["mix"] and baseline.comparisons["mix"].difference == 0.125


def test_items_are_paired(make_table):
    """Equal accuracies, but on other items: the interval is wide; on the same items it is a point."""
    marks = "10" * 20
    same = make_table({"two_stage": {1: {"d": marks}}, "mft": {1: {"d": marks}}})
    other = make_table({"two_stage": {1: {"d": marks}}, "mft": {1: {"d": marks[::-1]}}})
    same, other = (rows_of(table)["mft"].comparisons["two_stage"] for table in (same, other))
    assert (same.low, same.high, same.difference, other.difference) == (0.0, 0.0, 0.0, 0.0)
    assert other.low < -0.1 and other.high > 0.1


def test_without_baselines(make_table):
    table = make_table({"mft": OUTCOMES["mft"]})
    assert table.baselines == () and table.rows[0].comparisons == {}


def test_a_missing_domain_takes_the_seed_from_the_average(make_table):
    table = make_table(without(OUTCOMES, ("mft", 2, "dvd")))
    row = rows_of(table)["mft"]
    assert row.by_domain["books"].seeds == (1, 2) and row.by_domain["dvd"].seeds == (1,)
    assert row.averages == {1: 0.875} and row.average.deviation is None
    found = row.comparisons["mix"]
    assert found.by_seed == {1: 0.25} and found.without_partner == (2,) and found.p_value is None
    assert found.difference == 0.25
    assert row.seeds == (1, 2)


def test_no_complete_seed(make_table):
    table = make_table(without(OUTCOMES, ("mft", 2, "dvd"), ("mft", 1, "dvd")))
    row = rows_of(table)["mft"]
    assert row.by_domain["dvd"] is None and row.average is None and row.averages == {}
    assert row.comparisons == {"two_stage": None, "mix": None}


def test_no_shared_seed(make_table):
    outcomes = {"mix": {1: OUTCOMES["mix"][1]}, "mft": {2: OUTCOMES["mft"][2]}}
    row = rows_of(make_table(outcomes))["mft"]
    assert row.average.mean == 0.75 and row.comparisons == {"mix": None}


def test_only_the_chosen_rate_counts(make_cells):
    cells = make_cells(OUTCOMES)
    better = [dataclasses.replace(cell, learning_rate=1e-2) for cell in make_cells({"mix": OUTCOMES["mft"]})]
    (table,) = build_tables([*better, *cells], {cell.group: 1e-4 for cell in cells}, 50)
    row = rows_of(table)["mix"]
    assert row.average.mean == 0.5 and row.learning_rate == 1e-4 and row.tried == (1e-4, 1e-2)


def test_tables_in_order(make_cells):
    keys = [
        ("unseen_target", "5%"),
        ("full", "100%"),
        ("few_both", "10%"),
        ("few_both", "8 per class"),
        ("few_both", "5%"),
    ]
    cells = [cell for setting, amount in keys for cell in make_cells(OUTCOMES, setting=setting, amount=amount)]
    tables = build_tables(cells, {cell.group: 1e-4 for cell in cells}, 10)
    found = [(table.setting, table.amount) for table in tables]
    assert found == [keys[1], keys[3], keys[4], keys[2], keys[0]]
    assert all(row.average.seeds == (1, 2) for table in tables for row in table.rows)


def test_order_of_amounts():
    amounts = ["100%", "all", "16 per class", "2.5%", "10%", "8 per class", "0.5 %", "2%"]
    expected = ["8 per class", "16 per class", "0.5 %", "2%", "2.5%", "10%", "100%", "all"]
    assert sorted(amounts, key=amount_order) == expected


def test_other_test_items_are_refused(make_cells, make_cell):
    cells = [*make_cells(OUTCOMES), make_cell("dc", "dvd", 1, "111")]
    with pytest.raises(DataError, match=r"domain dvd has 4 of them in \(mft, .*\) and 3 in \(dc, full, 100%, dvd, 1"):
        build_tables(cells, {cell.group: 1e-4 for cell in cells})
