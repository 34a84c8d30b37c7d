"""The loss, and what can be done about classes of very different size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from xfer.train.recipe import FitRecipe


class Loss:
    """Mean loss of a batch: logits (n, classes), targets (n,) -> a number, nats.

    `class_weights`: a window counts in inverse proportion to its class's size, one on average. `logit_adjustment` t:
    t log(share of the class) is added to the logits in training only, so that at decision time all classes start
    level (Menon et al. 2021, "Long-tail learning via logit adjustment"). `focal`: each window counts (1 - p)^gamma, p
    being the score of its own label (Lin et al. 2017).
    """

    def __init__(self, how: FitRecipe, counts: npt.NDArray[np.int64], device: torch.device) -> None:
        share = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
        self._how = how
        self._weights: Tensor | None = None
        if how.class_weights == "balanced":
            self._weights = torch.tensor(1 / (len(share) * share), dtype=torch.float32, device=device)
        self._shift: Tensor | None = None
        if how.logit_adjustment:
            self._shift = torch.tensor(how.logit_adjustment * np.log(share), dtype=torch.float32, device=device)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss, a scalar."""
        logits = logits.float()
        if self._shift is not None:
            logits = logits + self._shift
        if self._how.loss == "cross_entropy":
            smoothing = self._how.label_smoothing
            return F.cross_entropy(logits, targets, weight=self._weights, label_smoothing=smoothing)
        each = F.cross_entropy(logits, targets, reduction="none")
        each = each * (1 - torch.exp(-each)) ** self._how.focal_gamma
        if self._weights is None:
            return each.mean()
        weights = self._weights[targets]
        return (each * weights).sum() / weights.sum()
