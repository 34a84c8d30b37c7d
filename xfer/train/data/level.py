"""How loud a stretch of a recording is, and how much of it is clipped, block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples

LOUD_CEILING = 0.1
"""Flat tops below -20 dBFS are no clipping: in a quiet recording neighbours share a step of the converter."""


@dataclass(frozen=True)
class Measured:
    """What `Level` saw."""

    frames: int
    peak: float
    level_dbfs: float
    clipped: float


class Level:
    """Peak, level and clipping of a stretch of a recording; frames are added as they are decoded."""

    def __init__(self, rate: int, channels: int, offset: float, duration: float | None) -> None:
        self._first = round(offset * rate)
        self._end = None if duration is None else self._first + round(duration * rate)
        self._at = 0
        self._frames = 0
        self._squares = 0.0
        self._peak = 0.0
        self._channels = channels
        # One ceiling a channel and a sign: offsets make the two differ.
        self._ceiling = np.zeros((2, channels))
        self._flat = np.zeros((2, channels), dtype=np.int64)

    def cut(self, samples: Samples) -> Samples:
        """This stretch of the recording's samples (n,), as far as they go."""
        return samples[self._first : self._end]

    def add(self, frames: npt.NDArray[np.float32]) -> None:
        """The next frames of the recording, (n, channels)."""
        start = max(0, self._first - self._at)
        end = len(frames) if self._end is None else min(len(frames), self._end - self._at)
        self._at += len(frames)
        if end <= start:
            return
        mine = frames[start:end]
        self._frames += len(mine)
        for channel in range(self._channels):
            samples = np.ascontiguousarray(mine[:, channel])
            self._squares += float(np.dot(samples, samples))
            tops = float(samples.max()), -float(samples.min())
            self._peak = max(self._peak, *tops)
            for sign, top in enumerate(tops):
                self._count(samples, sign, channel, top)

    def _count(self, samples: Samples, sign: int, channel: int, top: float) -> None:
        if top < self._ceiling[sign, channel] or top < LOUD_CEILING:
            return
        if top > self._ceiling[sign, channel]:
            self._ceiling[sign, channel], self._flat[sign, channel] = top, 0
        self._flat[sign, channel] += _in_runs(samples == np.float32(-top if sign else top))

    def measured(self) -> Measured:
        """All that was seen so far."""
        values = self._frames * self._channels
        power = self._squares / values if values else 0.0
        return Measured(
            self._frames,
            self._peak,
            10 * math.log10(power) if power > 0 else -math.inf,
            float(self._flat.sum() / values) if values else 0.0,
        )


def _in_runs(top: npt.NDArray[np.bool_]) -> int:
    """How many values are true in a row of three or more."""
    if len(top) < 3:
        return 0
    centres = top[:-2] & top[1:-1] & top[2:]
    runs = int(centres[0]) + int((centres[1:] & ~centres[:-1]).sum())
    return int(centres.sum()) + 2 * runs
