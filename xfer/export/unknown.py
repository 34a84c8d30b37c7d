"""The threshold below which a model says "unknown": found on sound that holds none of its labels.

Never on the test side. A model is asked as `xfer listen` asks it: an event's scores are the mean over up to three
windows, each run alone, and a clip is taken for a label where any event of its beginning names one. The first event,
which has one window to go by, is the rashest: a threshold found on the third alone let in 1.8 times as many of ESC-10's
clips as it counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.errors import Unusable
from xfer.runtime.listening import AVERAGED_WINDOWS
from xfer.train.data.clips import Clip
from xfer.train.data.waves import Waves
from xfer.train.data.windows import Grid, grid_starts, grid_window
from xfer.train.evaluation.rates import wilson

TARGET = 0.05
"""Share of unknown clips that may be taken for a label."""
LARGEST_TARGET = 0.5
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Targets of which the card also says what they would give."""
LEAST = 20
"""Clips: with fewer, one more or less moves the share by more than the usual target itself."""
MOST = 200
"""Clips of a kind that are asked; more would tell the usual share to a fraction of a percent, and cost minutes."""
STEP = 1e-3
"""A threshold lies so far above the best score that it refuses, or half-way to the next one: engines differ by less."""

Floats = npt.NDArray[np.float64]
Score = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating[Any]]]
"""Windows (n, window) to scores (n, labels)."""


@dataclass(frozen=True)
class Counted:
    """How many of some sounds are taken for a label."""

    clips: int
    accepted: int
    """Of them, with an event that names a label."""
    events: int
    accepted_events: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share of clips."""
        return wilson(self.accepted, self.clips)


@dataclass(frozen=True)
class Point:
    """What another target would give."""

    false_accepts: float
    """Share of unknown clips that may be let in."""
    threshold: float
    known: int
    """Validation clips that stay known."""


@dataclass(frozen=True)
class Threshold:
    """A threshold, and what it was found on."""

    value: float
    """A best score below it is unknown."""
    target: float
    """Share of unknown clips that it may let in."""
    negatives: Mapping[str, Counted]
    """By where they came from."""
    known: Counted
    """Validation clips: those accepted stay known."""
    curve: tuple[Point, ...] = ()
    """Other targets, the smallest first; without those that no threshold meets."""

    @property
    def total(self) -> Counted:
        """All negatives."""
        parts = self.negatives.values()
        return Counted(*(sum(getattr(part, name) for part in parts) for name in Counted.__dataclass_fields__))

    def sentence(self) -> str:
        """For a person."""
        total, (low, high) = self.total, self.total.interval
        made = ", ".join(f"{count.clips} {source}" for source, count in self.negatives.items())
        stay = f"; {self.known.accepted} of {self.known.clips} validation clips stay known" if self.known.clips else ""
        return (
            f"calibrated so that of clips that hold none of the labels at most {100 * self.target:g} % are taken for "
            f"one: {total.accepted} of {total.clips} were ({made}; 95 %: {low:.1%} to {high:.1%}){stay}"
        )

    def to_json(self) -> dict[str, Any]:
        """For the card."""
        total = self.total
        return {
            "false_accepts": self.target,
            "averaged_windows": AVERAGED_WINDOWS,
            **vars(total),
            "interval": list(total.interval),
            "negatives": [{"source": source, **vars(count)} for source, count in self.negatives.items()],
            "validation": vars(self.known),
            "curve": [vars(point) for point in self.curve],
        }


def heard(score: Score, waves: Waves, clip: Clip, grid: Grid) -> Floats:
    """The best score of each event that `listen` gives of a clip's first windows, (events,).

    Raises FileNotThere or Unusable for a recording that cannot be read, or holds nothing.
    """
    held = waves.length(clip)
    if not held:
        raise Unusable(f"{clip.path} holds no sound at {clip.offset:g} s")
    starts = grid_starts(held, grid)[:AVERAGED_WINDOWS]
    windows = [grid_window(waves, clip, start, grid)[None] for start in starts]
    scores = np.concatenate([np.asarray(score(window), dtype=np.float64) for window in windows])
    return np.array([scores[: count + 1].mean(axis=0).max() for count in range(len(scores))])


def least(target: float) -> int:
    """So many clips are needed: with fewer, one alone would be more than the target."""
    return max(LEAST, math.ceil(1 / target - 1e-9))


def most(target: float) -> int:
    """So many clips of a kind are asked: enough for ten that are let in."""
    return max(MOST, math.ceil(10 / target - 1e-9))


def calibrate(
    negatives: Mapping[str, Sequence[Floats]], known: Sequence[Floats], target: float = TARGET
) -> Threshold | None:
    """The lowest threshold that lets in no more than the target's share of the negatives.

    None where no threshold can: the net is sure to the last bit of too many. Raises ValueError without negatives.

    negatives: what was `heard` of each clip, by where it came from; known: the same of validation clips.
    """
    best = best_of([clip for clips in negatives.values() for clip in clips])
    if not len(best):
        raise ValueError("no negatives")
    value = _above(best, target)
    if value is None:
        return None
    own = best_of(known)
    points = [(share, _above(best, share)) for share in SHARES]
    curve = [Point(share, at, int((own >= at).sum())) for share, at in points if at is not None]
    counted = {source: _counted(clips, value) for source, clips in negatives.items() if clips}
    return Threshold(value, target, counted, _counted(known, value), tuple(curve))


def best_of(clips: Sequence[Floats]) -> Floats:
    """The best score of each clip's best event, the highest first, (clips,)."""
    return np.sort(np.array([events.max() for events in clips], dtype=np.float64))[::-1]


def _above(best: Floats, target: float) -> float | None:
    """The lowest threshold over all but the target's share of these scores, highest first; None: there is none."""
    refused = float(best[math.floor(target * len(best) + 1e-9)])
    above = float(min(best[best > refused], default=1.0))
    # Between neighbouring numbers there is no middle.
    value = max(refused + min((above - refused) / 2, STEP), float(np.nextafter(refused, 2.0)))
    return value if refused < value <= 1.0 else None


def spread(clips: Sequence[Clip], most: int = MOST) -> list[Clip]:
    """At most so many clips, in turns from each label."""
    by_label: dict[str, list[Clip]] = {}
    for clip in clips:
        by_label.setdefault(clip.label, []).append(clip)
    turns = max((len(held) for held in by_label.values()), default=0)
    ordered = [held[turn] for turn in range(turns) for held in by_label.values() if turn < len(held)]
    return ordered[:most]


def _counted(clips: Sequence[Floats], value: float) -> Counted:
    known = [int((events >= value).sum()) for events in clips]
    return Counted(len(clips), sum(count > 0 for count in known), sum(map(len, clips)), sum(known))
