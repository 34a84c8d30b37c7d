"""Is this only steady noise? A net that refuses hiss has learned nothing about strangers, so it counts for nothing.

Noise from a generator keeps its spectrum: the power of a band, taken over some stretches of it, differs from stretch to
stretch by no more than chance makes the mean of so many squared Gaussian numbers differ. Of eight stretches in eight
bands, white, pink and brown noise and all between differ by 0.8 to 1.7 times that; of ESC-10's 320 real recordings one
rain does by 1.6 and all others by 2.06 and more; speech by 5 to 60. Silence and tones do not differ at all.
"""

from __future__ import annotations

import numpy as np

from xfer.runtime.audio import Samples

LIMIT = 2.0
"""Times what chance alone gives."""
_FRAME = 512
_STRETCHES = 8
_BANDS = 8
_LEAST_FRAMES = 2 * _STRETCHES
_HANN_BINS = 1.5
"""So many neighbouring bins of a frame with a Hann window tell as much as one."""


def steady(samples: Samples) -> bool:
    """Is it noise of an unchanging spectrum, a tone, or silence? (n,); what is under 8,192 samples is too short to say.

    Frames do not overlap, so that they are independent of each other.
    """
    frames = len(samples) // _FRAME
    if frames < _LEAST_FRAMES:
        return False
    cut = samples[: frames * _FRAME].reshape(frames, _FRAME).astype(np.float64) * np.hanning(_FRAME)
    power = np.abs(np.fft.rfft(cut)) ** 2
    edges = np.unique(np.geomspace(2, _FRAME // 2, _BANDS + 1).round().astype(int))
    bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    each = frames // _STRETCHES
    stretches = bands[: each * _STRETCHES].reshape(_STRETCHES, each, -1).mean(axis=1)
    differ = stretches.std(axis=0, ddof=1) / np.maximum(stretches.mean(axis=0), 1e-30)
    by_chance = 1 / np.sqrt(each * np.maximum(np.diff(edges) / _HANN_BINS, 1.0))
    return bool(np.sqrt(np.mean((differ / by_chance) ** 2)) < LIMIT)
