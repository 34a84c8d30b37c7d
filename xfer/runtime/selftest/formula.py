"""Inputs by formula: the same samples on every platform, so that no sound has to travel with the model.

They are made of integers (a counter hashed by splitmix64, a phase that wraps at 2**32) and rounded to 16 bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xfer.runtime.engines import Array


def formula_inputs(window: int, rate: int) -> dict[str, Array]:
    """Inputs of one window each, float32 (window,), in [-1, 1]: the same values on every platform."""
    i = np.arange(window, dtype=np.int64)
    chirp = _sine(_chirp_phase(i, window, 50 / rate, 0.45))
    bursts = np.where((i * 8 // rate) % 2 == 0, 1.0, 0.0)  # an eighth of a second on, an eighth off
    impulse = np.zeros(window)
    impulse[window // 2] = 1.0
    square = np.where((i * 2 * 441 // rate) % 2 == 0, 1.0, -1.0)
    noise = _noise(window)
    inputs = {
        "silence": np.zeros(window),
        "dc": np.full(window, 0.5),
        "impulse": impulse,
        "square": square,
        "chirp": 0.5 * chirp,
        "clipped": np.clip(4.0 * chirp * bursts, -1.0, 1.0),
        "noise at -60 dBFS": 10 ** (-60 / 20) * noise,
        "noise at -30 dBFS": 10 ** (-30 / 20) * noise,
        "noise at -6 dBFS": 10 ** (-6 / 20) * noise,
        "noise in bursts": 0.1 * noise * bursts,
    }
    return {name: as_16_bit(values) for name, values in inputs.items()}


def as_16_bit(values: npt.NDArray[np.floating]) -> Array:
    """The same samples as 16-bit PCM holds them, float32; what is beyond full scale is clipped."""
    return (np.clip(np.round(values * 32768), -32768, 32767) / 32768).astype(np.float32)


def _chirp_phase(i: npt.NDArray[np.int64], window: int, first: float, last: float) -> npt.NDArray[np.int64]:
    """Phase of a linear chirp in 2**-32 turns, from `first` to `last` cycles a sample: f0*i + (f1 - f0)*i*i/(2*n)."""
    start, span = round(first * 2**32), round((last - first) * 2**32)
    return np.asarray((start * i + span * i // (2 * window) * i) % 2**32, dtype=np.int64)


def _sine(phase: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.sin(phase.astype(np.float64) * (2 * np.pi / 2**32))


def _noise(count: int) -> npt.NDArray[np.float64]:
    """White noise, uniform in [-1, 1): splitmix64 of the sample's number, so no state and no order."""
    return (splitmix64(count) >> np.uint64(32)).astype(np.float64) / 2**31 - 1.0


def splitmix64(count: int) -> npt.NDArray[np.uint64]:
    """The first `count` numbers of splitmix64 from state 0, (count,): each by its own place, so in any order."""
    z = (np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
