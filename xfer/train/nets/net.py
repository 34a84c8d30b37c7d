"""What every net is: front-end -> stages -> embedding -> head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xfer.train.nets.frontends import Frontend
from xfer.train.nets.heads import last_layer, like
from xfer.train.nets.masks import Masks, masked


class Outputs(NamedTuple):
    """What a net says of a batch of windows."""

    logits: Tensor
    """(n, classes)"""
    embedding: Tensor
    """(n, embedding_size)"""


class Net(nn.Module):
    """A front-end, named stages, an embedding and a head; only the head knows labels.

    Shape: (n, window) float32 -> Outputs.
    """

    def __init__(
        self,
        name: str,
        *,
        sample_rate: int,
        window: int,
        frontend: Frontend,
        stages: Mapping[str, nn.Module],
        embed: nn.Module,
        embedding_size: int,
        head: nn.Module,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.name, self.sample_rate, self.window, self.embedding_size = name, sample_rate, window, embedding_size
        self.options = dict(options)
        self.frontend = frontend
        self.stages = nn.ModuleDict(stages)
        self.embed = embed
        self.head = head

    def walk(self, features: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each stage's name and activation in turn; a net with a skip overrides this."""
        for name, stage in self.stages.items():
            features = stage(features)
            yield name, features

    def _heard(self, wave: Tensor) -> Tensor:
        """The front-end's output; in float32 also where the body computes in less: its sums are long and its range
        wide."""
        if not torch.is_autocast_enabled(wave.device.type):
            features: Tensor = self.frontend(wave)
            return features
        with torch.autocast(wave.device.type, enabled=False):
            features = self.frontend(wave.float())
            return features

    def forward(self, wave: Tensor, masks: Masks | None = None) -> Outputs:
        """Shape: (n, window) -> logits (n, classes), embedding (n, embedding_size).

        `masks`: what of the front-end's output is not heard; only training gives any.
        """
        features = self._heard(wave)
        *_, (_, last) = self.walk(features if masks is None else masked(features, masks))
        embedding = self.embed(last)
        return Outputs(self.head(embedding), embedding)

    def taps(self, wave: Tensor) -> dict[str, Tensor]:
        """The pooled activation of each stage, then the embedding; (n, channels) each.

        Pooled is the mean over time (and frequency).
        """
        pooled: dict[str, Tensor] = {}
        stages = dict(self.walk(self.frontend(wave)))
        for name, activation in stages.items():
            pooled[name] = activation.flatten(2).mean(dim=2) if activation.dim() > 2 else activation
        pooled["embedding"] = self.embed(stages[name])
        return pooled

    @property
    def classes(self) -> int:
        """How many labels the head tells apart."""
        return last_layer(self.head).out_features

    def body_parameters(self) -> Iterator[nn.Parameter]:
        """All that is kept when the head is replaced."""
        for name, parameter in self.named_parameters():
            if not name.startswith("head."):
                yield parameter


def replace_head(net: Net, classes: int) -> None:
    """Give the net a new head of the same kind for other labels, freshly initialised; the body stays."""
    last = last_layer(net.head)
    fresh = like(last, classes)
    if last is net.head:
        net.head = fresh
        return
    for module in net.head.modules():
        for name, child in module.named_children():
            if child is last:
                setattr(module, name, fresh)
