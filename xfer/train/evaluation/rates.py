"""Rates and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Interval = tuple[float, float]

DRAWS = 200
"""Bootstrap draws; the ends of a 95 % interval are then its fifth values from either end."""
PRIOR, MISS_COST, ALARM_COST = 0.01, 1.0, 1.0
"""Of the detection cost (NIST SRE 2016's first operating point)."""


@dataclass(frozen=True)
class Verification:
    """How well pairs of the same speaker are told from pairs of two."""

    eer: float
    """Where as many targets are missed as impostors are let in."""
    eer_interval: Interval
    """95 %, by drawing speakers anew."""
    min_dcf: float
    """Smallest normalised detection cost over all thresholds."""
    targets: int
    impostors: int


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


def verification(embeddings: Floats, speakers: Integers, seed: int = 0) -> Verification | None:
    """All pairs of clips by the cosine of their embeddings (n, d); None where there are no pairs of both kinds."""
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    one, other = np.triu_indices(len(speakers), k=1)
    scores, same = cosine[one, other], speakers[one] == speakers[other]
    if not same.any() or same.all():
        return None
    eer, cost = _eer_and_cost(scores, same, np.ones(len(same)))
    rng = np.random.default_rng(seed)
    people = np.unique(speakers)
    drawn = []
    for _ in range(DRAWS):
        # A speaker drawn k times stands k times: a pair counts as often as both its speakers together.
        times = np.bincount(np.searchsorted(people, rng.choice(people, len(people))), minlength=len(people))
        place = np.searchsorted(people, speakers)
        weight = np.where(same, times[place[one]], times[place[one]] * times[place[other]])
        if weight[same].any() and weight[~same].any():
            drawn.append(_eer_and_cost(scores, same, weight.astype(np.float64))[0])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Verification(eer, (float(low), float(high)), cost, int(same.sum()), int((~same).sum()))


def _eer_and_cost(scores: Floats, same: npt.NDArray[np.bool_], weight: Floats) -> tuple[float, float]:
    from sklearn.metrics import roc_curve

    kept = weight > 0
    alarm, hit, _ = roc_curve(same[kept], scores[kept], sample_weight=weight[kept], drop_intermediate=False)
    miss = 1 - hit
    # The two curves cross between two points: where, by a straight line.
    after = int(np.argmax(alarm >= miss))
    gap_before, gap_after = miss[after - 1] - alarm[after - 1], alarm[after] - miss[after]
    share = gap_before / (gap_before + gap_after) if gap_before + gap_after > 0 else 0.0
    eer = float(alarm[after - 1] + share * (alarm[after] - alarm[after - 1]))
    cost = MISS_COST * PRIOR * miss + ALARM_COST * (1 - PRIOR) * alarm
    return eer, float(cost.min() / min(MISS_COST * PRIOR, ALARM_COST * (1 - PRIOR)))
