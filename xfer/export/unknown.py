"""The threshold below which a model says "unknown": found on sound that holds none of its labels.

Never on the test side. A model is asked as `xfer listen` asks it: the mean score of some neighbouring windows. Without
such sound nothing can be said, and the card says `uncalibrated`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.stream import AVERAGED_WINDOWS
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.waves import Waves
from xfer.train.data.windows import Grid, grid_starts, grid_window
from xfer.train.evaluation.rates import wilson

TARGET = 0.05
"""Share of unknown sound that may be taken for a label."""
LEAST = 20
"""Clips: with fewer, one more or less moves the share by more than the target itself."""
MOST = 200
"""Clips of a kind that are asked; more would tell the share to a fraction of a percent, and cost minutes."""

Score = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating[Any]]]
"""Windows (n, window) to scores (n, labels)."""


@dataclass(frozen=True)
class Threshold:
    """A threshold, and what it was found on."""

    value: float
    """A best score below it is unknown."""
    target: float
    accepted: int
    """Of the negatives, at this threshold."""
    negatives: Mapping[str, int]
    """Where they came from, clips each."""
    kept: int
    """Validation clips that stay known."""
    positives: int
    """Validation clips."""

    @property
    def false_accepts(self) -> tuple[float, float]:
        """95 % interval of the share of negatives that are taken for a label."""
        return wilson(self.accepted, sum(self.negatives.values()))

    def sentence(self) -> str:
        """For a person."""
        low, high = self.false_accepts
        made = ", ".join(f"{count} {source}" for source, count in self.negatives.items())
        known = f"; {self.kept} of {self.positives} validation clips stay known" if self.positives else ""
        return (
            f"calibrated to take at most {self.target:.0%} of unknown sound for a label: {self.accepted} of "
            f"{sum(self.negatives.values())} clips were ({made}; 95 %: {low:.1%} to {high:.1%}){known}"
        )

    def to_json(self) -> dict[str, Any]:
        """For the card."""
        interval = list(self.false_accepts)
        return {**vars(self), "negatives": dict(self.negatives), "false_accept_interval": interval}


def best_scores(score: Score, waves: Waves, clips: Sequence[Clip], grid: Grid) -> npt.NDArray[np.float64]:
    """The best mean score of each clip's first windows, (clips,): what one event of `listen` would have."""
    found = np.zeros(len(clips))
    for index, clip in enumerate(clips):
        starts = grid_starts(waves.length(clip), grid)[:AVERAGED_WINDOWS]
        windows = np.stack([grid_window(waves, clip, start, grid) for start in starts])
        found[index] = float(np.asarray(score(windows), dtype=np.float64).mean(axis=0).max())
    return found


def calibrate(
    negatives: Mapping[str, npt.NDArray[np.float64]], positives: npt.NDArray[np.float64], target: float = TARGET
) -> Threshold | None:
    """The lowest threshold that lets in no more than the target's share of the negatives.

    None for too few of them, and where no threshold can: the net is sure to the last bit of too many.

    negatives: best scores by where they came from, (clips,) each; positives: those of validation clips, (clips,).
    """
    scores = np.sort(np.concatenate([np.zeros(0), *negatives.values()]))[::-1]
    if len(scores) < LEAST:
        return None
    allowed = math.floor(target * len(scores))
    value = float(np.nextafter(scores[allowed], 2.0))
    if value > 1.0:
        return None
    counts = {source: len(found) for source, found in negatives.items() if len(found)}
    accepted, kept = int((scores >= value).sum()), int((positives >= value).sum())
    return Threshold(value, target, accepted, counts, kept, len(positives))


def held_out(data: DataSet, labels: Sequence[str]) -> list[Clip]:
    """Clips of classes that were on no side of the training, evenly over their labels."""
    return spread([clip for clip in data.clips if not clip.split and clip.label not in set(labels)])


def strangers(data: DataSet, labels: Sequence[str]) -> list[Clip]:
    """Clips of another data set whose label the model does not know, evenly over their labels."""
    return spread([clip for clip in data.clips if clip.split != "test" and clip.label not in set(labels)])


def spread(clips: Sequence[Clip], most: int = MOST) -> list[Clip]:
    """At most so many clips, in turns from each label."""
    by_label: dict[str, list[Clip]] = {}
    for clip in clips:
        by_label.setdefault(clip.label, []).append(clip)
    turns = max((len(held) for held in by_label.values()), default=0)
    ordered = [held[turn] for turn in range(turns) for held in by_label.values() if turn < len(held)]
    return ordered[:most]
