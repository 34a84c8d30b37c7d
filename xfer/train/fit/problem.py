"""What a method of training offers to the loop, and what the loop tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from xfer.train.augment import Masked
from xfer.train.metrics import Metrics
from xfer.train.nets import Net

Inputs = Tensor | Masked
"""(n, ...)"""
Batch = tuple[Inputs, Tensor]
"""Inputs and targets, (n,) or soft ones (n, classes), on the device."""


class Problem(Protocol):
    """What a method of training must offer to the loop."""

    net: Net
    labels: tuple[str, ...]
    data: dict[str, Any]
    """What the checkpoint says of the data."""

    def trained(self) -> nn.Module:
        """The module whose parameters are learned, in the mode for training."""

    def counts(self) -> npt.NDArray[np.int64]:
        """Training items of each label, (labels,)."""

    def steps(self) -> int:
        """Batches in an epoch."""

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the `first` on: the same ones whatever came before."""

    def names(self, epoch: int, step: int) -> list[str]:
        """What a batch was made of, in words."""

    def logits(self, inputs: Any) -> Tensor:
        """(n, classes)"""

    def validate(self) -> Metrics:
        """Metrics of the validation side, the net in evaluation mode."""


@dataclass(frozen=True)
class Progress:
    """What the loop tells while it works."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    """Mean over the epoch so far, nats."""
    windows_per_second: float
    validation: Metrics | None = None
    """Set once, at the end of an epoch."""
    best: bool = False
    """The validation is the best so far."""
    note: str = ""
    """Something that a user must know."""
    memory: float = 0.0
    """In use by this process, on a card that the card's, GB; 0: not known."""
