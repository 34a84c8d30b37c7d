"""Fold: a trained net becomes what a model file computes.

The front-end's kernels and a cosine head's directions are constants, nothing of training is left (dropout gone, batch
norm with its running statistics), and the softmax is inside. Batch norms stay nodes of their own: both engines fold
them into the convolution before them when they load the graph, exactly where it is exact, and parity measures the
result.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xfer.train.nets import Net
from xfer.train.nets.heads import CosineHead


class Inferred(NamedTuple):
    """What a model file gives, and the front-end's features for the twin."""

    scores: Tensor
    """(n, classes), each row sums to 1"""
    logits: Tensor
    """(n, classes)"""
    embedding: Tensor
    """(n, embedding_size)"""
    features: Tensor
    """What the front-end gives, (n, ...)"""
    taps: tuple[Tensor, ...]
    """What each stage gives, whole, in the order of the net's stages, (n, ...) each"""


class InferenceNet(nn.Module):
    """A net as it is exported. Shape: (n, window) -> Inferred."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, audio: Tensor) -> Inferred:
        """Shape: audio (n, window) -> scores (n, classes), logits (n, classes), embedding (n, e), features, taps."""
        features = self.net.frontend(audio)
        walked = tuple(self.net.walk(features))
        embedding = self.net.embed(walked[-1][1])
        logits = self.net.head(embedding)
        taps = tuple(activation for _, activation in walked)
        return Inferred(torch.softmax(logits, dim=1), logits, embedding, features, taps)


def fold(net: Net) -> InferenceNet:
    """A folded copy; the net itself stays as it is."""
    folded = copy.deepcopy(net).cpu().float().eval()
    folded.frontend.fold()
    for part in folded.head.modules():
        if isinstance(part, CosineHead):
            part.fold()
    _drop_dropout(folded)
    return InferenceNet(folded).eval().requires_grad_(False)


def _drop_dropout(module: nn.Module) -> None:
    """Replace every dropout by nothing at all: in evaluation it does nothing, and no exporter need know that."""
    for name, child in module.named_children():
        if isinstance(child, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)):
            setattr(module, name, nn.Identity())
        else:
            _drop_dropout(child)
