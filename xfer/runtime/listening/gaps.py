"""Stretches of a stream that are no sound: values that no microphone makes, and samples that were lost.

Such samples are replaced by zeros before anything is computed from them, and no window that touches one is scored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xfer.runtime.audio import Samples, no_sound

MERGE_SECONDS = 0.1
"""Stretches nearer to each other than this are one."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of the stream at the source's rate."""

    start: int
    end: int


class Gaps:
    """Finds stretches that are no sound; remembers those that windows to come may touch."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._merge = max(1, round(MERGE_SECONDS * rate))
        self._total = 0
        self._stretches: list[Stretch] = []  # all but the last are closed
        self._told = 0  # so many of them were given out by `closed`

    def take(self, samples: Samples) -> Samples:
        """The next samples, with zeros where they are no sound."""
        bad = no_sound(samples)
        if bad.any():
            places = np.flatnonzero(bad) + self._total
            breaks = np.flatnonzero(np.diff(places) > self._merge) + 1
            for part in np.split(places, breaks):
                self._add(int(part[0]), int(part[-1]) + 1)
            samples = np.where(bad, np.float32(0), samples)
        self._total += len(samples)
        return samples

    def lose(self, count: int) -> None:
        """The next `count` samples were lost."""
        self._add(self._total, self._total + count)
        self._total += count

    def touch(self, start: int, end: int, rate: int) -> bool:
        """Does the stretch from `start` to `end`, samples at `rate`, touch a gap?"""
        return any(
            gap.start * rate < end * self._rate and start * self._rate < gap.end * rate for gap in self._stretches
        )

    def closed(self, until: int, rate: int) -> list[Stretch]:
        """Stretches not given out before that were surely over at `until`, a sample at `rate`."""
        over = [gap for gap in self._stretches[self._told :] if (gap.end + self._merge) * rate <= until * self._rate]
        self._told += len(over)
        return over

    def rest(self) -> list[Stretch]:
        """Stretches not given out before, at the end of the stream."""
        left = self._stretches[self._told :]
        self._told = len(self._stretches)
        return left

    def forget(self, before: int, rate: int) -> None:
        """No window to come starts before `before`, a sample at `rate`: forget what was given out and lies there."""
        while self._told and self._stretches[0].end * rate <= before * self._rate:
            del self._stretches[0]
            self._told -= 1

    def _add(self, start: int, end: int) -> None:
        if self._stretches and len(self._stretches) > self._told and start - self._stretches[-1].end <= self._merge:
            self._stretches[-1] = Stretch(self._stretches[-1].start, end)
        else:
            self._stretches.append(Stretch(start, end))
