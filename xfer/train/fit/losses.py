"""The loss, what can be done about classes of very different size, and the angular margin of a cosine head."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xfer.runtime.errors import Unusable
from xfer.train.nets.heads import CosineHead
from xfer.train.recipe import FitRecipe

SMALLEST_SINE = 1e-3
"""Nearer to its class's direction (or to the opposite one) an angle's slope is held: arccos has none at its ends."""


def margin_scale(how: FitRecipe, head: nn.Module) -> float:
    """The scale of the head that the recipe's margin is for; 0 where there is no margin.

    Raises Unusable for a margin that is none, or one on a head without angles.
    """
    if not how.margin:
        return 0.0
    if not 0.0 < how.margin < math.pi / 2:
        raise Unusable(f"fit.margin={how.margin:g} is no margin: radians from 0 to {math.pi / 2:.2f}, for instance 0.2")
    if not isinstance(head, CosineHead):
        raise Unusable(
            f"fit.margin={how.margin:g} needs a head that knows angles: --set options.head=cosine, or leave it out"
        )
    return head.scale


def with_margin(logits: Tensor, shares: Tensor, margin: float, scale: float) -> Tensor:
    """Logits of a cosine head with the angle to each target made larger by `margin` radians times its share.

    cos(angle + margin), and beyond the half turn, where that would rise again, cos(angle) - margin sin(margin):
    additive angular margin (Deng et al. 2019, "ArcFace"), as common in speaker verification.
    Shape: logits (n, classes), shares (n, classes) -> (n, classes).
    """
    cosine, added = logits / scale, margin * shares
    sine = ((1 - cosine) * (1 + cosine)).clamp_min(SMALLEST_SINE**2).sqrt()
    turned = cosine * added.cos() - sine * added.sin()
    moved = torch.where(cosine > -added.cos(), turned, cosine - added * added.sin())
    return torch.where(shares > 0, scale * moved, logits)


class Loss:
    """Mean loss of a batch: logits (n, classes), targets (n,) or shares (n, classes) -> a number, nats.

    Shares, which mixup gives, are one in each row in sum; all of it on one label is the same as that label's index.
    `class_weights`: a window counts in inverse proportion to its class's size, one on average. `logit_adjustment` t:
    t log(share of the class) is added to the logits in training only, so that at decision time all classes start
    level (Menon et al. 2021, "Long-tail learning via logit adjustment"). `focal`: each window counts (1 - p)^gamma, p
    being the score of its own label (Lin et al. 2017). `margin`: the angle to the own label counts as so much larger;
    of soft targets each label's by its share.
    """

    def __init__(self, how: FitRecipe, counts: npt.NDArray[np.int64], device: torch.device, scale: float = 0.0) -> None:
        share = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
        self._how, self._scale = how, scale
        self._weights: Tensor | None = None
        if how.class_weights == "balanced":
            self._weights = torch.tensor(1 / (len(share) * share), dtype=torch.float32, device=device)
        self._shift: Tensor | None = None
        if how.logit_adjustment:
            self._shift = torch.tensor(how.logit_adjustment * np.log(share), dtype=torch.float32, device=device)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss, a scalar."""
        logits = logits.float()
        if self._scale:
            soft = targets.is_floating_point()
            shares = targets if soft else F.one_hot(targets, logits.shape[1]).to(logits.dtype)
            logits = with_margin(logits, shares, self._how.margin, self._scale)
        if self._shift is not None:
            logits = logits + self._shift
        if targets.is_floating_point():
            return self._of_shares(logits, targets)
        if self._how.loss == "cross_entropy":
            smoothing = self._how.label_smoothing
            return F.cross_entropy(logits, targets, weight=self._weights, label_smoothing=smoothing)
        each = F.cross_entropy(logits, targets, reduction="none")
        each = each * (1 - torch.exp(-each)) ** self._how.focal_gamma
        if self._weights is None:
            return each.mean()
        weights = self._weights[targets]
        return (each * weights).sum() / weights.sum()

    def _of_shares(self, logits: Tensor, shares: Tensor) -> Tensor:
        """The same of soft targets: each label's own loss, weighted by its share."""
        minus_log = -F.log_softmax(logits, dim=1)
        weights = torch.ones_like(shares[0]) if self._weights is None else self._weights
        # torch divides weighted soft targets by n, and weighted indices by their weights' sum: here both do the latter.
        total = (shares * weights).sum()
        if self._how.loss == "cross_entropy":
            smoothing = self._how.label_smoothing
            shares = (1 - smoothing) * shares + smoothing / shares.shape[1]
        else:
            minus_log = minus_log * (1 - torch.exp(-minus_log)) ** self._how.focal_gamma
        return (shares * weights * minus_log).sum() / total
