"""Filtering by a curve over frequency, and how strong a window is."""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor

FRAME_SECONDS, ACTIVE_SHARE = 0.01, 0.01
"""As in data.background: frames of 10 ms, active from 20 dB below the loudest one on."""
RING_SECONDS = 0.1
"""Silence behind a window that is filtered, so that what rings beyond one end does not come in at the other."""


def fast_length(count: int) -> int:
    """The next length from `count` on that transforms fast, an even one."""
    return 2 * int(next_fast_len((count + 1) // 2, real=True))


def transform_length(count: int, rate: int) -> int:
    """The length at which windows of `count` samples are filtered."""
    return fast_length(count + round(RING_SECONDS * rate))


def frequencies(length: int, rate: int, device: torch.device) -> Tensor:
    """Of the bins of a transform of this length, Hz: (length // 2 + 1,), float32."""
    return torch.arange(length // 2 + 1, device=device, dtype=torch.float32) * (rate / length)


def filtered(waves: Tensor, gains: Tensor, length: int) -> Tensor:
    """Waves times a curve over frequency, without any delay: (n, time), (n, length // 2 + 1) -> (n, time)."""
    changed: Tensor = torch.fft.irfft(torch.fft.rfft(waves, length) * gains, length)
    return changed[:, : waves.shape[1]]


def power(waves: Tensor) -> Tensor:
    """Mean square: (n, time) -> (n,)."""
    return waves.square().mean(dim=1)


def active_power(waves: Tensor, rate: int) -> Tensor:
    """Mean power of the frames in which something sounds, as `data.background.active_power`: (n, time) -> (n,)."""
    frame = max(1, round(FRAME_SECONDS * rate))
    whole = waves.shape[1] // frame * frame
    if not whole:
        return power(waves)
    powers = waves[:, :whole].reshape(len(waves), -1, frame).square().mean(dim=2)
    active = (powers >= ACTIVE_SHARE * powers.amax(dim=1, keepdim=True)).float()
    return (powers * active).sum(dim=1) / active.sum(dim=1)


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, and zero where the denominator is zero: silence stays silence."""
    safe = torch.where(denominator > 0, denominator, torch.ones_like(denominator))
    return torch.where(denominator > 0, numerator / safe, torch.zeros_like(numerator))
