"""Samples that a program hands over: of any type, one clip or block after block."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import LARGEST_SOUND, Samples, mono, no_sound
from xfer.runtime.errors import Unusable
from xfer.runtime.sources import Block

Wave = npt.NDArray[np.floating] | npt.NDArray[np.integer]
"""Samples, (n,) or (n, channels): floats in -1 to 1, or signed integers over their full scale."""


def samples_of(wave: Wave) -> Samples:
    """Samples of any type as mono float32, (n,), n > 0. Raises Unusable for what is no sound."""
    samples = _mono(wave)
    if not len(samples):
        raise Unusable("there are no samples: give one second of sound at least")
    if no_sound(samples).any():
        raise Unusable(
            f"there are samples that are no sound (NaN, infinite or beyond +-{LARGEST_SOUND:g}): give floats in -1 to 1"
        )
    return samples


def check_rate(rate: int) -> int:
    """A rate in Hz. Raises Unusable for what is none."""
    if not 1000 <= rate <= 768_000 or int(rate) != rate:
        raise Unusable(f"{rate} Hz is no rate of sound: give that of the samples")
    return int(rate)


class Blocks:
    """Blocks of samples from anywhere as a source: values that are no sound are gaps, as from a microphone."""

    name = "blocks"
    live = True
    notes: tuple[str, ...] = ()

    def __init__(self, waves: Iterable[Wave], rate: int) -> None:
        self.rate = check_rate(rate)
        self._waves = waves
        self._stopped = False

    def blocks(self) -> Iterator[Block]:
        """As they come. Raises Unusable for what is no block of samples."""
        for wave in self._waves:
            if self._stopped:
                return
            yield Block(_mono(wave), time.monotonic())

    def stop(self) -> None:
        """End before the next block."""
        self._stopped = True

    def close(self) -> None:
        """Nothing is held."""


def _mono(wave: Wave) -> Samples:
    """(n,) or (n, channels) of any type as float32, (n,)."""
    values = np.asarray(wave)
    if values.ndim not in (1, 2) or values.shape[-1] == 0 < values.ndim - 1:
        raise Unusable(f"an array of shape {values.shape} is no sound: give samples as (n,) or (n, channels)")
    if values.ndim == 2 and values.shape[1] > max(values.shape[0], 2):
        raise Unusable(f"an array of shape {values.shape} has more channels than samples: give it as (n, channels)")
    if np.issubdtype(values.dtype, np.signedinteger):
        samples = values.astype(np.float32) / np.float32(2 ** (8 * values.dtype.itemsize - 1))
    elif np.issubdtype(values.dtype, np.floating):
        samples = values.astype(np.float32)
    else:
        raise Unusable(f"samples of type {values.dtype} are not known: give floats, or signed integers at full scale")
    return samples if samples.ndim == 1 else mono(samples)
