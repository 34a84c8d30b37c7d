"""Error rates of weighted trials, and intervals by drawing people anew; plain numpy, for the edge has nothing else."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

DRAWS = 400
_NORMAL = NormalDist()
_EDGE = _NORMAL.inv_cdf(0.975)


def equal_error(own: Floats, others: Floats, own_weights: Floats, others_weights: Floats) -> float:
    """Where as large a share of `own` lies below a threshold as of `others` on or above it; by a straight line between.

    Scores (n,) and (m,) with their weights; NaN where one kind has no weight.
    """
    if own_weights.sum() <= 0 or others_weights.sum() <= 0:
        return float("nan")
    thresholds = np.append(np.unique(np.concatenate([own, others])), np.inf)
    missed = _below(own, own_weights, thresholds)
    accepted = 1 - _below(others, others_weights, thresholds)
    after = int(np.argmax(missed >= accepted))  # misses rise from 0, false accepts fall from 1 to 0
    if after == 0:
        return float(missed[0])
    before = after - 1
    gap, beyond = accepted[before] - missed[before], missed[after] - accepted[after]
    share = gap / (gap + beyond)
    return float(accepted[before] + share * (accepted[after] - accepted[before]))


def interval_of(found: float, rate: Callable[[Floats], float], people: int, seed: int = 0) -> Interval:
    """95 % round a rate: people drawn anew with replacement, bias-corrected percentiles (Efron 1981).

    rate: from how often each stands, (people,), to the rate; NaN where it has none.
    """
    rng = np.random.default_rng(seed)
    draws = [np.bincount(rng.integers(people, size=people), minlength=people).astype(np.float64) for _ in range(DRAWS)]
    drawn = np.array([value for value in map(rate, draws) if np.isfinite(value)])
    if not len(drawn):
        return 0.0, 1.0
    below = float((drawn < found).mean() + (drawn == found).mean() / 2)
    # Not further than the edge, or what was found would lie outside.
    shift = _NORMAL.inv_cdf(min(max(below, 0.025), 0.975))
    low, high = np.quantile(drawn, [_NORMAL.cdf(2 * shift - _EDGE), _NORMAL.cdf(2 * shift + _EDGE)])
    return min(float(low), found), max(float(high), found)


def interval_of_share(hits: Floats, counts: Floats, seed: int = 0) -> Interval:
    """95 % round the share sum(hits) / sum(counts) of people, (people,) each.

    Where it is 0 or 1 in everybody, draws say nothing: then as if a person were a trial, 1 - 0.05^(1/people).
    """
    total = float(hits.sum() / counts.sum())
    widest = 1 - 0.05 ** (1 / len(hits))
    if total == 0:
        return 0.0, widest
    if total == 1:
        return 1 - widest, 1.0
    return interval_of(total, lambda times: float(times @ hits / (times @ counts)), len(hits), seed)


def _below(scores: Floats, weights: Floats, thresholds: Floats) -> Floats:
    """The share of the weight below each threshold, (thresholds,)."""
    order = np.argsort(scores)
    summed = np.append(0.0, np.cumsum(weights[order]))
    return np.asarray(summed[np.searchsorted(scores[order], thresholds, side="left")] / summed[-1])
