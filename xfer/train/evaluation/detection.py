"""How well trials of the same speaker are told from trials of two: EER and detection cost, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer.train.evaluation.trials import Trials

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Interval = tuple[float, float]

DRAWS = 200
"""Bootstrap draws; the ends of a 95 % interval are then its fifth values from either end."""
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
    its speakers together, or as the one where both are the same.
    """
    curve = _Curve(scores, trials.same)
    eer, cost = curve.rates(np.ones(len(scores)))
    people, place = np.unique(speakers, return_inverse=True)
    first, second = place[trials.one], place[trials.other]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(len(people), size=len(people)), minlength=len(people)).astype(np.float64)
        weight = np.where(first == second, times[first], times[first] * times[second])
        if weight[trials.same].any() and weight[~trials.same].any():
            drawn.append(curve.rates(weight))
    ends = np.quantile(drawn, [0.025, 0.975], axis=0) if drawn else np.array([[0.0, 0.0], [1.0, 1.0]])
    (low_eer, low_cost), (high_eer, high_cost) = ends.tolist()
    return Detection(eer, (low_eer, high_eer), cost, (low_cost, high_cost))


class _Curve:
    """The trials in the order of their scores; misses and false alarms at every threshold for any weights."""

    def __init__(self, scores: Floats, same: npt.NDArray[np.bool_]) -> None:
        self._order = np.argsort(scores, kind="stable")
        self._same = same[self._order]
        ordered = scores[self._order]
        # A threshold lies before the first of equal scores, never amid them.
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def rates(self, weight: Floats) -> tuple[float, float]:
        """EER and smallest detection cost where each trial counts `weight` times, (trials,)."""
        weight = weight[self._order]
        targets, impostors = weight * self._same, weight * ~self._same
        # Refused is what lies below the threshold; the last one refuses all.
        refused = [np.r_[0.0, np.cumsum(part)] for part in (targets, impostors)]
        at = np.r_[self._starts, len(weight)]
        miss = refused[0][at] / refused[0][-1]
        alarm = 1 - refused[1][at] / refused[1][-1]
        cost = MISS_COST * PRIOR * miss + ALARM_COST * (1 - PRIOR) * alarm
        return _crossing(miss, alarm), float(cost.min() / min(MISS_COST * PRIOR, ALARM_COST * (1 - PRIOR)))


def _crossing(miss: Floats, alarm: Floats) -> float:
    """Where misses, rising, cross false alarms, falling: between two thresholds by a straight line."""
    after = int(np.argmax(miss >= alarm))
    gap_before, gap_after = alarm[after - 1] - miss[after - 1], miss[after] - alarm[after]
    share = gap_before / (gap_before + gap_after) if gap_before + gap_after > 0 else 0.0
    return float(alarm[after - 1] + share * (alarm[after] - alarm[after - 1]))
