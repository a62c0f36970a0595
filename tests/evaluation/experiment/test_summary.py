import csv
import dataclasses
import html

import pytest
from matplotlib.image import imread

from easymft.errors import DataError
from easymft.evaluation.experiment.failures import CellFailure, write_failure
from easymft.evaluation.experiment.results import write_cell
from easymft.evaluation.experiment.summary import write_summary
from easymft.evaluation.markdown import escape_markdown

OUTCOMES = {
    "two_stage": {1: {"books": "0111", "dvd": "0011"}, 2: {"books": "0111", "dvd": "0001"}},
    "mft_full": {1: {"books": "0111", "dvd": "0011"}, 2: {"books": "0111", "dvd": "0111"}},
}
TEXTS = ("table.md", "table.csv", "table.tex", "cells.csv", "index.html")


@pytest.fixture
def folder(tmp_path, make_cells):
    for amount in ("8 per class", "5%"):
        for cell in make_cells(OUTCOMES, setting="few_both", amount=amount):
            write_cell(tmp_path, cell)
    write_failure(tmp_path, CellFailure("adv", "full", "100%", "dvd", 1, 1e-4, "out of memory"))
    return tmp_path


def texts_of(folder):
    return {name: (folder / "summary" / name).read_bytes() for name in TEXTS}


def test_everything_is_written_and_again_the_same(folder):
    page = write_summary(folder, [1])
    assert page == folder / "summary" / "index.html"
    pictures = {path.name for path in page.parent.glob("*.png")}
    assert pictures == {
        "few_shot_curves.png",
        "differences_few_both_5_percent.png",
        "differences_few_both_8_per_class.png",
        "seed_spread_few_both_5_percent.png",
        "seed_spread_few_both_8_per_class.png",
    }
    assert {path.name for path in page.parent.iterdir()} == pictures | {*TEXTS, "hparams"}
    assert imread(page.parent / "few_shot_curves.png").std() > 0.02
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 5 and "out of memory" in text
    before = texts_of(folder)
    write_summary(folder, [1])
    assert texts_of(folder) == before


def test_only_the_chosen_rate_is_in_tables(folder, make_cells):
    for cell in make_cells(
        {"mft_full": {1: {"books": "1111", "dvd": "1111"}}}, setting="few_both", amount="5%", dev=0.4
    ):
        write_cell(folder, dataclasses.replace(cell, learning_rate=1e-2))  # worse on dev, best on test
    write_summary(folder, [1])
    summary = folder / "summary"
    with (summary / "table.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if (row["amount"], row["method"]) == ("5%", "mft_full")]
    assert [(row["learning_rate"], row["rates_tried"], row["average_mean"]) for row in rows] == [
        ("0.0001", "2", "68.75")
    ]
    assert "1e-4 (of 2)" in (summary / "table.md").read_text(encoding="utf-8")
    with (summary / "cells.csv").open(encoding="utf-8") as stream:
        rates = [(row["learning_rate"], row["chosen_rate"]) for row in csv.DictReader(stream)]
    assert rates.count(("0.01", "no")) == 2 and rates.count(("0.0001", "yes")) == 16 and len(rates) == 18


def test_a_method_whose_rate_cannot_be_chosen_is_left_out_and_named(folder, make_cells):
    lone = {"tw<": {1: {"books": "1111", "dvd": "1111"}}}
    for rate, outcomes in ((1e-4, lone), (1e-2, {"tw<": {1: {"books": "1111"}}})):
        for cell in make_cells(outcomes, setting="few_both", amount="5%", learning_rate=rate):
            write_cell(folder, cell)
    summary = write_summary(folder, [1]).parent
    why = "learning rate 0.01 cannot be compared with the others, it has no result for dvd with seed 1"
    said = f"tw< / few_both / 5%: {why}"
    markdown = (summary / "table.md").read_text(encoding="utf-8")
    assert f"chosen:\n\n- {escape_markdown(said)}\n\n## " in markdown  # and not a word on the rate that is complete
    assert f"% {said}\n" in (summary / "table.tex").read_text(encoding="utf-8")
    assert f"<li>{html.escape(said)}</li>" in (summary / "index.html").read_text(encoding="utf-8")
    assert "tw<" not in (summary / "table.csv").read_text(encoding="utf-8")
    assert (summary / "cells.csv").read_text(encoding="utf-8").count(",undecided,") == 3


def test_what_the_experiment_decided_is_shown(folder, make_cells):
    worse = {"mft_full": {1: {"books": "0000", "dvd": "0000"}}}
    for cell in make_cells(worse, setting="few_both", amount="5%", dev=0.4):
        write_cell(folder, dataclasses.replace(cell, learning_rate=1e-2))
    decided = {("mft_full", "few_both", "5%"): 1e-2, ("two_stage", "few_both", "5%"): None}
    summary = write_summary(folder, [1], decided).parent
    with (summary / "table.csv").open(encoding="utf-8") as stream:
        rates = {row["method"]: row["learning_rate"] for row in csv.DictReader(stream) if row["amount"] == "5%"}
    assert rates["mft_full"] == "0.01" and "two_stage" not in rates
    latex = (summary / "table.tex").read_text(encoding="utf-8")
    assert "two_stage / few_both / 5%: no result of a learning rate" in latex


def test_no_method_is_left(tmp_path, make_cell):
    for cell in (make_cell(seed=1), make_cell(seed=2, learning_rate=1e-3)):
        write_cell(tmp_path, cell)
    with pytest.raises(DataError, match="learning rate 0.0001 cannot be compared"):
        write_summary(tmp_path, [1, 2])


def test_pictures_of_an_earlier_summary_go(folder):
    summary = write_summary(folder, [1]).parent
    (summary / "own_notes.png").write_bytes(b"mine")
    for file in (folder / "cells").glob("*,5%25,*"):
        file.unlink()
    write_summary(folder, [1])
    names = {path.name for path in summary.glob("*.png")}
    assert names == {"differences_few_both_8_per_class.png", "seed_spread_few_both_8_per_class.png", "own_notes.png"}


def test_amounts_of_like_names_keep_their_pictures(folder, make_cells):
    for cell in make_cells(OUTCOMES, setting="few_both", amount="5 %"):
        write_cell(folder, cell)
    names = {path.name for path in write_summary(folder, [1]).parent.glob("seed_spread_few_both_5*.png")}
    assert names == {"seed_spread_few_both_5_percent.png", "seed_spread_few_both_5_percent_3.png"}


def test_an_error_leaves_the_earlier_summary(folder):
    write_summary(folder, [1])
    before = texts_of(folder)
    (folder / "failures" / "bad.json").write_text("{}")
    with pytest.raises(DataError, match=r"bad\.json: method: Field required"):
        write_summary(folder, [1])
    with pytest.raises(DataError, match="no results of an experiment"):
        write_summary(folder / "elsewhere", [1])
    assert texts_of(folder) == before and not (folder / "elsewhere").exists()


def test_long_names_are_cut_where_they_are_looked_at(tmp_path, make_cells):
    long = ["x" * 300 + number for number in "12"]
    method = "m" * 60
    outcomes = {name: {1: dict.fromkeys(long, "0111"), 2: dict.fromkeys(long, "0011")} for name in ("mix", method)}
    for cell in make_cells(outcomes):
        write_cell(tmp_path, cell)
    write_failure(tmp_path, CellFailure(method, "full", "100%", long[0], 3, 1e-4, "out of memory"))
    write_summary(tmp_path, [1])
    summary = tmp_path / "summary"
    for name in ("table.csv", "cells.csv"):
        assert all(whole in (summary / name).read_text() for whole in (*long, method))
    cut = [f"{'x' * 26}…{'x' * 12}{number}" for number in "12"]
    for name in ("table.md", "table.tex", "index.html"):
        text = (summary / name).read_text()
        assert all(one in text for one in (*cut, "m" * 39 + "…")) and "x" * 27 not in text and "m" * 40 not in text
