import math
import random

import numpy as np
import pytest
from scipy.stats import bootstrap

from easymft.evaluation.significance import BootstrapResult, paired_bootstrap, paired_t_test


def plain_p_value(first, second, steps=200_000):
    """The two-sided p-value, with Student's density integrated by Simpson's rule."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    count = len(differences)
    mean = sum(differences) / count
    variance = sum((one - mean) ** 2 for one in differences) / (count - 1)
    t, nu = abs(mean) / math.sqrt(variance / count), count - 1
    scale = math.gamma((nu + 1) / 2) / (math.sqrt(nu * math.pi) * math.gamma(nu / 2))
    width = t / steps
    total = 0.0
    for step in range(steps + 1):
        weight = 1 if step in (0, steps) else 4 if step % 2 else 2
        total += weight * scale * (1 + (step * width) ** 2 / nu) ** (-(nu + 1) / 2)
    return 1 - 2 * total * width / 3


def plain_bootstrap(first, second, resamples, seed):
    """Draws items one by one, as the definition says; first and second are [domain][seed][item]."""
    generator = random.Random(seed)
    drawn = []
    for _ in range(resamples):
        by_domain = []
        for ours, theirs in zip(first, second, strict=True):
            items = len(ours[0])
            chosen = [generator.randrange(items) for _ in range(items)]
            by_seed = [sum(a[item] - b[item] for item in chosen) / items for a, b in zip(ours, theirs, strict=True)]
            by_domain.append(sum(by_seed) / len(by_seed))
        drawn.append(sum(by_domain) / len(by_domain))
    drawn.sort()
    share = sum(one <= 1e-12 for one in drawn) / resamples
    return drawn[int(0.025 * resamples)], drawn[int(0.975 * resamples)], share


def random_outcomes(seed, shapes=((3, 40), (3, 90)), rates=(0.85, 0.75)):
    generator = np.random.default_rng(seed)
    return [[generator.random(shape) < rate for shape in shapes] for rate in rates]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_t_test_against_the_definition(count):
    generator = random.Random(count)
    first = [generator.gauss(0.80, 0.02) for _ in range(count)]
    second = [generator.gauss(0.78, 0.02) for _ in range(count)]
    assert paired_t_test(first, second) == pytest.approx(plain_p_value(first, second), abs=1e-7)
    assert paired_t_test(second, first) == pytest.approx(paired_t_test(first, second))


def test_t_test_pairs():
    """Two seeds: t = 3 with 1 degree of freedom, p = 1 - 2/pi * atan(3); the spread between seeds does not count."""
    assert paired_t_test([0.51, 0.92], [0.50, 0.90]) == pytest.approx(1 - 2 / math.pi * math.atan(3))


@pytest.mark.parametrize(
    ("first", "second"),
    [([0.9], [0.8]), ([], []), ([0.9, 0.8], [0.9, 0.8]), ([0.3, 0.4, 0.8], [0.2, 0.3, 0.7])],
)
def test_t_test_is_none_where_undefined(first, second):
    assert paired_t_test(first, second) is None


def test_t_test_refuses_other_lengths():
    with pytest.raises(ValueError, match="Received: 2 and 1"):
        paired_t_test([0.1, 0.2], [0.1])


def test_bootstrap_of_two_items():
    """Item differences 1 and 0: resamples have the mean 0, 1/2, 1 with probability 1/4, 1/2, 1/4."""
    result = paired_bootstrap([np.array([[1, 1]])], [np.array([[0, 1]])], resamples=40_000)
    assert (result.difference, result.low, result.high) == (0.5, 0.0, 1.0)
    assert result.share_not_above == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("seed", [0, 1])
def test_bootstrap_against_the_definition(seed):
    first, second = random_outcomes(seed)
    plain = [[outcomes.astype(int).tolist() for outcomes in one] for one in (first, second)]
    low, high, share = plain_bootstrap(*plain, resamples=4000, seed=seed)
    result = paired_bootstrap(first, second, resamples=20_000)
    assert (result.low, result.high) == pytest.approx((low, high), abs=0.006)
    assert result.share_not_above == pytest.approx(share, abs=0.02)


def test_bootstrap_against_scipy():
    first, second = random_outcomes(2, shapes=((5, 60), (5, 25), (5, 110)), rates=(0.8, 0.78))
    by_item = [a.mean(axis=0) - b.mean(axis=0) for a, b in zip(first, second, strict=True)]

    def statistic(*samples, axis):
        return sum(sample.mean(axis=axis) for sample in samples) / len(samples)

    theirs = bootstrap(
        by_item, statistic, n_resamples=20_000, batch=1000, method="percentile", rng=np.random.default_rng(0)
    )
    ours = paired_bootstrap(first, second, resamples=20_000)
    interval = theirs.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), abs=0.003)
    assert ours.share_not_above == pytest.approx(np.mean(theirs.bootstrap_distribution <= 1e-12), abs=0.015)
    assert ours.difference == pytest.approx(statistic(*by_item, axis=0))


def test_bootstrap_averages_domains_alike():
    """A domain of 4 items, all better by 1, and one of 400, all equal: half a point of one, without spread."""
    first = [np.ones([2, 4], bool), np.ones([2, 400], bool)]
    second = [np.zeros([2, 4], bool), np.ones([2, 400], bool)]
    result = paired_bootstrap(first, second, resamples=50)
    assert (result.difference, result.low, result.high, result.share_not_above) == (0.5, 0.5, 0.5, 0.0)


def test_bootstrap_where_domains_cancel_out():
    """3/15 - 2/15 - 1/15 is 1e-17 in floating point, which must not pass for a difference."""

    def of_seeds(right):
        return np.repeat(np.arange(5) < right, 4).reshape(5, 4)

    first, second = [of_seeds(3), of_seeds(0), of_seeds(0)], [of_seeds(0), of_seeds(2), of_seeds(1)]
    assert paired_bootstrap(first, second, resamples=10) == BootstrapResult(0.0, 0.0, 0.0, 1.0)


def test_bootstrap_of_equal_methods_and_its_seed():
    first, second = random_outcomes(3)
    assert paired_bootstrap(first, first).share_not_above == 1.0
    assert paired_bootstrap(first, second, seed=1) == paired_bootstrap(first, second, seed=1)
    assert paired_bootstrap(first, second, seed=1) != paired_bootstrap(first, second, seed=2)


@pytest.mark.parametrize(
    ("first", "second"),
    [([], []), ([np.ones([1, 2])], [np.ones([1, 3])]), ([np.ones([1, 0])], [np.ones([1, 0])])],
)
def test_bootstrap_refuses_what_does_not_fit(first, second):
    with pytest.raises(ValueError, match=r"the same \[S, n\] twice. Received:"):
        paired_bootstrap(first, second)
