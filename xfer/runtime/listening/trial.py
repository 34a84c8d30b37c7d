"""A short look at a source: how loud, how noisy, does it clip, does it deliver: can one listen with this microphone?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples, no_sound
from xfer.runtime.listening.gate import FRAME_SECONDS, LOWEST_DBFS, levels_dbfs
from xfer.runtime.sources import Source

CLIPPED_SHARE = 1e-4
"""Of the samples at full scale: more, and it is too loud for the device."""
QUIET_DBFS, NOISY_DBFS = -55.0, -45.0
"""Speech from a metre away lies above the first, a usable room below the second."""
OFFSET = 0.02
"""Of full scale: a mean that far from zero is a fault of the device."""
LEAST_DECIBELS = 10.0
"""Between the loudest and the noise: less, and nothing was said, or the noise covers it."""
SLOW = 0.9
"""Less sound than this share of the time was delivered: the device or the way to it cannot keep up."""
_NOTHING_SECONDS = 10.0


@dataclass(frozen=True)
class Trial:
    """What was measured."""

    seconds: float
    """Of sound."""
    waited: float
    """Seconds that it took, from the first sound on."""
    rate: int
    level_dbfs: float
    """Root mean square of all; 0 is a full-scale square wave."""
    peak_dbfs: float
    noise_floor_dbfs: float
    """10 % of the frames of 20 ms are quieter."""
    loud_dbfs: float
    """5 % of the frames are louder."""
    clipped: int
    """Samples at full scale."""
    offset: float
    """Mean of the samples."""
    dropped: int
    """Samples that were lost."""
    bad: int
    """Samples that are no sound (NaN, infinite or beyond +-8)."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, one sentence each, with the way out."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        if not self.seconds:
            yield "it delivers nothing: is it plugged in, and is this program allowed to record?"
            return
        if self.peak_dbfs <= LOWEST_DBFS:
            yield "nothing but zeros come: it is muted, or this program is not allowed to record"
            return
        if self.clipped > CLIPPED_SHARE * self.seconds * self.rate:
            yield f"it clips ({self.clipped} samples at full scale): turn it down, or go further away"
        if self.loud_dbfs < QUIET_DBFS:
            yield f"it is very quiet ({self.loud_dbfs:.0f} dBFS at its loudest): turn it up, or come nearer"
        elif self.noise_floor_dbfs > NOISY_DBFS:
            yield f"it is noisy ({self.noise_floor_dbfs:.0f} dBFS where it is quietest): another place, or turn it down"
        if abs(self.offset) > OFFSET:
            yield f"its zero is off by {self.offset:+.1%} of full scale: a fault of the device or its driver"
        if self.dropped:
            yield f"{self.dropped} samples were lost: this device is busy, or the way to the microphone too slow"
        if self.bad:
            yield f"{self.bad} values are no sound (NaN, infinite or beyond +-8): a fault of the driver"
        if self.waited > 1 and self.seconds < SLOW * self.waited:
            yield f"it delivers {self.seconds / self.waited:.0%} of the sound that it should at {self.rate} Hz"

    @property
    def nothing_said(self) -> bool:
        """Was there hardly more than noise? Then it tells the noise, and not how loud a voice is."""
        return self.loud_dbfs - self.noise_floor_dbfs < LEAST_DECIBELS


def try_out(source: Source, seconds: float, meter: Callable[[float], None] = lambda _: None) -> Trial:
    """Listen for so long, or for 10 s without any sound; `meter` is given the level of each block in dBFS.

    Raises what the source raises.
    """
    parts: list[Samples] = []
    dropped = bad = count = 0
    began = time.monotonic()
    early = 0.0
    for block in source.blocks():
        now = time.monotonic()
        if len(block.samples):
            if not parts:  # the first block was made before it arrived
                began, early = now, len(block.samples) / source.rate
            wrong = no_sound(block.samples)
            bad += int(wrong.sum())
            dropped += block.missing
            parts.append(np.where(wrong, np.float32(0), block.samples))
            count += len(block.samples)
            meter(float(levels_dbfs(parts[-1][None, :])[0]))
        if count >= seconds * source.rate or (not count and now - began > _NOTHING_SECONDS):
            break
    source.stop()
    waited = time.monotonic() - began + early if count else 0.0
    return measure(np.concatenate(parts) if parts else np.zeros(0, np.float32), source.rate, waited, dropped, bad)


def measure(samples: Samples, rate: int, waited: float, dropped: int = 0, bad: int = 0) -> Trial:
    """What there is to say about samples, (n,)."""
    if not len(samples):
        low = LOWEST_DBFS
        return Trial(0.0, waited, rate, low, low, low, low, 0, 0.0, dropped, bad)
    frame = max(1, round(FRAME_SECONDS * rate))
    whole = max(1, len(samples) // frame)
    frames: npt.NDArray[np.float64] = np.sort(levels_dbfs(np.resize(samples, whole * frame).reshape(whole, frame)))
    largest = float(np.abs(samples).max())
    return Trial(
        len(samples) / rate,
        waited,
        rate,
        float(levels_dbfs(samples[None, :])[0]),
        20 * math.log10(max(largest, 10 ** (LOWEST_DBFS / 20))),
        float(frames[int(0.1 * (whole - 1))]),
        float(frames[int(0.95 * (whole - 1))]),
        int(np.count_nonzero(np.abs(samples) >= 0.9999)),
        float(samples.mean(dtype=np.float64)),
        dropped,
        bad,
    )
