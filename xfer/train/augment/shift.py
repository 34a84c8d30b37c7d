"""Earlier or later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from xfer.train.augment.draws import Draws
from xfer.train.augment.recipe import AugmentRecipe


@dataclass(frozen=True)
class Shift:
    """What leaves the window at one end is gone; silence comes in at the other."""

    samples: Tensor
    """(n,), int64; above 0: later."""
    rate: int
    name: ClassVar[str] = "shift"
    summary: ClassVar[str] = "earlier or later"

    @classmethod
    def draw(cls, how: AugmentRecipe, draws: Draws, rate: int) -> Self:
        """Uniform in seconds."""
        return cls(torch.round(draws.uniform(*how.shift_seconds) * rate).long(), rate)

    def apply(self, waves: Tensor) -> Tensor:
        """Shape: (n, time) -> (n, time)."""
        count = waves.shape[1]
        samples = self.samples.clamp(-count, count)
        room = int(samples.abs().max())
        return cut(F.pad(waves, (room, room)), room - samples, count)

    def words(self, row: int) -> str:
        """How far."""
        seconds = float(self.samples[row]) / self.rate
        return f"{abs(seconds):.3f} s {'later' if seconds >= 0 else 'earlier'}"


def cut(waves: Tensor, starts: Tensor, count: int) -> Tensor:
    """From each wave `count` samples from its start on: (n, time), (n,) on the CPU -> (n, count)."""
    # Slices are copied ten times as fast as single samples are gathered.
    return torch.stack([wave[start : start + count] for wave, start in zip(waves, starts.tolist(), strict=True)])
