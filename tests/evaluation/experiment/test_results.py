import dataclasses
import json

import pytest

from easymft.checksums import read_object
from easymft.errors import DataError
from easymft.evaluation.experiment.failures import CellFailure, read_failures, write_failure
from easymft.evaluation.experiment.results import choose_learning_rates, find_incomplete_rates, read_cells, write_cell

CELL = {
    "method": "mft_full",
    "setting": "full",
    "amount": "100%",
    "domain": "books",
    "seed": 42,
    "learning_rate": 1e-4,
    "dev": {"accuracy": 0.9, "macro_f1": 0.9, "loss": 0.3, "examples": 200},
    "test": {"accuracy": 0.75, "macro_f1": 1, "loss": 0.3, "examples": 4, "correct": "0111"},
    "seconds": 12.3,
}
FAILURE = CellFailure("mix", "few_both", "8 per class", "dvd", 3, 1e-5, "out of memory")


def put(folder, content, name="a.json"):
    (folder / "cells").mkdir(exist_ok=True)
    (folder / "cells" / name).write_text(content if isinstance(content, str) else json.dumps(content))


def changed(path, value):
    """`CELL` with another value at a path such as "test.loss"; without it where the value is None."""
    cell = json.loads(json.dumps(CELL))
    *sections, name = path.split(".")
    section = cell
    for part in sections:
        section = section[part]
    section[name] = value
    if value is None:
        del section[name]
    return cell


def test_cells_come_back(tmp_path, make_cell):
    cells = [make_cell(amount="8 per class"), make_cell(method="a/b, c")]
    files = [write_cell(tmp_path, cell) for cell in cells]
    assert {file.parent for file in files} == {tmp_path / "cells"}
    assert files[0].name == "mft_full,full,8+per+class,books,1,0.0001.json"
    assert sorted(map(repr, read_cells(tmp_path))) == sorted(map(repr, cells))
    write_cell(tmp_path, dataclasses.replace(cells[0], seconds=9.0))
    assert 9.0 in [cell.seconds for cell in read_cells(tmp_path)] and len(read_cells(tmp_path)) == 2


def test_reads_the_file_of_the_harness(tmp_path):
    put(tmp_path, CELL)
    (cell,) = read_cells(tmp_path)
    assert (cell.method, cell.seed, cell.learning_rate, cell.seconds) == ("mft_full", 42, 1e-4, 12.3)
    assert (cell.dev.examples, cell.test.correct, cell.test.macro_f1) == (200, "0111", 1.0)
    assert read_object(write_cell(tmp_path, cell)) == CELL


def test_names_do_not_collide(tmp_path, make_cell):
    names = ["a,b", "a%2Cb", "a b", "a+b", "a/b", "é", ".part.x", "%2Epart.x"]
    assert len({write_cell(tmp_path, make_cell(method=name)) for name in names}) == len(names)
    assert {cell.method for cell in read_cells(tmp_path)} == set(names)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("dev", None, "dev: Field required"),
        ("test.correct", None, "test.correct: Field required"),
        ("note", 1, "note: Unexpected keyword argument. Received: 1"),
        ("dev.correct", "11", "dev.correct: Unexpected keyword argument. Received: '11'"),
        ("seed", True, "seed: Input should be a valid integer. Received: True"),
        ("seed", -1, "Received: -1"),
        ("learning_rate", "1e-4", "learning_rate: Input should be a valid number. Received: '1e-4'"),
        ("learning_rate", 0, "Received: 0"),
        ("method", "", "method: String should have at least 1 character. Received: ''"),
        ("setting", "few", "setting: Input should be 'full', 'all_then_few', 'few_both' or 'unseen_target'"),
        ("dev.accuracy", 1.5, "dev.accuracy: Input should be less than or equal to 1. Received: 1.5"),
        ("dev.loss", float("nan"), "dev.loss: Input should be a finite number. Received: nan"),
        ("test.correct", "01x1", "test.correct: String should match pattern '^[01]+$'. Received: '01x1'"),
        ("test.correct", "01110", "test: Value error, expected 4 marks in correct, one for each example: 5"),
        ("test.accuracy", 0.5, "accuracy 0.5 is not the share of right items in correct, 0.75"),
    ],
)
def test_strict(tmp_path, path, value, said):
    put(tmp_path, changed(path, value), "bad.json")
    with pytest.raises(DataError) as caught:
        read_cells(tmp_path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'cells' / 'bad.json'}: ")


def test_all_that_is_wrong_with_a_file(tmp_path):
    put(tmp_path, {**changed("seed", "1"), "more": 2})
    with pytest.raises(DataError) as caught:
        read_cells(tmp_path)
    assert len(str(caught.value).splitlines()) == 2


def test_not_json(tmp_path):
    put(tmp_path, '{"method": ')
    with pytest.raises(DataError, match=r"a\.json: is not JSON in UTF-8 .*; remove it and run the same command again"):
        read_cells(tmp_path)


def test_not_a_file(tmp_path):
    (tmp_path / "cells" / "a.json").mkdir(parents=True)
    with pytest.raises(DataError, match=r"a\.json: cannot be read .Is a directory"):
        read_cells(tmp_path)


def test_the_same_cell_twice(tmp_path):
    put(tmp_path, CELL)
    put(tmp_path, changed("seconds", 1.0), "b.json")
    with pytest.raises(DataError, match=r"b\.json: the same cell as in .*a\.json: mft_full, full, 100%, books, 42"):
        read_cells(tmp_path)
    put(tmp_path, changed("learning_rate", 1e-3), "b.json")
    assert len(read_cells(tmp_path)) == 2


def test_no_cells_and_half_written_ones(tmp_path):
    with pytest.raises(DataError, match="cells: no results of an experiment"):
        read_cells(tmp_path)
    put(tmp_path, "{", ".part.a.json")
    put(tmp_path, CELL)
    assert len(read_cells(tmp_path)) == 1


def test_failures(tmp_path):
    assert read_failures(tmp_path) == []
    file = write_failure(tmp_path, FAILURE)
    assert read_failures(tmp_path) == [FAILURE]
    assert file.parent == tmp_path / "failures"
    content = read_object(file)
    assert content["error"] == "out of memory" and not content["diverged"] and len(content) == 8
    del content["error"]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="error: Field required"):
        read_failures(tmp_path)


def test_chosen_by_dev_when_test_disagrees(make_cell):
    good_on_dev = make_cell(learning_rate=1e-4, dev=0.8, correct="0000")
    good_on_test = make_cell(learning_rate=1e-3, dev=0.7, correct="1111")
    assert choose_learning_rates([good_on_test, good_on_dev], [1]) == {("mft_full", "full", "100%"): 1e-4}


def test_chosen_by_the_mean_over_domains_and_selection_seeds(make_cell):
    devs = {1e-3: [0.9, 0.5, 0.5, 0.5], 1e-4: [0.6, 0.6, 0.7, 0.6]}  # the best cell is of the worse rate
    places = [(domain, seed) for domain in ("books", "dvd") for seed in (1, 2)]
    cells = [
        make_cell(domain=domain, seed=seed, learning_rate=rate, dev=dev)
        for rate, found in devs.items()
        for (domain, seed), dev in zip(places, found, strict=True)
    ]
    cells.append(make_cell(seed=3, learning_rate=1e-3, dev=1.0))
    assert choose_learning_rates(cells, [1, 2]).popitem()[1] == 1e-4
    assert choose_learning_rates(cells, [1]).popitem()[1] == 1e-3  # 0.9, 0.5 against 0.6, 0.7


def test_equal_rates_give_the_smaller(make_cell):
    rates = (3e-4, 1e-4)
    devs = ((0.4, 0.4), (0.7, 0.1))  # 0.7 + 0.1 is 0.7999999999999999
    cells = [
        make_cell(seed=seed, learning_rate=rate, dev=dev)
        for rate, found in zip(rates, devs, strict=True)
        for seed, dev in enumerate(found)
    ]
    assert choose_learning_rates(cells, [0, 1]).popitem()[1] == 1e-4


def test_each_group_has_its_rate(make_cell):
    cells = [
        make_cell(method=method, amount=amount, learning_rate=rate, dev=0.5 + (rate == best) / 4)
        for method, amount, best in (("mix", "5%", 1e-3), ("mix", "10%", 1e-4), ("dc", "5%", 1e-4))
        for rate in (1e-3, 1e-4)
    ]
    chosen = choose_learning_rates(cells, [1])
    assert chosen == {("mix", "full", "5%"): 1e-3, ("mix", "full", "10%"): 1e-4, ("dc", "full", "5%"): 1e-4}


def test_incomplete_candidates_are_refused(make_cell):
    cells = [make_cell(domain=domain, seed=1, learning_rate=1e-3) for domain in ("books", "dvd")]
    cells += [make_cell(domain="books", seed=seed, learning_rate=1e-4, dev=0.9) for seed in (1, 2)]
    with pytest.raises(DataError) as caught:
        choose_learning_rates(cells, [1, 2])
    place = "mft_full / full / 100%: learning rate"
    why = "cannot be compared with the others, it has no result for"
    assert str(caught.value).splitlines() == [
        f"{place} 0.0001 {why} dvd with seed 1, dvd with seed 2",
        f"{place} 0.001 {why} books with seed 2, dvd with seed 2",
    ]
    complete = [make_cell("mix", learning_rate=rate, seed=seed) for rate in (1e-3, 1e-4) for seed in (1, 2)]
    incomplete = find_incomplete_rates([*complete, *cells], [1, 2])
    assert incomplete == {("mft_full", "full", "100%"): str(caught.value).splitlines()}
    with pytest.raises(DataError, match=r"seed 6 and 2 more$"):
        choose_learning_rates([*cells[:1], make_cell(seed=1)], range(1, 9))


def test_one_rate_needs_no_choice(make_cell):
    assert choose_learning_rates([make_cell(seed=7)], [1, 2]).popitem()[1] == 1e-4
    with pytest.raises(ValueError, match="at least one seed"):
        choose_learning_rates([make_cell()], [])
