"""Faster or slower, as a tape would be: pitch and tempo together."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

import torch
from torch import Tensor

from xfer.train.augment.draws import Draws
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.augment.shift import cut

FINEST = 100
"""Speeds are taken as fractions with denominators up to this, for a polyphase filter of few phases."""
ZEROS = 24
"""Zero crossings of the filter on either side."""


@dataclass(frozen=True)
class Speed:
    """Resampled, and then said to be at the old rate. Ko et al. 2015, "Audio augmentation for speech recognition"."""

    which: Tensor
    """(n,): which of the speeds."""
    speeds: tuple[float, ...]
    place: Tensor
    """(n,): where in what has become longer the window lies, 0 to 1."""
    name: ClassVar[str] = "speed"
    summary: ClassVar[str] = "faster and higher, or slower and lower"

    @classmethod
    def draw(cls, how: AugmentRecipe, draws: Draws, rate: int) -> Self:  # noqa: ARG003
        """Each speed as likely as any other."""
        return cls(draws.whole(0, len(how.speeds) - 1), how.speeds, draws.uniform())

    def apply(self, waves: Tensor) -> Tensor:
        """Shape: (n, time) -> (n, time). What becomes too short is repeated, as short clips are; too long, cut."""
        changed = torch.empty_like(waves)
        for index, speed in enumerate(self.speeds):
            rows = torch.nonzero(self.which == index).flatten()
            if len(rows):
                here = rows.to(waves.device)
                changed[here] = fitted(at_speed(waves[here], speed), waves.shape[1], self.place[rows])
        return changed

    def words(self, row: int) -> str:
        """How fast."""
        return f"{self.speeds[int(self.which[row])]:g} times as fast"


def at_speed(waves: Tensor, speed: float) -> Tensor:
    """Waves so many times as fast: (n, time) -> (n, ceil(time / speed))."""
    from torchaudio.functional import resample

    share = Fraction(speed).limit_denominator(FINEST)
    if share == 1:
        return waves
    faster: Tensor = resample(waves, share.numerator, share.denominator, lowpass_filter_width=ZEROS)
    return faster


def fitted(waves: Tensor, count: int, place: Tensor) -> Tensor:
    """Windows of `count` samples: (n, time), (n,) -> (n, count). Repeated from the start where time is less."""
    spare = waves.shape[1] - count
    if spare <= 0:
        return waves.repeat(1, -(-count // waves.shape[1]))[:, :count]
    return cut(waves, torch.floor(place * (spare + 1)).clamp_max(spare).long(), count)
