"""Heads: from an embedding to the logits of labels; the only part of a net that knows labels.

`linear` is each net's own form. `cosine` compares directions alone, which is what verification does with embeddings
later; its additive angular margin stands in the loss (`fit.margin`), so that both are exported and folded alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xfer.runtime.errors import Unusable, nearest

HeadKind = Literal["linear", "cosine"]
SHORTEST = 1e-6
"""Square of the length under which an embedding has no direction (behind a ReLU it may be all zeros): its cosines, and
their gradients, then go to zero and not to infinity."""


class UnitHead(nn.Module):
    """The embedding scaled to length 10, then a linear layer. Shape: (n, embedding) -> (n, classes)."""

    def __init__(self, embedding: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding, classes)

    def forward(self, embedding: Tensor) -> Tensor:
        """Shape: (n, embedding) -> (n, classes)."""
        length = embedding.square().sum(dim=1, keepdim=True).sqrt().clamp_min(1e-9)
        logits: Tensor = self.linear(10.0 * embedding / length)
        return logits


class CosineHead(nn.Module):
    """`scale` times the cosine between the embedding and each class's direction; no bias.

    Shape: (n, embedding) -> (n, classes), within -scale and scale.
    """

    folded: Tensor | None

    def __init__(self, embedding: int, classes: int, scale: float = 30.0) -> None:
        super().__init__()
        self.in_features, self.out_features, self.scale = embedding, classes, scale
        # Any direction is as likely as another.
        self.weight = nn.Parameter(torch.randn(classes, embedding) / math.sqrt(embedding))
        self.register_buffer("folded", None, persistent=False)

    def compute_directions(self) -> Tensor:
        """The classes' directions, (classes, embedding), each of length `scale`."""
        return self.scale * F.normalize(self.weight, dim=1)

    def fold(self) -> None:
        """Freeze the directions as constants, for export."""
        with torch.no_grad():
            self.folded = self.compute_directions().detach().clone()

    def forward(self, embedding: Tensor) -> Tensor:
        """Shape: (n, embedding) -> (n, classes)."""
        if not torch.is_autocast_enabled(embedding.device.type):
            return self._logits(embedding)
        # In float32: a cosine in bfloat16 has two digits, and this costs next to nothing.
        with torch.autocast(embedding.device.type, enabled=False):
            return self._logits(embedding.float())

    def _logits(self, embedding: Tensor) -> Tensor:
        length = embedding.square().sum(dim=1, keepdim=True).clamp_min(SHORTEST).sqrt()
        return F.linear(embedding / length, self.compute_directions() if self.folded is None else self.folded)


@dataclass(frozen=True)
class Wanted:
    """What a head is made for."""

    embedding: int
    classes: int
    scale: float
    """Of a cosine head."""
    linear: Callable[[int, int], nn.Module]
    """The net's own linear head, of (embedding, classes)."""


def _cosine(wanted: Wanted) -> nn.Module:
    if not (math.isfinite(wanted.scale) and wanted.scale > 0):
        raise Unusable(f"options.head_scale={wanted.scale:g} is no scale of a cosine head: above 0, for instance 30")
    return CosineHead(wanted.embedding, wanted.classes, wanted.scale)


HEADS: dict[str, Callable[[Wanted], nn.Module]] = {
    "linear": lambda wanted: wanted.linear(wanted.embedding, wanted.classes),
    "cosine": _cosine,
}
"""Heads by name."""


def make_head(kind: str, wanted: Wanted) -> nn.Module:
    """A fresh head of this kind.

    Raises Unusable for an unknown kind or a scale that is none.
    """
    if kind not in HEADS:
        raise Unusable(f"no head is called {kind!r}: {nearest(kind, HEADS)}")
    return HEADS[kind](wanted)


def last_layer(head: nn.Module) -> nn.Linear | CosineHead:
    """The layer of a head whose outputs are the labels."""
    return [module for module in head.modules() if isinstance(module, (nn.Linear, CosineHead))][-1]


def like(layer: nn.Linear | CosineHead, classes: int) -> nn.Linear | CosineHead:
    """A fresh last layer of the same kind for other labels."""
    if isinstance(layer, CosineHead):
        return CosineHead(layer.in_features, classes, layer.scale)
    fresh = nn.Linear(layer.in_features, classes, bias=layer.bias is not None)
    nn.init.xavier_uniform_(fresh.weight)
    if fresh.bias is not None:
        nn.init.zeros_(fresh.bias)
    return fresh
