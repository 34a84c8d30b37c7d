"""The gate: what is a sound and what is the room, so that silence costs no inference.

A sound is a frame of 20 ms whose energy lies well above the noise floor: the further, the more the noise itself comes
and goes. The floor is a minimum statistic (R. Martin,
"Noise power spectral density estimation based on optimal smoothing and minimum statistics", IEEE Trans. Speech and
Audio Processing 9(5), 2001, in its simplest form): of every second the level below which 10 % of its frames lie, and
of these the lowest of the last 20 seconds. So a pause between two words brings it down at once, and only what lasts
without any pause brings it up. A frame is held against the floor of the seconds before its own: its answer depends on
nothing that comes later, and so not on the sizes of blocks.

How far above: `margin_db` and five times the distance from that level to the one below which 25 % of the same second's
frames lie. White noise hardly varies, and 7 dB are enough to keep it out; the energy of deep or crackling noise in 20
ms is a matter of chance, and needs 10 to 16. docs/listening.md has what was measured.

It would rather listen in vain than miss a sound: before it has heard 20 seconds it knows no floor, and a floor above
-35 dBFS is not believed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples
from xfer.runtime.listening.rules import Rules

FRAME_SECONDS = 0.02
_FRAMES_A_SECOND = 50
_LOW_SHARE, _NEXT_SHARE = 0.1, 0.25
_SPREADS = 5.0
_MOST_MARGIN_DB = 16.0
_PARTS = 2
LOWEST_DBFS = -100.0
"""Silence, also the digital one: 16 bits end at -98 dBFS."""


class Gate:
    """Finds sounds in a stream; remembers where they were as far as windows to come may ask.

    Positions are samples at the stream's rate.
    """

    def __init__(self, rate: int, rules: Rules) -> None:
        self.frame = max(1, round(FRAME_SECONDS * rate))
        self._rules = rules
        self._left = np.zeros(0, dtype=np.float32)
        self._frames = 0  # so many were heard
        self._second: list[npt.NDArray[np.float64]] = []
        self._lows: deque[tuple[float, float]] = deque(maxlen=max(1, round(rules.floor_seconds)))
        self._starts: list[int] = []  # of runs of frames that are sound, in frames
        self._ends: list[int] = []
        self.floor_dbfs = LOWEST_DBFS
        """Of the room, or the lowest where it is not known yet."""
        self._spread = 0.0  # of its noise, decibels

    @property
    def threshold_dbfs(self) -> float:
        """A frame above this is sound."""
        rules = self._rules
        margin = min(rules.margin_db + _SPREADS * self._spread, _MOST_MARGIN_DB)
        return max(rules.quiet_dbfs, min(self.floor_dbfs, rules.highest_floor_dbfs) + margin)

    @property
    def is_open(self) -> bool:
        """Is there sound now, or was just before?"""
        hang = round(self._rules.hang_seconds / FRAME_SECONDS)
        return bool(self._ends) and self._frames - self._ends[-1] <= hang

    def push(self, samples: Samples) -> None:
        """The next samples as they came: a frame with a value that is no sound is no frame."""
        held = np.concatenate([self._left, samples]) if len(self._left) else samples
        whole = len(held) // self.frame
        self._left = held[whole * self.frame :].copy()
        if not whole:
            return
        levels = sound_levels_dbfs(held[: whole * self.frame].reshape(whole, self.frame))
        while len(levels):
            room = _FRAMES_A_SECOND - self._frames % _FRAMES_A_SECOND
            part, levels = levels[:room], levels[room:]
            self._mark(part > self.threshold_dbfs)  # a comparison with NaN is false
            self._second.append(part)
            self._frames += len(part)
            if self._frames % _FRAMES_A_SECOND == 0:
                self._learn(np.concatenate(self._second))
                self._second = []

    def finish(self) -> None:
        """The stream is over: what is left of it is a shorter frame."""
        if len(self._left):
            self._mark(sound_levels_dbfs(self._left[None, :]) > self.threshold_dbfs)

    def lose(self, count: int) -> None:
        """The next samples were lost."""
        self.push(np.full(count, np.nan, dtype=np.float32))

    @property
    def period(self) -> int:
        """Samples: what is skipped is whole ones of these."""
        return self.frame * _FRAMES_A_SECOND

    def skip(self, count: int) -> None:
        """The next samples, whole periods, were lost."""
        self._frames += count // self.frame

    def sound(self, start: int, end: int, final: bool = False) -> tuple[int, int] | None:
        """From the first to the last sound of the frames in [start, end), the first of which may begin before `start`.

        None: there is none. Only frames that end by `end` count, which are all there when a window that ends there is;
        at the end of the stream (`final`, after `finish`) the last and shorter one, too.
        """
        first, last = start // self.frame, -(-end // self.frame) if final else end // self.frame
        at = bisect_right(self._ends, first)
        until = bisect_left(self._starts, last)
        if at >= until or first >= last:
            return None
        begin, over = max(self._starts[at], first), min(self._ends[until - 1], last)
        return begin * self.frame, min(over * self.frame, end)

    def share(self, start: int, end: int, final: bool = False) -> float:
        """How much of [start, end) is sound, 0 to 1; of the frames that `sound` looks at."""
        first, last = start // self.frame, -(-end // self.frame) if final else end // self.frame
        at, until = bisect_right(self._ends, first), bisect_left(self._starts, last)
        runs = zip(self._starts[at:until], self._ends[at:until], strict=True)
        return sum(min(over, last) - max(begin, first) for begin, over in runs) / max(1, last - first)

    def forget(self, before: int) -> None:
        """Nobody will ask about sound before this."""
        gone = bisect_right(self._ends, before // self.frame - 1)
        if gone > 64:  # lists are cut at times only
            del self._starts[:gone], self._ends[:gone]

    def _mark(self, heard: npt.NDArray[np.bool_]) -> None:
        """Remember runs of frames that are sound."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], heard, [False]]))) + self._frames
        for start, end in edges.reshape(-1, 2).tolist():
            if self._ends and self._ends[-1] == start:
                self._ends[-1] = end
            else:
                self._starts.append(start)
                self._ends.append(end)

    def _learn(self, second: npt.NDArray[np.float64]) -> None:
        """A second is over: what of it was low may be the floor."""
        told = np.sort(second[~np.isnan(second)])
        if len(told) < _FRAMES_A_SECOND // 2:
            return
        self._lows.append((float(told[int(_LOW_SHARE * len(told))]), float(told[int(_NEXT_SHARE * len(told))])))
        if len(self._lows) == self._lows.maxlen:
            self.floor_dbfs, above = min(self._lows)
            self._spread = above - self.floor_dbfs


def levels_dbfs(frames: Samples) -> npt.NDArray[np.float64]:
    """Root mean square of each frame in dBFS, (n, length) -> (n,): at least -100; NaN where a value is no sound."""
    with np.errstate(invalid="ignore", over="ignore"):
        return _decibels(np.square(frames, dtype=np.float64).mean(axis=1))


def sound_levels_dbfs(frames: Samples) -> npt.NDArray[np.float64]:
    """The same of what is faster than about 100 Hz: around the straight line of each half of a frame (10 ms).

    What is slower is the offset of a cheap microphone, wind, traffic, a compressor: the first would hold the gate open,
    and the others, whose energy in 20 ms is a matter of chance, would open it all the time.
    """
    count, length = frames.shape
    part = length // _PARTS if length >= 3 * _PARTS else length
    parts = frames[:, : length // part * part].reshape(-1, part)
    ramp = np.arange(part) - (part - 1) / 2
    with np.errstate(invalid="ignore", over="ignore"):
        centred = parts - parts.mean(axis=1, keepdims=True, dtype=np.float64)
        powers = np.square(centred).mean(axis=1)
        if part > 2:  # each row by itself: a product of matrices might depend on how many there are
            powers -= np.square((centred * ramp).mean(axis=1)) / np.square(ramp).mean()
        return _decibels(powers.reshape(count, -1).mean(axis=1))


def _decibels(powers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers[~np.isfinite(powers)] = np.nan
    levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(powers, 10 ** (LOWEST_DBFS / 10)))
    return levels
