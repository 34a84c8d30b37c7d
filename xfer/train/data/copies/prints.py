"""The print of a clip: a few hundred numbers that its copies share, whatever their level, shift, cut or codec.

A code is 32 signs: those of a windowed cosine transform of the mel spectrogram over 320 ms and 200 to 3,400 Hz, four
orders in time by eight in frequency, none constant in time. Signs keep through any gain, and through a filter that
changes slowly with frequency. The exact match of 32 signs would be rare in noise if every frame were taken; only the
frames whose weakest sign is strong are (local maxima of that strength), and copies agree on which these are. Time is
sampled at 4 ms by shifting the transform's window over a spectrogram at 16 ms, since a code that is off by half a
frame is lost: finer frames cost four times as much and match no more.

After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (2002), and Baluja and Covell, "Waveprint"
(2008); the choice of frames by their weakest sign is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples, resample

Floats = npt.NDArray[np.float32]

RATE = 8_000
"""Prints are made at this rate, Hz, so that a copy at any common rate gives the same."""
FRAME = 512
"""Samples of one spectrum: 64 ms."""
HOP = 128
"""Samples between two: 16 ms."""
BANDS = 16
LOWEST_HZ, HIGHEST_HZ = 200.0, 3_400.0
CONTEXT = 20
"""Frames under one code: 320 ms."""
STEPS = 4
"""Codes a frame; one every 4 ms."""
APART = 2
"""A code that is kept is stronger than those within so many steps: more would only repeat, fewer miss short copies."""
ORDERS_IN_TIME, ORDERS_IN_FREQUENCY = 4, 8
CODES = 128
"""Codes kept of a clip of up to `FULL_SECONDS`; a longer one keeps as many more as the square root of its length."""
FULL_SECONDS = 30.0
SOUND_DBFS = -80.0
"""Frames below this level are silence and have no code."""
SOUND_RANGE_DB = 40.0
"""Nor have frames that are this much below the clip's loudest."""
BLOCK = 4_096
"""Frames a block: 65 s, so that an hour needs no more memory than a minute."""

ALONE = 200_000
"""Multiplications up to which OpenBLAS computes a product on one thread (262,144 in its source)."""


@dataclass(frozen=True, slots=True)
class Print:
    """Codes and when each stands; shape (n,) both, n = 0 for silence."""

    codes: npt.NDArray[np.uint32]
    at: npt.NDArray[np.uint16]
    """In steps of 4 ms, modulo 65,536: only differences are used."""

    def to_bytes(self) -> bytes:
        """6 bytes a code."""
        return self.codes.astype("<u4").tobytes() + self.at.astype("<u2").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` gave. Raises ValueError where the length cannot be one of a print."""
        n, rest = divmod(len(data), 6)
        if rest:
            raise ValueError(f"{len(data)} bytes are no print: 6 a code")
        return cls(np.frombuffer(data, "<u4", n), np.frombuffer(data, "<u2", n, 4 * n))


def fingerprint(samples: Samples, rate: int) -> bytes:
    """The print of mono samples, shape (n,), at `rate` Hz; empty for silence.

    At most 768 bytes for 30 s, 8 kB for an hour.
    """
    sound = resample(samples, rate, RATE)
    around = CONTEXT * HOP // 2  # a code's middle may stand anywhere in the clip
    sound = np.pad(sound, (around, around + FRAME))
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP]
    parts = [_codes(frames[first : first + BLOCK + CONTEXT]) for first in range(0, len(frames) - CONTEXT, BLOCK)]
    codes, strength, power = (np.concatenate([part[i] for part in parts]) for i in range(3))
    loud = power > max(power.max() * 10 ** (-SOUND_RANGE_DB / 10), 10 ** (SOUND_DBFS / 10))
    chosen = np.flatnonzero(loud & _local_maxima(np.where(loud, strength, 0)))
    seconds = len(samples) / rate
    most = round(CODES * max(1.0, (seconds / FULL_SECONDS) ** 0.5))
    if len(chosen) > most:
        chosen = np.sort(chosen[np.argsort(-strength[chosen], kind="stable")[:most]])
    return Print(codes[chosen], (chosen % 65_536).astype(np.uint16)).to_bytes()


def _codes(frames: Floats) -> tuple[npt.NDArray[np.uint32], Floats, Floats]:
    """Frames (t + CONTEXT, FRAME) -> code, strength of its weakest sign, power; shape (t * STEPS,) each."""
    # In float64: numpy's transform of float32 takes five times as long (measured, numpy 2.4).
    spectrum = np.fft.rfft((frames * _WINDOW).astype(np.float64))
    power = _product(np.square(np.abs(spectrum)).astype(np.float32), _MEL)
    # The fourth root of power: as a logarithm it lifts quiet bands, but noise under them does not lift without limit.
    bands = _product(np.sqrt(np.sqrt(power)), _IN_FREQUENCY)
    count = len(frames) - CONTEXT
    under = np.lib.stride_tricks.sliding_window_view(bands, CONTEXT + 1, axis=0)
    values = _product(under.reshape(count * ORDERS_IN_FREQUENCY, CONTEXT + 1), _IN_TIME)
    values = values.reshape(count, ORDERS_IN_FREQUENCY, STEPS, ORDERS_IN_TIME).transpose(0, 2, 1, 3)
    values = values.reshape(count * STEPS, ORDERS_IN_FREQUENCY * ORDERS_IN_TIME)
    codes = np.packbits(values > 0, axis=1).view("<u4")[:, 0]
    size = np.sqrt(np.einsum("ij,ij->i", values, values)) + np.float32(1e-20)
    middle = power[CONTEXT // 2 : CONTEXT // 2 + count].sum(axis=1) * np.float32(2 / (FRAME * np.sum(_WINDOW**2)))
    return codes, np.abs(values).min(axis=1) / size, np.repeat(middle, STEPS)


def _product(rows: Floats, matrix: Floats) -> Floats:
    """`rows @ matrix` on one thread: OpenBLAS wakes its threads for larger products, and each worker has its own.

    Measured: ten times slower with threads where the cores are busy, which they are when a process runs on each.
    """
    size = max(1, ALONE // matrix.size)
    return np.concatenate([rows[first : first + size] @ matrix for first in range(0, len(rows), size)])


def _local_maxima(strength: Floats) -> npt.NDArray[np.bool_]:
    """Where a value is above 0 and the largest within `APART` steps to each side."""
    largest = strength.copy()
    for step in range(1, APART + 1):
        largest[step:] = np.maximum(largest[step:], strength[:-step])
        largest[:-step] = np.maximum(largest[:-step], strength[step:])
    return (strength > 0) & (strength >= largest)


def _mel() -> Floats:
    """Triangles equally wide in mel (O'Shaughnessy's formula), shape (FRAME // 2 + 1, BANDS)."""

    def mel(hertz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return np.asarray(2595 * np.log10(1 + hertz / 700))

    low, high = mel(np.array([LOWEST_HZ, HIGHEST_HZ]))
    edges = np.linspace(low, high, BANDS + 2)
    at = mel(np.fft.rfftfreq(FRAME, 1 / RATE))[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), dtype=np.float32)


def _in_frequency() -> Floats:
    """Cosines over the bands, shape (BANDS, ORDERS_IN_FREQUENCY)."""
    band = np.arange(BANDS)[:, None] + 0.5
    basis = np.cos(np.pi * band * np.arange(ORDERS_IN_FREQUENCY) / BANDS)
    return np.asarray(basis / np.linalg.norm(basis, axis=0), dtype=np.float32)


def _in_time() -> Floats:
    """Cosines under half a sine, each step's later by a quarter of a frame, without what is constant.

    Shape (CONTEXT + 1, STEPS * ORDERS_IN_TIME).
    """
    at = np.clip((np.arange(CONTEXT + 1)[:, None] - np.arange(STEPS) / STEPS) / CONTEXT, 0, 1)[..., None]
    window = np.sin(np.pi * at)
    basis = window * np.cos(np.pi * at * np.arange(1, ORDERS_IN_TIME + 1))
    basis -= window * basis.sum(axis=0) / window.sum(axis=0)
    return np.asarray(basis / np.linalg.norm(basis, axis=0), dtype=np.float32).reshape(CONTEXT + 1, -1)


_WINDOW = np.hanning(FRAME + 1)[:-1].astype(np.float32)
_MEL, _IN_FREQUENCY, _IN_TIME = _mel(), _in_frequency(), _in_time()
