"""What int8 is calibrated on: real windows of the training side, at levels from far too quiet to clipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable

LEAST = 64
"""Windows; fewer say too little about the range of each activation."""
GAINS_DB = (-40.0, -20.0, 0.0, 10.0)
"""Each window is heard at one of them, in turns, and the last clips: a microphone turned down, and one too near."""


TAIL = 2e-4
"""Share of a window's values, at either end, that a quantizer need not reach. Measured on trained nets, the ratio of
signal to int8's noise at the inputs of their convolutions, worst window: RawNet2's 19 to 22 dB with the very largest
value, 23 to 26 dB without this tail; ConvNet 2 dB better too. Over all windows together
such a tail would clip the loud ones."""
HEARD = 8
"""Real clips that parity hears at every one of these levels."""


def at_levels(clips: Mapping[str, Array]) -> dict[str, Array]:
    """The first clips, (window,) each, at each level but their own, by name and level."""
    return {
        f"{name}, {gain:+g} dB": at_level(window, gain)
        for name, window in list(clips.items())[:HEARD]
        for gain in GAINS_DB
        if gain
    }


def at_level(window: Array, gain_db: float) -> Array:
    """A window (samples,) made louder or quieter, and cut at full scale as a converter does."""
    louder: Array = (window * np.float32(10.0 ** (gain_db / 20.0))).astype(np.float32)
    return np.clip(louder, np.float32(-1.0), np.float32(1.0))


def calibration(windows: Sequence[Array]) -> list[Array]:
    """Each window at each gain, (1, samples) each. Raises Unusable for too few windows, saying how many there are."""
    if len(windows) < LEAST:
        raise Unusable(
            f"int8 is calibrated on {LEAST} windows of the training side at least, and {len(windows)} were found: "
            "bring the recordings of the run back to where they were, or export with --precision fp32"
        )
    return [at_level(window, gain)[None] for window in windows for gain in GAINS_DB]
