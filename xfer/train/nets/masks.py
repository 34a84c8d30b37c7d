"""Bands of frequency and stretches of time that a net does not hear while it trains: SpecAugment.

Park et al. 2019, "SpecAugment". Where they lie is drawn outside (`train.augment`), as shares of the axes, so that it is
known before the front-end has computed anything.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Masks(NamedTuple):
    """Where the masks of a batch of windows lie: begin and end as shares of the axis, 0 to 1; begin = end: none."""

    frequency: Tensor
    """(n, masks, 2)"""
    time: Tensor
    """(n, masks, 2)"""


def masked(features: Tensor, masks: Masks) -> Tensor:
    """Zero, which is silence in every front-end here, where a mask lies.

    Shape: (n, channels, frames, bins) or (n, filters, time) -> the same.
    """
    if features.dim() == 4:
        time, frequency = features.shape[2:]
        hidden = _hidden(masks.time, time)[:, None, :, None] | _hidden(masks.frequency, frequency)[:, None, None, :]
    else:
        frequency, time = features.shape[1:]
        hidden = _hidden(masks.frequency, frequency)[:, :, None] | _hidden(masks.time, time)[:, None, :]
    return features.masked_fill(hidden, 0.0)


def _hidden(spans: Tensor, length: int) -> Tensor:
    """Which places of an axis lie under a mask: (n, masks, 2) -> (n, length), bool."""
    edges = (spans * length).round()
    places = torch.arange(length, device=spans.device)
    under = (places >= edges[:, :, :1]) & (places < edges[:, :, 1:])
    return under.any(dim=1)
