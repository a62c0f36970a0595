import dataclasses

import pytest

from easymft.evaluation.experiment.tables import Comparison, MethodRow, ResultTable, Score
from easymft.evaluation.experiment.words import (
    headline,
    shown_p,
    shown_points,
    shown_rate,
    table_notes,
    table_title,
    verdict,
    verdicts,
)


def compare(difference, p_value, low, high, seeds=5, without_partner=()):
    by_seed = dict.fromkeys(range(1, seeds + 1), difference)
    return Comparison(difference, p_value, low, high, 0.5, by_seed, without_partner)


def row_of(method, mean=0.9, **comparisons):
    score = Score(mean, 0.01, (1, 2))
    return MethodRow(method, 1e-4, (1e-4,), {"books": score}, {1: mean, 2: mean}, score, comparisons)


def table_of(*rows, setting="full", amount="100%"):
    return ResultTable(setting, amount, ("books",), rows)


def test_numbers():
    shown = [shown_points(value) for value in (0.91049, -0.0126, 0.0, -0.00049, 0.0004, -0.00001, 1.0)]
    assert shown == ["91.0", "−1.3", "0.0", "−0.05", "0.04", "0.0", "100.0"]
    assert [shown_points(value, signed=True) for value in (0.003, -0.003, 0.0)] == ["+0.3", "−0.3", "0.0"]
    assert [shown_p(value) for value in (0.41, 0.0496, 0.0004, 1.0)] == [
        "p = 0.41",
        "p = 0.050",
        "p < 0.001",
        "p = 1.00",
    ]
    assert [shown_rate(rate) for rate in (1e-4, 2.5e-5, 0.1)] == ["1e-4", "2.5e-5", "1e-1"]


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (
            compare(0.003, 0.41, -0.004, 0.01),
            "0.3 points above two_stage (p = 0.41, 5 seeds; 95% interval over test items −0.4 to 1.0): "
            "no difference beyond noise.",
        ),
        (
            compare(-0.02, 0.01, -0.03, -0.01),
            "2.0 points below two_stage (p = 0.010, 5 seeds; 95% interval over test items −3.0 to −1.0): "
            "a difference beyond the noise of seeds and of test items.",
        ),
        (
            compare(0.01, 0.02, -0.001, 0.02),
            "1.0 points above two_stage (p = 0.020, 5 seeds; 95% interval over test items −0.1 to 2.0): "
            "beyond the noise of seeds, but other test items could turn it.",
        ),
        (
            compare(0.01, 0.2, 0.001, 0.02),
            "1.0 points above two_stage (p = 0.20, 5 seeds; 95% interval over test items 0.1 to 2.0): "
            "beyond the noise of test items, but other seeds could turn it.",
        ),
        (
            compare(0.01, None, 0.001, 0.02, seeds=1),
            "1.0 points above two_stage (no t-test, 1 seed; 95% interval over test items 0.1 to 2.0): "
            "beyond the noise of test items; with one seed, the noise of seeds is unknown.",
        ),
        (
            compare(0.0, None, -0.001, 0.001, seeds=2),
            "level with two_stage (no t-test, 2 seeds; 95% interval over test items −0.1 to 0.1): no difference beyond "
            "the noise of test items; as every seed gives the same difference, the noise of seeds is unknown.",
        ),
    ],
)
def test_verdict(comparison, expected):
    assert verdict(row_of("mft_full", two_stage=comparison), "two_stage") == f"mft_full is {expected}"


def test_verdict_needs_a_comparison():
    with pytest.raises(ValueError, match="mft was not compared with mix. Received: \\['two_stage'\\]"):
        verdict(row_of("mft", two_stage=compare(0.1, 0.5, 0.0, 0.2)), "mix")


def test_verdicts_and_headline():
    up, down, flat = compare(0.02, 0.01, 0.01, 0.03), compare(-0.02, 0.01, -0.03, -0.01), compare(0.0, 0.9, -0.1, 0.1)
    table = table_of(
        row_of("mix", 0.80, two_stage=down),
        row_of("two_stage", 0.88, mix=up),
        row_of("dc", 0.87, two_stage=flat, mix=up),
        row_of("mft", 0.90, two_stage=up, mix=up),
        row_of("lost", 0.70, two_stage=None, mix=None),
    )
    starts = [" ".join(text.split()[:6]) for text in verdicts(table)]
    assert starts == [
        "mft is 2.0 points above two_stage",
        "dc is level with two_stage (p",
        "two_stage is 2.0 points above mix",
    ]
    assert headline(table) == (
        "The highest average is mft's, 90.0%. Of 3 methods compared with two_stage, 1 is above and 1 is below it by "
        "more than the noise of seeds and of test items; 1 cannot be told from it."
    )


def test_without_baselines():
    table = table_of(row_of("mft"))
    assert verdicts(table) == []
    assert (
        headline(table)
        == "The highest average is mft's, 90.0%. There is no two_stage or mix in this table to compare with."
    )
    lost = MethodRow("mft", 1e-4, (1e-4,), {"books": None}, {}, None, {})
    assert headline(table_of(lost)) == "No method has every domain with any seed."


def test_title():
    assert table_title(table_of(row_of("mft"), setting="few_both", amount="5%")) == "Few data in both stages, 5%"


def test_notes_when_nothing_is_missing(make_table):
    table = make_table({method: {1: {"a": "01"}, 2: {"a": "11"}} for method in ("mix", "mft")})
    assert table_notes(table) == ["Every method has every domain with seeds 1, 2; methods are paired by seed."]


@pytest.mark.parametrize(
    ("setting", "said"), [("all_then_few", "of all rows"), ("unseen_target", "no label of the target")]
)
def test_notes_say_what_an_amount_is_not_of(make_table, setting, said):
    table = make_table({method: {1: {"a": "01"}} for method in ("mix", "mft")})
    amount, *others = table_notes(dataclasses.replace(table, setting=setting))
    assert said in amount and others == table_notes(table)


def test_notes_on_what_is_missing(make_table):
    whole = {"a": "0101", "b": "1101"}
    table = make_table(
        {
            "mix": {1: whole, 2: whole, 3: whole},
            "mft": {1: whole, 2: {"a": "0101"}},
            "x": {2: {"b": "0111"}},
            "y": {1: whole, 2: {"a": "0111"}},
        }
    )
    assert table_notes(table) == [
        "mft, y: no result for seed 3.",
        "mft, y: with seed 2 no result for b: that seed counts in the columns of the other domains, but neither in the "
        "average nor in comparisons.",
        "x: no result for seeds 1, 3.",
        "x: with seed 2 no result for a: that seed counts in the columns of the other domains, but neither in the "
        "average nor in comparisons.",
        "mft, y: compared with mix over seed 1; left out for want of a partner: seeds 2, 3.",
        "x: not compared with mix, as no seed has every domain under both.",
    ]
