"""A poor recorder or line: the telephone, a low sample rate, few bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from xfer.train.augment.draws import Draws
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.augment.spectrum import filtered, frequencies, ratio, transform_length

TELEPHONE_HZ, MU, STEPS = 8000.0, 255.0, 127.0
"""ITU-T G.711, mu-law."""
TRANSITION = 0.1
"""A converter's filter falls from 1 to 0 over this share below half its rate."""


@dataclass(frozen=True)
class Codec:
    """One kind of damage for each window."""

    kind: Tensor
    """(n,): which of the kinds."""
    kinds: tuple[str, ...]
    rate_hz: Tensor
    """(n,): the lower sample rate of `rate`."""
    bits: Tensor
    """(n,): of `bits`."""
    rate: int
    name: ClassVar[str] = "codec"
    summary: ClassVar[str] = "a telephone, a low sample rate, or few bits"

    @classmethod
    def draw(cls, how: AugmentRecipe, draws: Draws, rate: int) -> Self:
        """Each kind as likely as any other; the rate evenly in octaves."""
        kind = draws.whole(0, len(how.codec_kinds) - 1)
        hertz = torch.exp(draws.uniform(*(math.log(each) for each in how.codec_rate_hz)))
        return cls(kind, how.codec_kinds, hertz, draws.whole(*how.codec_bits), rate)

    def apply(self, waves: Tensor) -> Tensor:
        """Shape: (n, time) -> (n, time)."""
        ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "telephone": lambda some, _: telephone(some, self.rate),
            "rate": lambda some, rows: at_rate(some, self.rate_hz[rows].to(some), self.rate),
            "bits": lambda some, rows: with_bits(some, self.bits[rows].to(some)),
        }
        changed = torch.empty_like(waves)
        for index, kind in enumerate(self.kinds):
            rows = torch.nonzero(self.kind == index).flatten()
            if len(rows):
                here = rows.to(waves.device)
                changed[here] = ways[kind](waves[here], rows)
        return changed

    def words(self, row: int) -> str:
        """The kind, with its number."""
        match self.kinds[int(self.kind[row])]:
            case "rate":
                return f"sampled at {float(self.rate_hz[row]):,.0f} Hz"
            case "bits":
                return f"{int(self.bits[row])} bits"
            case _:
                return "telephone: 8,000 Hz, mu-law"


def telephone(waves: Tensor, rate: int) -> Tensor:
    """8,000 Hz and eight bits by mu-law: (n, time) -> (n, time).

    The companding is done at the waves' own rate and its products above the band are taken out after it: what is left
    is what a line at 8,000 Hz gives, but for the few products that would have been folded back.
    """
    hertz = torch.full((len(waves),), TELEPHONE_HZ, device=waves.device)
    band = at_rate(waves, hertz, rate)
    full = band.abs().amax(dim=1, keepdim=True).clamp_min(1.0)  # what is beyond full scale was turned down before
    code = (torch.log1p(MU * (band / full).abs()) / math.log1p(MU) * STEPS).round()
    decoded = torch.sign(band) * torch.expm1(code / STEPS * math.log1p(MU)) / MU
    return at_rate(decoded * full, hertz, rate)


def at_rate(waves: Tensor, hertz: Tensor, rate: int) -> Tensor:
    """What a lower sample rate leaves, at the old one: (n, time), (n,) -> (n, time). A higher one changes nothing."""
    length = transform_length(waves.shape[1], rate)
    half = hertz[:, None] / 2
    at = (frequencies(length, rate, waves.device)[None, :] / half - (1 - TRANSITION)) / TRANSITION
    gains = 0.5 + 0.5 * torch.cos(math.pi * at.clamp(0, 1))
    return torch.where(hertz[:, None] < rate, filtered(waves, gains, length), waves)


def with_bits(waves: Tensor, bits: Tensor) -> Tensor:
    """So many bits a sample, the window's peak at full scale: (n, time), (n,) -> (n, time)."""
    peak = waves.abs().amax(dim=1, keepdim=True)
    steps = 2.0 ** (bits[:, None] - 1) - 1
    return (ratio(waves, peak.expand_as(waves)) * steps).round() * (peak / steps)
