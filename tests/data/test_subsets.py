import math
from types import SimpleNamespace

import numpy as np
import pytest

from easymft.config.data_section import SubsetConfig
from easymft.data.label_map import LabelMap
from easymft.data.subsets import select_rows
from easymft.errors import DataError

LABELS, DOMAINS = LabelMap(("neg", "pos")), LabelMap(("book", "dvd", "phone"))


def make_tokens(rows=300, seed=0):
    draw = np.random.default_rng(seed)
    return SimpleNamespace(num_examples=rows, label_ids=draw.integers(0, 2, rows), domain_ids=draw.integers(0, 3, rows))


def cells(tokens, rows):
    return {
        (domain, label): int(((tokens.domain_ids[rows] == domain) & (tokens.label_ids[rows] == label)).sum())
        for domain in range(3)
        for label in range(2)
    }


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 1.0])
def test_a_share_of_every_cell(share):
    tokens = make_tokens()
    rows = select_rows(tokens, LABELS, DOMAINS, SubsetConfig(share=share))
    whole = cells(tokens, np.arange(300))
    assert cells(tokens, rows) == {cell: math.ceil(share * count - 1e-9) for cell, count in whole.items()}
    assert list(rows) == sorted(set(rows))


def test_a_number_of_every_cell_and_none_of_an_empty_one():
    tokens = make_tokens()
    tokens.label_ids[tokens.domain_ids == 2] = 0
    rows = select_rows(tokens, LABELS, DOMAINS, SubsetConfig(examples_per_class=7))
    assert set(cells(tokens, rows).values()) == {0, 7} and cells(tokens, rows)[2, 1] == 0


def test_larger_subsets_hold_the_smaller():
    tokens = make_tokens()
    chosen = [set(select_rows(tokens, LABELS, DOMAINS, SubsetConfig(share=share))) for share in (0.05, 0.1, 0.2)]
    chosen.append(set(select_rows(tokens, LABELS, DOMAINS, SubsetConfig(examples_per_class=25))))
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]


def test_the_seed_decides_and_other_domains_do_not():
    tokens = make_tokens()
    one, same, other = (
        select_rows(tokens, LABELS, DOMAINS, SubsetConfig(share=0.2, seed=seed)) for seed in (1, 1, 2)
    )
    assert list(one) == list(same) != list(other)
    kept = np.flatnonzero(tokens.domain_ids < 2)
    part = SimpleNamespace(
        num_examples=len(kept), label_ids=tokens.label_ids[kept], domain_ids=1 - tokens.domain_ids[kept]
    )
    there = select_rows(part, LABELS, LabelMap(("dvd", "book")), SubsetConfig(share=0.2, seed=1))
    assert list(kept[there]) == [row for row in one if tokens.domain_ids[row] < 2]


def test_without_a_setting_all_rows():
    assert list(select_rows(make_tokens(5), LABELS, DOMAINS, SubsetConfig())) == [0, 1, 2, 3, 4]


def test_too_few_rows_of_a_cell():
    tokens = make_tokens(30)
    tokens.domain_ids[:], tokens.label_ids[:] = 1, 0
    with pytest.raises(DataError, match="expected at most 30, the rows of class 'neg' in domain 'dvd', got 31"):
        select_rows(tokens, LABELS, DOMAINS, SubsetConfig(examples_per_class=31))


def test_dev_rows_have_a_number_of_their_own():
    tokens, subset = make_tokens(), SubsetConfig(share=0.5, dev_examples_per_class=4)
    assert set(cells(tokens, select_rows(tokens, LABELS, DOMAINS, subset, dev=True)).values()) == {4}
    assert len(select_rows(tokens, LABELS, DOMAINS, SubsetConfig(share=0.5), dev=True)) == 300
    with pytest.raises(DataError, match="data.subset.dev_examples_per_class: expected at most"):
        select_rows(tokens, LABELS, DOMAINS, SubsetConfig(dev_examples_per_class=200), dev=True)
