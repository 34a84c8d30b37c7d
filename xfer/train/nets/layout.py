"""Layers over time that keep the memory layout of what they are given.

An activation (n, channels, time) lies in memory with time innermost, as torch lays it by itself, or with channels
innermost (its middle stride is 1). Which is faster depends on the processor and the number format: in float32 on a
plain CPU convolutions like the first, in bfloat16 on one with units for it they are several times faster in the second.
Weights, results and exported graphs are the same; `fit.forms` measures and chooses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def channels_innermost(x: Tensor) -> bool:
    """Does this (n, channels, time) lie with channels innermost? A graph that is exported never does."""
    return not torch.onnx.is_in_onnx_export() and x.dim() == 3 and x.shape[1] > 1 and x.stride(1) == 1


class TimeConv1d(nn.Conv1d):
    """`nn.Conv1d` of stride 1. Shape: (n, a, time) -> (n, b, time)."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (n, a, time) -> (n, b, time)."""
        if not channels_innermost(x):
            return super().forward(x)
        weight = self.weight[:, :, None].contiguous(memory_format=torch.channels_last)
        padding = self.padding if isinstance(self.padding, str) else (0, int(self.padding[0]))
        return F.conv2d(x[:, :, None], weight, self.bias, padding=padding)[:, :, 0]


class TimeNorm1d(nn.BatchNorm1d):
    """`nn.BatchNorm1d`. Shape: (n, channels, time) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (n, channels, time) -> the same."""
        return super().forward(x[:, :, None])[:, :, 0] if channels_innermost(x) else super().forward(x)

    def _check_input_dim(self, input: Tensor) -> None:
        """Three axes, or four in the other layout."""


class TimeMaxPool1d(nn.MaxPool1d):
    """`nn.MaxPool1d` without padding. Shape: (n, channels, time) -> (n, channels, time // size)."""

    settles = False
    """Lay the result with time innermost, whatever came in."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (n, channels, time) -> (n, channels, time // size)."""
        if not channels_innermost(x):
            pooled: Tensor = super().forward(x)
            return pooled
        size = self.kernel_size if isinstance(self.kernel_size, int) else self.kernel_size[0]
        pooled = F.max_pool2d(x[:, :, None], (1, size))[:, :, 0]
        return pooled.contiguous() if self.settles else pooled
