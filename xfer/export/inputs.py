"""What parity feeds to a net: the formula inputs of the self-test, speech, and real windows where there are some."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable
from xfer.runtime.selftest import formula_inputs

REAL = "real: "
"""Prefix of an input that was recorded."""

CLIPPED = "clipped speech"
"""The first recording, or speech by formula, driven into clipping."""

_FORMANTS = ((700.0, 130.0), (1220.0, 170.0), (2600.0, 250.0))
"""Centre and width in Hz of an open vowel."""


def parity_inputs(window: int, rate: int, clips: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """Every input by name, float32 (window,) each.

    Silence, DC, impulse, full-scale square, chirp, noise at -60, -30 and -6 dBFS; speech by formula; speech driven into
    clipping (the first real window where there is one); the real windows.
    Raises Unusable for a real window of another length or with values that are no sound.
    """
    inputs = formula_inputs(window, rate)
    inputs["speech by formula"] = speech_like(window, rate)
    for name, samples in (clips or {}).items():
        if samples.shape != (window,) or not np.isfinite(samples).all():
            raise Unusable(f"{name} is no window for parity: {window} finite samples are needed, not {samples.shape}")
        inputs[f"{REAL}{name}"] = samples.astype(np.float32)
    loud = next((values for name, values in inputs.items() if name.startswith(REAL)), inputs["speech by formula"])
    peak = max(float(np.abs(loud).max()), 1e-6)
    inputs[CLIPPED] = np.clip(4.0 / peak * loud, -1.0, 1.0).astype(np.float32)
    return inputs


def speech_like(window: int, rate: int) -> Array:
    """Harmonics of a gliding voice under three formants, in syllables: as near to speech as a formula gets.

    Shape: -> (window,), peak 0.5.
    """
    t = np.arange(window) / rate
    pitch = 120.0 * 2.0 ** (0.25 * np.sin(2 * np.pi * 0.7 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = np.zeros(window)
    for k in range(1, int(min(3400.0, 0.45 * rate) / 143.0) + 1):
        gain = sum(1.0 / (1.0 + ((k * 120.0 - centre) / width) ** 2) for centre, width in _FORMANTS)
        voice += gain / k**0.5 * np.sin(k * phase)
    voice *= np.clip(np.sin(2 * np.pi * 2.1 * t), 0.0, None)  # about four syllables and pauses in two seconds
    return np.asarray(0.5 * voice / np.abs(voice).max(), dtype=np.float32)
