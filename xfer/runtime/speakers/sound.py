"""What a recording is like by its samples alone: length, level, clipping, noise, and whether it moves as speech does.

Speech differs from music and from steady noise in two ways that simple arithmetic sees. Its bands rise and fall by many
decibels, syllable by syllable (`movement_db`); and its pitch glides, where a played note stands (`glide`). Both were
measured on real recordings; docs/speakers.md has how often this is right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples, resample

Floats = npt.NDArray[np.float64]

RATE = 16_000
"""Hz at which the shape of the sound is looked at; what lies above 8 kHz tells little here."""
_HOP, _FRAME, _PITCH_FRAME = 160, 512, 1024
_EDGES = (100, 300, 600, 1000, 1600, 2500, 3800)
"""Hz: between them the six bands whose movement is measured."""
_DEEPEST_DB = 50.0
"""A band cannot fall further below the loudest moment: digital silence would count for more than any syllable."""
_LAGS = (40, 230)
"""Samples at 16 kHz: a pitch of 400 to 70 Hz."""
_VOICED = 0.6
"""Least autocorrelation of a frame with a pitch."""
_GLIDE_CENTS = (10.0, 150.0)
"""How far a pitch goes in 20 ms when it glides: less is a note, more is an error of an octave or another sound."""
_LEAST_PAIRS = 4


@dataclass(frozen=True)
class Sound:
    """What was measured."""

    seconds: float
    active_seconds: float
    """Of it within 30 dB of the loudest moments and above -60 dBFS: without pauses."""
    level_dbfs: float
    """Of the active part; -inf where there is none."""
    clipped: float
    """Share of samples that stand at the ceiling three and more in a row."""
    range_db: float
    """From the quietest tenth of the time to the loudest twentieth: how far the voice stands out of the room."""
    movement_db: float
    """Standard deviation of the levels of six bands over time, their mean."""
    glide: float
    """Share of neighbouring frames with a pitch in which it moves by 10 to 150 cents; 0 where there is no pitch."""

    @property
    def speech(self) -> float:
        """Likeness to speech: movement in tens of decibels, and glide."""
        return self.movement_db / 10 + self.glide


def measure(samples: Samples, rate: int) -> Sound:
    """Measure mono samples (n,), n > 0, at their own rate."""
    at_16k = resample(samples, rate, RATE)
    if len(at_16k) < _PITCH_FRAME:
        at_16k = np.pad(at_16k, (0, _PITCH_FRAME - len(at_16k)))
    frames = _frames(at_16k, _FRAME, _HOP)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    decibels = 10 * np.log10(power + 1e-14)
    top = float(np.quantile(decibels, 0.95))
    active = decibels > max(top - 30, -60.0)
    level = 10 * math.log10(float(power[active].mean())) if active.any() else -math.inf
    return Sound(
        seconds=len(samples) / rate,
        active_seconds=float(active.sum()) * _HOP / RATE,
        level_dbfs=level,
        clipped=_clipped(samples),
        range_db=top - float(np.quantile(decibels, 0.1)),
        movement_db=_movement(frames),
        glide=_glide(_frames(at_16k, _PITCH_FRAME, 2 * _HOP)),
    )


def _frames(samples: Samples, length: int, hop: int) -> npt.NDArray[np.float32]:
    """Overlapping frames, a view: (count, length)."""
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]


def _movement(frames: npt.NDArray[np.float32]) -> float:
    """Mean standard deviation over time of the six bands' levels, dB."""
    edges = [round(edge * _FRAME / RATE) for edge in _EDGES]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(_FRAME).astype(np.float32), axis=1)) ** 2 + 1e-12
    bands = [spectra[:, low:high].sum(axis=1) for low, high in pairwise(edges)]
    levels = 10 * np.log10(np.stack(bands, axis=1))
    return float(np.maximum(levels, levels.max() - _DEEPEST_DB).std(axis=0).mean())


def _glide(frames: npt.NDArray[np.float32]) -> float:
    """How often the pitch moves a little from one frame to the next, of all times when both have one."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    levels = 10 * np.log10(np.square(centred, dtype=np.float64).mean(axis=1) + 1e-14)
    shape = np.hanning(_PITCH_FRAME)
    low, high = _LAGS
    # Autocorrelation over that of the window, so that long lags are not held against a pitch (Boersma 1993).
    found = np.fft.irfft(np.abs(np.fft.rfft(centred * shape, 2 * _PITCH_FRAME, axis=1)) ** 2, axis=1)[:, :high]
    window = np.fft.irfft(np.abs(np.fft.rfft(shape, 2 * _PITCH_FRAME)) ** 2)[:high]
    likeness = found[:, low:] / (found[:, :1] + 1e-9) / (window[low:] / window[0])
    lags = likeness.argmax(axis=1) + low
    voiced = (likeness.max(axis=1) > _VOICED) & (levels > np.quantile(levels, 0.95) - 25)
    pairs = voiced[1:] & voiced[:-1]
    if pairs.sum() < _LEAST_PAIRS:
        return 0.0
    cents = 1200 * np.abs(np.log2(lags[1:] / lags[:-1]))[pairs]
    return float(((cents >= _GLIDE_CENTS[0]) & (cents < _GLIDE_CENTS[1])).mean())


def _clipped(samples: Samples) -> float:
    """Share of samples in runs of three or more at the highest or the lowest value, where that is loud."""
    count = 0
    for top in (samples.max(), samples.min()):
        if abs(top) < 0.1:  # in a quiet recording neighbours share a step of the converter
            continue
        flat = samples == top
        middles = flat[:-2] & flat[1:-1] & flat[2:]
        runs = int(middles[:1].sum()) + int((middles[1:] & ~middles[:-1]).sum())
        count += int(middles.sum()) + 2 * runs
    return count / len(samples)
