"""A microphone: it hears between two edges, and unevenly there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from xfer.train.augment.draws import Draws
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.augment.spectrum import filtered, frequencies, transform_length

POINTS, FIRST_HZ = 8, 60.0
"""The curve is drawn at eight points from 60 Hz to half the rate, equally far apart in octaves."""


@dataclass(frozen=True)
class Response:
    """Gains over frequency, straight lines in dB over octaves between the points, and nothing but gains: no delay."""

    low_hz: Tensor
    """(n,): -3 dB and, below, 12 dB an octave (Butterworth, order 2)."""
    high_hz: Tensor
    """(n,): -3 dB and, above, 24 dB an octave (order 4); at half the rate or above: no edge."""
    points_db: Tensor
    """(n, POINTS)"""
    rate: int
    name: ClassVar[str] = "response"
    summary: ClassVar[str] = "a microphone's uneven response"

    @classmethod
    def draw(cls, how: AugmentRecipe, draws: Draws, rate: int) -> Self:
        """Edges evenly in octaves, points evenly in dB."""
        low, high = (
            torch.exp(draws.uniform(*(math.log(max(edge, 1.0)) for edge in edges)))
            for edges in (how.response_low_hz, how.response_high_hz)
        )
        return cls(low, high, draws.uniforms(POINTS, *how.response_db), rate)

    def apply(self, waves: Tensor) -> Tensor:
        """Shape: (n, time) -> (n, time)."""
        length = transform_length(waves.shape[1], self.rate)
        return filtered(waves, self.gains(frequencies(length, self.rate, waves.device)), length)

    def gains(self, hertz: Tensor) -> Tensor:
        """At these frequencies: (bins,) -> (n, bins), amplitudes."""
        low, high, points = (each.to(hertz) for each in (self.low_hz, self.high_hz, self.points_db))
        octave = (hertz.clamp_min(FIRST_HZ) / FIRST_HZ).log() / math.log(self.rate / 2 / FIRST_HZ)
        at = octave * (POINTS - 1)
        near = (1 - (at[None, :] - torch.arange(POINTS, device=hertz.device)[:, None]).abs()).clamp_min(0)
        curve = 10.0 ** (points @ near / 20.0)
        below = (low[:, None] / hertz.clamp_min(1e-3)) ** 4
        above = (hertz / high[:, None]) ** 8 * (high < self.rate / 2)[:, None]
        return curve / ((1 + below) * (1 + above)).sqrt()

    def words(self, row: int) -> str:
        """The edges, and how uneven it is between them."""
        points = self.points_db[row]
        return (
            f"{float(self.low_hz[row]):.0f} to {min(float(self.high_hz[row]), self.rate / 2):,.0f} Hz, "
            f"{float(points.min()):+.1f} to {float(points.max()):+.1f} dB"
        )
