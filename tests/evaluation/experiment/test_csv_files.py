import csv

import pytest

from easymft.evaluation.experiment.csv_files import write_cells_csv, write_table_csv
from easymft.evaluation.experiment.tables import build_tables


def read(file):
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_cells(tmp_path, make_cell):
    cells = [make_cell(method='a,"b"', dev=0.6), make_cell(method='a,"b"', learning_rate=1e-3), make_cell("mix")]
    write_cells_csv(tmp_path / "new" / "cells.csv", cells, {cells[0].group: 1e-4})
    first, second, third = read(tmp_path / "new" / "cells.csv")
    assert first == {
        "method": 'a,"b"',
        "setting": "full",
        "amount": "100%",
        "domain": "books",
        "seed": "1",
        "learning_rate": "0.0001",
        "chosen_rate": "yes",
        "dev_accuracy": "0.6",
        "dev_macro_f1": "0.5",
        "dev_loss": "1.0",
        "dev_examples": "20",
        "test_accuracy": "0.75",
        "test_macro_f1": "0.25",
        "test_loss": "0.75",
        "test_examples": "4",
        "seconds": "2.0",
    }
    assert (second["learning_rate"], second["chosen_rate"], second["dev_accuracy"]) == ("0.001", "no", "0.5")
    assert (third["method"], third["chosen_rate"]) == ("mix", "undecided")


def test_table(tmp_path, make_cells):
    full = {
        "two_stage": {1: {"books": "0111", "average": "0011"}, 2: {"books": "0111", "average": "0001"}},
        "mft": {1: {"books": "0111", "average": "0111"}, 2: {"books": "1111"}},
    }
    cells = make_cells(full) + make_cells({"mft": {1: {"dvd": "0001"}}}, setting="few_both", amount="5%")
    tables = build_tables(cells, {cell.group: 1e-4 for cell in cells}, 50)
    write_table_csv(tmp_path / "table.csv", tables)
    rows = {(row["setting"], row["method"]): row for row in read(tmp_path / "table.csv")}
    assert list(rows) == [("full", "two_stage"), ("full", "mft"), ("few_both", "mft")]
    row = rows["full", "two_stage"]
    assert (row["domain_books_mean"], row["domain_books_sd"], row["domain_average_mean"]) == ("75.0", "0.0", "37.5")
    assert float(row["average_mean"]) == 56.25 and float(row["average_sd"]) == pytest.approx(6.25 * 2**0.5)
    assert row["vs_two_stage_difference"] == "" and row["domain_dvd_mean"] == ""
    row = rows["full", "mft"]
    assert (row["seeds"], row["seeds_in_average"], row["vs_two_stage_seeds"]) == ("1 2", "1", "1")
    assert (row["vs_two_stage_difference"], row["vs_two_stage_p_value"]) == ("12.5", "")
    assert float(row["vs_two_stage_low"]) == 0.0 and float(row["vs_two_stage_high"]) > 12.5
    assert float(row["vs_two_stage_share_not_above"]) == pytest.approx(0.75**4, abs=0.25)  # the item is not drawn
    assert row["vs_mix_difference"] == "" and row["average_sd"] == ""
    row = rows["few_both", "mft"]
    assert (row["amount"], row["domain_dvd_mean"], row["domain_books_mean"], row["rates_tried"]) == (
        "5%",
        "25.0",
        "",
        "1",
    )
