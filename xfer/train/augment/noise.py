"""Noise at a given level below what is heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from xfer.train.augment.draws import Draws
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.augment.spectrum import active_power, fast_length, frequencies, power, ratio

LOWEST_HZ = 20.0
"""Below it noise is flat: a tilt goes to infinity at zero."""
COLOURS = ((0.25, "white"), (0.75, "between white and pink"), (1.25, "pink"), (1.75, "between pink and brown"))


@dataclass(frozen=True)
class Noise:
    """Stationary noise whose power falls with frequency as 1 / f**tilt."""

    snr_db: Tensor
    """(n,): the active level of the window over the level of the noise."""
    tilt: Tensor
    """(n,)"""
    rate: int
    draws: Draws
    name: ClassVar[str] = "noise"
    summary: ClassVar[str] = "noise of some colour below what is heard"

    @classmethod
    def draw(cls, how: AugmentRecipe, draws: Draws, rate: int) -> Self:
        """Uniform in dB and in tilt."""
        return cls(draws.uniform(*how.noise_snr_db), draws.uniform(*how.noise_tilt), rate, draws)

    def apply(self, waves: Tensor) -> Tensor:
        """Shape: (n, time) -> (n, time)."""
        return added(waves, self.coloured(waves.shape[1], waves.device), self.snr_db.to(waves), self.rate)

    def coloured(self, count: int, device: torch.device) -> Tensor:
        """Noise alone, at no level in particular, (n, count)."""
        length = fast_length(count)
        hertz = frequencies(length, self.rate, device).clamp_min(LOWEST_HZ)
        tilt = self.tilt.to(device, torch.float32)[:, None]
        spectrum = self.draws.normal(len(hertz), device, torch.complex64) * hertz ** (-tilt / 2)
        spectrum[:, 0] = 0.0
        noise: Tensor = torch.fft.irfft(spectrum, length)[:, :count]
        return noise

    def words(self, row: int) -> str:
        """Level and colour."""
        tilt = float(self.tilt[row])
        colour = next((name for limit, name in COLOURS if tilt < limit), "brown")
        return f"{float(self.snr_db[row]):.1f} dB below, {colour} (tilt {tilt:.1f})"


def added(waves: Tensor, noise: Tensor, snr_db: Tensor, rate: int) -> Tensor:
    """Waves with noise so far below their active level: (n, time), (n, time), (n,) -> (n, time)."""
    share = ratio(active_power(waves, rate), power(noise)) * 10.0 ** (-snr_db / 10.0)
    return waves + noise * share.sqrt()[:, None]
