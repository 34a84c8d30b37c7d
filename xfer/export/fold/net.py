"""The inference net: front-end, stages, embedding, head and softmax, with nothing that only training needs."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xfer.export.fold.bands import bands_as_channels
from xfer.export.fold.norms import fold_norms
from xfer.export.fold.stft import TwoStageStft, checked_form
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


def fold(net: Net, frontend: str = "conv") -> InferenceNet:
    """A folded copy, on the CPU in float32; the net itself stays as it is.

    `frontend`: the form of the front-end, one of `forms_of(net.frontend)`. Raises Unusable for another.
    """
    form = checked_form(net.frontend, frontend)
    folded = copy.deepcopy(net).cpu().eval()
    if form == "fft":
        folded.frontend = TwoStageStft(folded.frontend)  # type: ignore[assignment, arg-type]  # the form says it is one
    else:
        folded.frontend.fold()
    for part in folded.head.modules():
        if isinstance(part, CosineHead):
            part.fold()
    # Only now: before, it would take the float64 out of the times and windows that the filters are computed from.
    folded = folded.float()
    _drop_dropout(folded)
    inference = InferenceNet(folded).eval().requires_grad_(False)
    silence = torch.zeros(1, folded.window)
    fold_norms(inference, silence)
    bands_as_channels(folded.stages, folded.frontend(silence))
    return inference.requires_grad_(False)


def _drop_dropout(module: nn.Module) -> None:
    """Replace every dropout by nothing at all: in evaluation it does nothing, and no exporter need know that."""
    for name, child in module.named_children():
        if isinstance(child, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)):
            setattr(module, name, nn.Identity())
        else:
            _drop_dropout(child)
