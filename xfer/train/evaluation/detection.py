"""How well trials of the same speaker are told from trials of two: EER and detection cost, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.train.evaluation.trials import Trials

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Interval = tuple[float, float]

DRAWS = 400
"""Bootstrap draws; the ends of a 95 % interval are then about its tenth values from either end."""
PRIOR, MISS_COST, ALARM_COST = 0.01, 1.0, 1.0
"""Of the detection cost (NIST SRE 2016's first operating point)."""


@dataclass(frozen=True)
class Detection:
    """Error rates of one way of scoring; intervals hold 95 %, by drawing speakers anew."""

    eer: float
    """Where as many targets are missed as impostors are let in."""
    eer_interval: Interval
    min_dcf: float
    """Smallest normalised detection cost over all thresholds; 1: no better than to refuse everybody."""
    min_dcf_interval: Interval


def detection(scores: Floats, trials: Trials, speakers: Integers, seed: int = 0) -> Detection:
    """Rates of scores (trials,), higher for the same speaker, where there are trials of both kinds.

    speakers: (clips,), whom each clip is of. A speaker drawn k times stands k times: a trial counts as often as both
    its speakers together, or as the one where both are the same. Bias-corrected percentiles (Efron 1981), since the
    smallest cost of a sample lies below the true one, and that of a sample of the sample lower again: over simulated
    scores of 20 to 40 speakers plain percentiles held the true cost in 70 to 83 of 100 samples, these in 88 to 97, and
    the true EER in 93 to 97.
    """
    people, place = np.unique(speakers, return_inverse=True)
    curve = _Curve(scores, trials, place.astype(np.int64))
    found = curve.rates(np.ones(len(people)))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(len(people), size=len(people)), minlength=len(people)).astype(np.float64)
        rates = curve.rates(times)
        if rates is not None:
            drawn.append(rates)
    assert found is not None  # there are trials of both kinds
    columns = np.array(drawn).reshape(-1, 2).T
    eer, cost = found
    return Detection(eer, _interval(eer, columns[0]), cost, _interval(cost, columns[1]))


def _interval(found: float, drawn: Floats) -> Interval:
    """95 % round what was found, from the draws of it; (0, 1) where none could be made."""
    from scipy.stats import norm

    if not len(drawn):
        return 0.0, 1.0
    below = (drawn < found).mean() + (drawn == found).mean() / 2
    edge = norm.ppf(0.975)
    # Not further than that, or what was found would lie outside.
    shift = float(np.clip(norm.ppf(below), -edge, edge))
    low, high = np.quantile(drawn, norm.cdf([2 * shift - edge, 2 * shift + edge]))
    return min(float(low), found), max(float(high), found)


class _Curve:
    """The trials of either kind in the order of their scores; error rates for any draw of speakers, in one pass."""

    def __init__(self, scores: Floats, trials: Trials, place: Integers) -> None:
        one, other = place[trials.one], place[trials.other]
        # Where both are the same, the second is nobody, who always stands once.
        other = np.where(one == other, place.max() + 1, other)
        thresholds = np.append(np.unique(scores), np.inf)
        self._pairs: list[tuple[Integers, Integers]] = []
        self._below: list[Integers] = []
        """How many of either kind lie below each threshold, (thresholds,); equal scores are never parted."""
        for kind in (trials.same, ~trials.same):
            places = np.flatnonzero(kind)
            places = places[np.argsort(scores[places], kind="stable")]
            self._pairs.append((one[places], other[places]))
            self._below.append(np.searchsorted(scores[places], thresholds, side="left"))
        # The cost falls with each impostor that is refused: it is smallest just below a target, or above all.
        self._lows = np.append(np.flatnonzero(np.diff(self._below[0])), len(thresholds) - 1)

    def rates(self, times: Floats) -> tuple[float, float] | None:
        """EER and smallest detection cost where each speaker stands `times`, (speakers,); None for one kind alone."""
        times = np.append(times, 1.0)
        missed, refused = (np.append(0.0, np.cumsum(times[one] * times[other])) for one, other in self._pairs)
        if missed[-1] == 0 or refused[-1] == 0:
            return None

        def miss(at: Integers | int) -> Any:
            return missed[self._below[0][at]] / missed[-1]

        def alarm(at: Integers | int) -> Any:
            return 1 - refused[self._below[1][at]] / refused[-1]

        cost = MISS_COST * PRIOR * miss(self._lows) + ALARM_COST * (1 - PRIOR) * alarm(self._lows)
        # Misses rise from 0, false alarms fall from 1: where they cross, by halves.
        before, after = 0, len(self._below[0]) - 1
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (before, middle) if miss(middle) >= alarm(middle) else (middle, after)
        # Between two thresholds by a straight line.
        gap, gap_after = alarm(before) - miss(before), miss(after) - alarm(after)
        share = gap / (gap + gap_after) if gap + gap_after > 0 else 0.0
        eer = float(alarm(before) + share * (alarm(after) - alarm(before)))
        return eer, float(cost.min() / min(MISS_COST * PRIOR, ALARM_COST * (1 - PRIOR)))
