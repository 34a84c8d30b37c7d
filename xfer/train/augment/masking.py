"""Where SpecAugment's masks lie; `nets.masks` applies them."""

from __future__ import annotations

import torch
from torch import Tensor

from xfer.train.augment.draws import Draws
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.nets.masks import Masks


def draw_masks(how: AugmentRecipe, draws: Draws, device: torch.device) -> Masks:
    """For each window, as shares of the axes: a width from none to the largest, then a place where it fits."""
    chosen = draws.uniform() < how.masks
    frequency = _spans(draws, how.masks_frequency, how.masks_frequency_share, chosen)
    time = _spans(draws, how.masks_time, how.masks_time_share, chosen)
    return Masks(frequency.to(device, torch.float32), time.to(device, torch.float32))


def _spans(draws: Draws, count: int, largest: float, chosen: Tensor) -> Tensor:
    """(n, count, 2)"""
    width = draws.uniforms(count, 0.0, largest) * chosen[:, None]
    begin = draws.uniforms(count) * (1 - width)
    return torch.stack([begin, begin + width], dim=2)
