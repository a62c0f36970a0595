"""BatchPlan: no example lost or doubled, a function of seed and epoch alone; make_dataset feeds what it says."""

import time
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from easymft.data.batching import BatchPlan, OneDomainBatchPlan, make_dataset
from easymft.data.token_dataset import TokenDataset
from easymft.errors import DataError


def make_plan(rows, size, *, seed=1, shuffle=True, group=True, epochs=None):
    lengths = np.random.default_rng(rows).integers(3, 129, rows)
    return BatchPlan(
        lengths, size, seed=seed, shuffle=shuffle, group_by_length=group, continuous_epochs=epochs
    ), lengths


def make_tokens(lengths, max_sequence_length=32):
    rows = len(lengths)
    arrays = {
        "ids": np.arange(1, lengths.sum() + 1, dtype=np.int32),
        "row_splits": np.concatenate([[0], np.cumsum(lengths)]),
        "second_starts": (lengths // 2).astype(np.int32),
        "label_ids": np.arange(rows, dtype=np.int32) % 3,
        "domain_ids": np.arange(rows, dtype=np.int32) % 2,
        "weights": np.linspace(0, 1, rows, dtype=np.float32),
    }
    return TokenDataset(arrays, max_sequence_length=max_sequence_length, pad_id=0)


@pytest.mark.parametrize("rows", [1, 5, 31, 32, 33, 320, 1601, 5000])
@pytest.mark.parametrize("size", [1, 7, 32])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("group", [True, False])
def test_an_epoch_holds_each_example_once(rows, size, shuffle, group):
    plan, _ = make_plan(rows, size, shuffle=shuffle, group=group)
    for epoch in (0, 3):
        batches = plan.batches(epoch)
        assert len(batches) == plan.steps_per_epoch == plan.steps_in_epoch(epoch) == -(-rows // size)
        assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
        assert 1 <= len(batches[-1]) <= size
        assert sorted(np.concatenate(batches)) == list(range(rows))
        assert all(batch.dtype == np.int64 for batch in batches)
    assert plan.total_steps(3) == 3 * plan.steps_per_epoch


@pytest.mark.parametrize("epochs", [None, 3])
@pytest.mark.parametrize("group", [True, False])
def test_a_function_of_seed_and_epoch(epochs, group):
    plan, _ = make_plan(700, 32, epochs=epochs, group=group)
    later = plan.batches(2)
    first = plan.batches(0)
    same, _ = make_plan(700, 32, epochs=epochs, group=group)
    for one, two in ((first, same.batches(0)), (later, same.batches(2))):
        np.testing.assert_array_equal(np.concatenate(one), np.concatenate(two))
    other, _ = make_plan(700, 32, seed=2, epochs=epochs, group=group)
    assert (first[0] != other.batches(0)[0]).any()
    assert (first[0] != later[0]).any()


@pytest.mark.parametrize("epochs", [None, 2])
def test_without_shuffling_and_grouping_it_is_the_files_order(epochs):
    plan, _ = make_plan(100, 32, shuffle=False, group=False, epochs=epochs)
    flat = np.concatenate(plan.batches(0))[:100]
    np.testing.assert_array_equal(flat, np.arange(100))


def padded_tokens(batches, lengths):
    return sum(lengths[batch].max() * len(batch) for batch in batches)


@pytest.mark.parametrize("epochs", [None, 2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_grouping_saves_padding(epochs, shuffle):
    grouped, lengths = make_plan(6400, 32, shuffle=shuffle, epochs=epochs)
    plain, _ = make_plan(6400, 32, shuffle=shuffle, group=False, epochs=epochs)
    real = lengths.sum()
    assert padded_tokens(grouped.batches(0), lengths) < 1.05 * real
    assert padded_tokens(plain.batches(0), lengths) > 1.6 * real


def test_grouped_batches_come_in_random_order():
    plan, lengths = make_plan(1600, 32)
    longest = [lengths[batch].max() for batch in plan.batches(0)]
    assert longest != sorted(longest)
    assert abs(np.corrcoef(np.arange(50), longest)[0, 1]) < 0.5
    ordered, lengths = make_plan(1600, 32, shuffle=False)
    longest = [lengths[batch].max() for batch in ordered.batches(0)]
    assert longest == sorted(longest)


def test_the_small_batch_is_the_last_and_of_any_length():
    means = []
    for seed in range(40):
        plan, lengths = make_plan(70, 32, seed=seed)
        batches = plan.batches(0)
        assert [len(batch) for batch in batches] == [32, 32, 6]
        means.append(lengths[batches[-1]].mean())
    assert abs(np.mean(means) - lengths.mean()) < 4 * lengths.std() / np.sqrt(6 * 40)


@pytest.mark.parametrize(
    ("rows", "size", "epochs"), [(100, 32, 3), (64, 32, 2), (33, 32, 5), (32, 32, 1), (1000, 7, 4)]
)
@pytest.mark.parametrize("group", [True, False])
def test_continuous_stream(rows, size, epochs, group):
    plan, _ = make_plan(rows, size, epochs=epochs, group=group)
    batches = [batch for epoch in range(epochs) for batch in plan.batches(epoch)]
    total = int(rows * epochs / size) + 1
    assert len(batches) == plan.total_steps(epochs) == total
    assert {len(batch) for batch in batches} == {size}
    counts = Counter(np.concatenate(batches).tolist())
    extra = total * size - rows * epochs
    assert all(epochs <= counts[example] <= epochs + 1 for example in range(rows))
    assert sum(count - epochs for count in counts.values()) == extra
    starts = [plan.total_steps(epoch) for epoch in range(epochs)]
    assert [sum(plan.steps_in_epoch(e) for e in range(epoch)) for epoch in range(epochs)] == starts
    assert plan.steps_per_epoch == max(plan.steps_in_epoch(epoch) for epoch in range(epochs))


def test_continuous_epochs_run_into_one_another():
    plan, _ = make_plan(10, 4, shuffle=False, group=False, epochs=2)
    assert [batch.tolist() for batch in plan.batches(0)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]
    assert [batch.tolist() for batch in plan.batches(1)] == [[2, 3, 4, 5], [6, 7, 8, 9], [0, 1, 2, 3]]
    with pytest.raises(ValueError, match="epoch must be from 0 to 2. Received: 3"):
        plan.batches(2)


def test_continuous_stream_takes_each_epoch_in_its_own_order():
    stream, _ = make_plan(100, 32, group=False, epochs=3)
    single, _ = make_plan(100, 32, group=False)
    flat = np.concatenate([batch for epoch in range(3) for batch in stream.batches(epoch)])
    expected = np.concatenate([batch for epoch in range(4) for batch in single.batches(epoch)])
    np.testing.assert_array_equal(flat, expected[: len(flat)])


def test_too_few_rows():
    with pytest.raises(DataError, match="no rows"):
        make_plan(0, 32)
    with pytest.raises(DataError, match=r"fewer rows \(5\) than one batch \(32\): "):
        make_plan(5, 32, epochs=1)
    assert [len(batch) for batch in make_plan(5, 32)[0].batches(0)] == [5]
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        make_plan(5, 0)
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        make_plan(5, 1, epochs=0)


def test_a_plan_of_a_million_rows_is_cheap():
    plan, _ = make_plan(1_000_000, 32)
    start = time.perf_counter()
    assert len(plan.batches(0)) == 31250
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("padded_length", [None, 32])
def test_dataset_holds_the_batches(padded_length):
    lengths = np.random.default_rng(0).integers(3, 33, 100)
    tokens = make_tokens(lengths)
    batches = BatchPlan(lengths, 8, seed=1, shuffle=True, group_by_length=True).batches(0)
    dataset = make_dataset(tokens, batches, padded_length=padded_length)
    assert dataset.cardinality().numpy() == 13
    assert dataset.map(lambda features: features).options().autotune.enabled is False  # see with_options
    seen = 0
    for batch, features in zip(batches, dataset.as_numpy_iterator(), strict=True):
        expected = padded_length or min(32, -(-lengths[batch].max() // 8) * 8)
        assert features["input_word_ids"].shape == (len(batch), expected)
        np.testing.assert_array_equal(features["index"], batch)
        for name, values in tokens.features(batch, expected).items():
            np.testing.assert_array_equal(features[name], values)
            assert features[name].dtype == values.dtype
        seen += 1
    assert seen == 13


def test_longest_row_is_never_padded_beyond_the_maximum():
    tokens = make_tokens(np.array([4, 29]), max_sequence_length=30)
    (features,) = make_dataset(tokens, [np.array([0, 1])], padded_length=None)
    assert features["input_word_ids"].shape == [2, 30]


def test_dataset_may_start_anywhere():
    lengths = np.full(50, 5)
    tokens = make_tokens(lengths)
    batches = BatchPlan(lengths, 8, seed=1, shuffle=True, group_by_length=False).batches(0)
    whole = [features["index"] for features in make_dataset(tokens, batches, padded_length=None).as_numpy_iterator()]
    rest = make_dataset(tokens, batches[4:], padded_length=None)
    for one, two in zip(whole[4:], rest.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(one, two["index"])
    assert not list(make_dataset(tokens, [], padded_length=None))


def test_dataset_of_a_subset_counts_in_the_subset():
    tokens = make_tokens(np.arange(3, 13)).subset(np.array([9, 2]))
    (features,) = make_dataset(tokens, [np.array([1, 0])], padded_length=None)
    assert features["index"].numpy().tolist() == [1, 0]
    assert tf.reduce_sum(features["input_mask"], 1).numpy().tolist() == [5, 12]


def test_dataset_can_be_distributed():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    lengths = np.full(6, 5)
    dataset = make_dataset(make_tokens(lengths), [np.arange(4), np.arange(4, 6)], padded_length=None)
    sums = [
        strategy.run(lambda features: tf.reduce_sum(features["index"]), (batch,))
        for batch in strategy.experimental_distribute_dataset(dataset)
    ]
    assert [int(total) for total in sums] == [6, 9]


def test_gather_is_fast_enough_to_feed_a_step():
    lengths = np.random.default_rng(0).integers(3, 129, 20000)
    tokens = make_tokens(lengths, max_sequence_length=128)
    batches = np.random.default_rng(1).permutation(20000)[:3200].reshape(-1, 32)
    times = []
    for batch in batches:
        start = time.perf_counter()
        tokens.features(batch, 128)
        times.append(time.perf_counter() - start)
    assert np.median(times) < 2e-3  # 0.05 ms on an idle core; the bound only refuses a loop over rows


def make_one_domain_plan(seed=1, group=True):
    lengths, domains = np.random.default_rng(0).integers(3, 129, 100), np.arange(100) % 10 // 7
    return OneDomainBatchPlan(lengths, domains, 8, seed=seed, group_by_length=group), domains


@pytest.mark.parametrize("group", [True, False])
def test_batches_of_one_domain_hold_each_example_once(group):
    plan, domains = make_one_domain_plan(group=group)
    for epoch in (0, 2):
        batches = plan.batches(epoch)
        assert sorted(np.concatenate(batches)) == list(range(100))
        assert all(len(set(domains[batch])) == 1 for batch in batches)
        assert Counter(int(domains[batch[0]]) for batch in batches) == {0: 9, 1: 4}  # 70 and 30 rows
        assert len(batches) == plan.steps_per_epoch == plan.steps_in_epoch(epoch)
    assert plan.total_steps(3) == 39


def test_batches_of_one_domain_come_mixed_and_by_the_seed():
    (plan, domains), (same, _), (other, _) = (make_one_domain_plan(seed) for seed in (1, 1, 2))
    order = [int(domains[batch[0]]) for batch in plan.batches(0)]
    assert order != sorted(order) and order != [int(domains[batch[0]]) for batch in plan.batches(1)]
    assert all((a == b).all() for a, b in zip(plan.batches(1), same.batches(1), strict=True))
    assert any(list(a) != list(b) for a, b in zip(plan.batches(1), other.batches(1), strict=True))


def test_batches_of_one_domain_need_rows():
    with pytest.raises(DataError, match="no rows"):
        OneDomainBatchPlan(np.arange(0), np.arange(0), 8, seed=1, group_by_length=True)
