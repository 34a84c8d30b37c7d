"""A convolution over all bands as one over channels: the same sums, and only where the kernel covers the bands."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from xfer.export.fold import fold
from xfer.export.fold.bands import BandsAsChannels, bands_as_channels
from xfer.train.nets import create


@settings(max_examples=30, deadline=None)
@given(
    bands=st.integers(1, 20),
    kernel=st.integers(1, 5),
    channels=st.integers(1, 6),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_same_sums(
    bands: int, kernel: int, channels: int, stride: int, padding: int, bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(1, channels, (kernel, bands), (stride, 1), (padding, 0), bias=bias).double()
    x = torch.randn(2, 1, 9, bands, dtype=torch.float64)
    expected = conv(x)
    found = BandsAsChannels(conv)(x)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(1, 3, (4, 7)),  # not all bands
        nn.Conv2d(2, 3, (4, 8)),  # more channels than one
        nn.Conv2d(1, 3, (4, 8), padding=(0, 1)),  # it moves over the bands
        nn.Conv2d(1, 3, (4, 8), dilation=(2, 1)),
        nn.Conv2d(1, 3, (4, 8), padding=(1, 0), padding_mode="circular"),
    ],
)
def test_what_is_left_alone(conv: nn.Conv2d) -> None:
    stages = nn.ModuleDict({"first": nn.Sequential(conv), "second": nn.Sequential(nn.Conv2d(1, 3, (4, 8)))})
    bands_as_channels(stages, torch.zeros(1, 1, 9, 8))
    assert not any(isinstance(module, BandsAsChannels) for module in stages.modules())


def test_the_convnet_has_it_when_folded() -> None:
    folded = fold(create("convnet", 3))
    assert [name for name, module in folded.named_modules() if isinstance(module, BandsAsChannels)] == [
        "net.stages.conv1.1"
    ]
