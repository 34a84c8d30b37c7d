"""The recording of a synthetic voice: what a clip owes to room, microphone and chance, not to the voice."""

from __future__ import annotations

import numpy as np
import scipy.fft

from .vocal_tract import Singles


def recorded(dry: Singles, rate: int, rng: np.random.Generator) -> Singles:
    """The sound as some microphone in some room had it. Shape: (n,) -> (n,).

    Echoes (decay 0.15 to 0.4 s, 12 to 24 dB below), the microphone's tilt (up to 2 dB in 1.5 octaves) and low cut, the
    noise of the room (26 to 44 dB below, between white and red), the level (-32 to -18 dB full scale RMS, peak 0.9).
    """
    n = len(dry)
    tail = np.arange(int(0.2 * rate)) / rate
    echo = rng.standard_normal(len(tail)) * 10 ** (-3 * tail / rng.uniform(0.15, 0.4)) * (tail > 0.002)
    echo *= 10 ** (-rng.uniform(12, 24) / 20) / np.sqrt(np.sum(echo**2))
    echo[0] = 1.0
    size = scipy.fft.next_fast_len(n + len(tail), real=True)
    hertz = np.maximum(scipy.fft.rfftfreq(size, 1 / rate), 20.0)
    tilt = 10 ** (rng.uniform(-2, 2) / 20 * np.clip(np.log2(hertz / 1000) / 1.5, -2, 2))
    low_cut = 1 / (1 + (rng.uniform(40, 120) / hertz) ** 4)
    response = scipy.fft.rfft(echo.astype(np.float32), size) * (tilt * low_cut).astype(np.float32)
    wet = scipy.fft.irfft(scipy.fft.rfft(dry, size) * response, size)[:n]
    redness = (hertz ** -rng.uniform(0.2, 0.9)).astype(np.float32)
    noise = scipy.fft.irfft(scipy.fft.rfft(rng.standard_normal(size, np.float32)) * redness, size)[:n]
    loudness = max(rms(wet), 1e-9)
    wet = wet + noise * (loudness * 10 ** (-rng.uniform(26, 44) / 20) / rms(noise))
    wet = wet * (10 ** (rng.uniform(-32, -18) / 20) / max(rms(wet), 1e-9))
    return np.asarray(wet * min(1.0, 0.9 / max(float(np.max(np.abs(wet))), 1e-9)), np.float32)


def rms(samples: Singles) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
