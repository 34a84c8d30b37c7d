"""Mixup: a window with a share of another, and its label with the same share of the other's.

Zhang et al. 2018, "mixup: Beyond empirical risk minimization". The share is drawn for each window by itself.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional as F

from xfer.train.augment.draws import Draws
from xfer.train.augment.recipe import AugmentRecipe


def draw_mixup(how: AugmentRecipe, draws: Draws) -> tuple[Tensor, Tensor]:
    """For each window its own share, Beta(alpha, alpha) or one, (n,), and which other it is mixed with, (n,)."""
    chosen = draws.uniform() < how.mixup
    alpha = how.mixup_alpha
    share = torch.from_numpy(np.asarray(betaincinv(alpha, alpha, draws.uniform().numpy())))
    # A random ring: each window is mixed with its neighbour in it, so never with itself.
    ring = torch.argsort(draws.uniform())
    partner = torch.empty_like(ring)
    partner[ring] = ring.roll(1)
    return torch.where(chosen, share, torch.ones_like(share)), partner


def mixed(inputs: Tensor, shares: Tensor, partners: Tensor) -> Tensor:
    """Each with its partner: (n, ...), (n,), (n,) -> (n, ...)."""
    own = shares.to(inputs).view(-1, *(1,) * (inputs.dim() - 1))
    return own * inputs + (1 - own) * inputs[partners.to(inputs.device)]


def soft(targets: Tensor, classes: int) -> Tensor:
    """All of each target on its own label: (n,) -> (n, classes), float32."""
    return F.one_hot(targets, classes).float()
