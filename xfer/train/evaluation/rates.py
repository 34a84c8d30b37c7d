"""Rates and how far they can be trusted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Interval = tuple[float, float]


def wilson(hits: int, trials: int) -> Interval:
    """95 % interval of a rate (Wilson's score interval)."""
    from scipy.stats import binomtest

    found = binomtest(hits, trials).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def by_groups(right: npt.NDArray[np.bool_], groups: Integers, seed: int = 0) -> Interval:
    """95 % interval of the mean of `right` (n,) by drawing whole groups (n,) anew: clips of a group are no
    independent trials."""
    count = int(groups.max()) + 1
    hits, sizes = np.bincount(groups, right, count), np.bincount(groups, minlength=count)
    drawn = np.random.default_rng(seed).integers(count, size=(2000, count))
    means = hits[drawn].sum(axis=1) / np.maximum(sizes[drawn].sum(axis=1), 1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
