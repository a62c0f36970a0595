"""Whether two methods differ by more than the noise of seeds and of test items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_rel

_DECIMALS = 12  # beyond which sums of equal numbers may differ


@dataclass(frozen=True)
class BootstrapResult:
    """What a paired bootstrap says about a difference of accuracies, first minus second.

    Attributes:
        difference: Of the test sets as they are, in [-1, 1].
        low: The 2.5% quantile of the resamples.
        high: The 97.5% quantile.
        share_not_above: The share of resamples in which the first is not better, in [0, 1].
    """

    difference: float
    low: float
    high: float
    share_not_above: float


def paired_t_test(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Returns the two-sided p-value of Student's paired t-test (`scipy.stats.ttest_rel`).

    Args:
        first: One accuracy for each seed, [S].
        second: The same seeds of the other method, [S].

    Returns:
        In [0, 1]; None where it is not defined: fewer than two seeds, or the same difference in all of them.

    Raises:
        ValueError: The lengths differ.
    """
    if len(first) != len(second):
        raise ValueError(f"expected as many accuracies in both. Received: {len(first)} and {len(second)}")
    differences = np.round(np.subtract(first, second), _DECIMALS)
    if len(np.unique(differences)) < 2:
        return None
    return float(ttest_rel(first, second).pvalue)


def paired_bootstrap(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], resamples: int = 10_000, seed: int = 0
) -> BootstrapResult:
    """Resamples the test items within each domain, for two methods alike.

    Intervals are by the percentile method (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).

    The statistic is the difference of accuracies, averaged over the domains and over the seeds. A resample of n items
    needs only how often each value of an item's difference was drawn, which is multinomial; so this is
    `scipy.stats.bootstrap` of the items, in distribution, at a cost that does not grow with their number.

    Args:
        first: For each domain [S, n]: whether the model of a seed is right about an item.
        second: The same seeds and items under the other method.
        resamples: Their number R; memory is R * (2 S + 1) numbers.
        seed: Of the resamples.

    Raises:
        ValueError: The shapes differ, or are empty.
    """
    shapes = [np.shape(outcomes) for outcomes in first]
    if shapes != [np.shape(outcomes) for outcomes in second] or not shapes or not all(map(all, shapes)):
        raise ValueError(f"expected the same [S, n] twice. Received: {shapes}, {[np.shape(one) for one in second]}")
    generator = np.random.default_rng(seed)
    difference, drawn = 0.0, np.zeros(resamples)
    for ours, theirs in zip(first, second, strict=True):
        seeds, items = np.shape(ours)
        by_item = np.sum(ours, axis=0, dtype=np.int64) - np.sum(theirs, axis=0, dtype=np.int64)
        values, counts = np.unique(by_item, return_counts=True)
        scale = seeds * items * len(first)
        difference += float(by_item.sum()) / scale
        drawn += generator.multinomial(items, counts / items, size=resamples) @ values / scale
    drawn = np.round(drawn, _DECIMALS)  # so that no difference is exactly 0, and not beyond it
    low, high = np.quantile(drawn, [0.025, 0.975])
    return BootstrapResult(round(difference, _DECIMALS), float(low), float(high), float(np.mean(drawn <= 0.0)))
