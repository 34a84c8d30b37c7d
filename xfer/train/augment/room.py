"""A room: the direct sound, and an echo that decays exponentially."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from xfer.train.augment.draws import Draws
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.augment.spectrum import fast_length, power, ratio

FIRST_SECONDS = 0.002
"""Nothing comes back sooner: walls are a third of a metre away, at least."""


@dataclass(frozen=True)
class Room:
    """An impulse response by Polack's model: white noise under an exponential, behind the direct sound.

    J.-D. Polack, "La transmission de l'énergie sonore dans les salles", 1988.
    """

    t60_seconds: Tensor
    """(n,): the time in which the echo falls by 60 dB."""
    direct_db: Tensor
    """(n,): energy of the direct sound over that of the echo."""
    rate: int
    longest: int
    """Samples of the longest response that the recipe can draw."""
    draws: Draws
    name: ClassVar[str] = "room"
    summary: ClassVar[str] = "the echo of a room"

    @classmethod
    def draw(cls, how: AugmentRecipe, draws: Draws, rate: int) -> Self:
        """T60 evenly in its logarithm, as rooms are; the rest evenly in dB."""
        low, high = how.room_t60_seconds
        t60 = torch.exp(draws.uniform(math.log(low), math.log(high)))
        return cls(t60, draws.uniform(*how.room_direct_db), rate, 1 + math.ceil(high * rate), draws)

    def apply(self, waves: Tensor) -> Tensor:
        """Shape: (n, time) -> (n, time). The direct sound stays where it was, and the level what it was."""
        return echoed(waves, self.responses(min(self.longest, waves.shape[1]), waves.device))

    def responses(self, count: int, device: torch.device) -> Tensor:
        """Impulse responses, (n, count), the direct sound being 1 at their first sample."""
        time = torch.arange(count, device=device, dtype=torch.float32) / self.rate
        t60 = self.t60_seconds.to(device, torch.float32)[:, None]
        tail = self.draws.normal(count, device) * 10.0 ** (-3.0 * time / t60)
        tail = tail * ((time >= FIRST_SECONDS) & (time <= t60))
        wanted = 10.0 ** (-self.direct_db.to(device, torch.float32) / 10.0)
        tail = tail * ratio(wanted, tail.square().sum(dim=1)).sqrt()[:, None]
        tail[:, 0] = 1.0
        return tail

    def words(self, row: int) -> str:
        """Both numbers."""
        return f"T60 {float(self.t60_seconds[row]):.2f} s, direct sound {float(self.direct_db[row]):+.1f} dB"


def echoed(waves: Tensor, responses: Tensor) -> Tensor:
    """Waves convolved with impulse responses, cut to their length, at their level: (n, time), (n, k) -> (n, time)."""
    count = waves.shape[1]
    length = fast_length(count + responses.shape[1] - 1)
    spectrum = torch.fft.rfft(waves, length) * torch.fft.rfft(responses, length)
    heard: Tensor = torch.fft.irfft(spectrum, length)[:, :count]
    return heard * ratio(power(waves), power(heard)).sqrt()[:, None]
