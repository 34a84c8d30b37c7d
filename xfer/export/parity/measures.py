"""How far two arrays are apart, in the measures that parity reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_PIECE = 1 << 13
"""Values at a time: RawNet2's features are seven million, and pieces that fit the nearest cache, written over the same
three buffers, are many times faster than arrays of that size."""


@dataclass(frozen=True)
class Measures:
    """Found against expected, over all values of one window at one stage."""

    largest: float
    """max|found - expected|; NaN where a value is none, infinite where the shapes differ."""
    peak: float
    """max|expected|"""
    l2: float
    """|found - expected| / |expected|, Euclidean; 0 where both are silent."""
    cosine: float
    """Of the angle between them, 1 where both are silent."""

    @property
    def snr_db(self) -> float:
        """Expected over difference in dB, which is -20 log10 of `l2`; infinite where nothing differs."""
        if self.l2 == 0:
            return math.inf
        return -20 * math.log10(self.l2) if math.isfinite(self.l2) else -math.inf

    def relative(self, floor: float) -> float:
        """The largest difference over the peak, or over `floor` where the peak is lower."""
        return self.largest / max(floor, self.peak)


NO_MEASURE = Measures(math.inf, 0.0, math.inf, 0.0)
"""Of shapes that differ: there is nothing to compare."""


def measure(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> Measures:
    """Compare two arrays of one shape, in float64. Shape: (...), (...) -> Measures."""
    if found.shape != expected.shape:
        return NO_MEASURE
    flat, wanted = found.reshape(-1), expected.reshape(-1)
    largest = peak = across = power = error = np.float64(0)
    buffers = np.empty((3, min(_PIECE, max(1, len(flat)))))
    for start in range(0, len(flat), _PIECE):
        piece = slice(start, start + _PIECE)
        off, truth, size = buffers[:, : len(flat[piece])]
        off[:], truth[:] = flat[piece], wanted[piece]
        off -= truth
        # np.maximum, not max: a NaN must survive.
        largest = np.maximum(largest, np.abs(off, out=size).max())
        peak = np.maximum(peak, np.abs(truth, out=size).max())
        across += truth @ off
        power += truth @ truth
        error += off @ off
    return _measures(*(float(each) for each in (largest, peak, across, power, error)))


def _measures(largest: float, peak: float, across: float, power: float, error: float) -> Measures:
    """From sums over expected x (found - expected), expected squared and (found - expected) squared."""
    if power == 0:
        return Measures(largest, peak, 0.0 if error == 0 else math.inf, 1.0 if error == 0 else 0.0)
    length = math.sqrt(max(power + 2 * across + error, 0.0)) if math.isfinite(error) else math.nan
    cosine = (power + across) / (math.sqrt(power) * length) if length > 0 else 0.0
    return Measures(largest, peak, math.sqrt(error / power) if error >= 0 else math.nan, min(1.0, cosine))
