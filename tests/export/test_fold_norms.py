"""Batch norms into their neighbours: exact in float64 where it is done, and not done where it would not be exact."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.export.nets import small_net
from xfer.export.fold import InferenceNet, fold, fold_norms
from xfer.train.nets import NETS, create

EXACT = 1e-10


def randomised(net: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight and statistic random, in float64, in evaluation."""
    generator = torch.Generator().manual_seed(seed)
    net = net.double().eval()
    for module in net.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 1, generator=generator)
            module.running_var.uniform_(0.05, 4.0, generator=generator)
            if module.weight is not None:
                nn.init.normal_(module.weight, 0, 1, generator=generator)
                nn.init.normal_(module.bias, 0, 1, generator=generator)
    return net.requires_grad_(False)


def norms_in(net: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in net.modules())


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


class Twice(nn.Module):
    """A convolution whose result is also used beside the norm: a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class Shared(nn.Module):
    """One convolution for two branches, one of them with a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.conv(2 * x)


class Tied(nn.Module):
    """A weight that is also read by another function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.conv.weight.sum()


class TiedBias(nn.Module):
    """A bias that is also read by another function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        assert self.conv.bias is not None
        return self.norm(self.conv(x)) * self.conv.bias.sum()


class InPlace(nn.Module):
    """A ReLU between convolution and norm that hides in the same tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        self.relu(y)
        return self.norm(y)


class Out(nn.Module):
    """What is between layer and norm is itself an output, as a stage's is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> dict[str, tuple[Tensor, ...]]:
        y = self.conv(x)
        return {"given": (y, self.norm(y))}


IMAGE, SOUND, ROW = (3, 4, 9, 7), (3, 4, 17), (3, 4)
FOLDED = {
    "after a padded convolution": (nn.Sequential(nn.Conv1d(4, 6, 3, padding=2), nn.BatchNorm1d(6)), SOUND, 1),
    "after one of groups, no bias": (
        nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1, groups=2, bias=False), nn.BatchNorm2d(6)),
        IMAGE,
        1,
    ),
    "after a linear layer": (nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)), ROW, 1),
    "before an unpadded convolution": (nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, (3, 2), dilation=2)), IMAGE, 1),
    "before one of groups, no bias": (
        nn.Sequential(nn.BatchNorm1d(4), nn.Conv1d(4, 6, 3, groups=2, bias=False, padding="valid")),
        SOUND,
        1,
    ),
    "before a linear layer": (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 5, bias=False)), ROW, 1),
    "on both sides": (nn.Sequential(nn.BatchNorm1d(4), nn.Conv1d(4, 5, 3, bias=False), nn.BatchNorm1d(5)), SOUND, 2),
    "without weights of its own": (nn.Sequential(nn.Conv1d(4, 5, 3), nn.BatchNorm1d(5, affine=False)), SOUND, 1),
    "between two convolutions": (nn.Sequential(nn.Conv1d(4, 5, 3), nn.BatchNorm1d(5), nn.Conv1d(5, 2, 3)), SOUND, 1),
}
LEFT = {
    "before a padded convolution": (nn.Sequential(nn.BatchNorm1d(4), nn.Conv1d(4, 6, 3, padding=1)), SOUND),
    "before one padded by a word": (nn.Sequential(nn.BatchNorm1d(4), nn.Conv1d(4, 6, 3, padding="same")), SOUND),
    "before one padded on one axis": (nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=(0, 1))), IMAGE),
    "behind a ReLU": (nn.Sequential(nn.Conv1d(4, 5, 3), nn.ReLU(), nn.BatchNorm1d(5), nn.ReLU()), SOUND),
    "behind a ReLU in place": (InPlace(), SOUND),
    "beside a skip": (Twice(), SOUND),
    "of a convolution used twice": (Shared(), SOUND),
    "of a weight used elsewhere": (Tied(), SOUND),
    "of a bias used elsewhere": (TiedBias(), SOUND),
    "through an output": (Out(), SOUND),
    "over time behind a linear layer": (nn.Sequential(nn.Linear(17, 5), nn.BatchNorm1d(4)), SOUND),
    "with the batch's own statistics": (
        nn.Sequential(nn.Conv1d(4, 5, 3), nn.BatchNorm1d(5, track_running_stats=False)),
        SOUND,
    ),
    "behind a transposed convolution": (nn.Sequential(nn.ConvTranspose1d(4, 5, 3), nn.BatchNorm1d(5)), SOUND),
}


@pytest.mark.parametrize(("net", "shape", "count"), FOLDED.values(), ids=FOLDED.keys())
def test_what_is_folded_is_exact(net: nn.Module, shape: tuple[int, ...], count: int) -> None:
    net = randomised(copy.deepcopy(net))
    x = torch.randn(shape, dtype=torch.float64)
    wanted = net(x)
    assert fold_norms(net, torch.zeros_like(x)) == count
    assert norms_in(net) == 0
    assert relative(net(x), wanted) < EXACT


@pytest.mark.parametrize(("net", "shape"), LEFT.values(), ids=LEFT.keys())
def test_what_would_not_be_exact_is_left(net: nn.Module, shape: tuple[int, ...]) -> None:
    net = randomised(copy.deepcopy(net))
    before = copy.deepcopy(net.state_dict())
    assert fold_norms(net, torch.randn(shape, dtype=torch.float64)) == 0
    assert norms_in(net) == 1
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_norm_in_training_is_left() -> None:
    net = randomised(nn.Sequential(nn.Conv1d(4, 5, 3), nn.BatchNorm1d(5))).train()
    assert fold_norms(net, torch.randn(SOUND, dtype=torch.float64)) == 0


@settings(max_examples=25, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 4]),
    per_group=st.integers(1, 3),
    before=st.booleans(),
    bias=st.booleans(),
    stride=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_any_convolution(groups: int, per_group: int, before: bool, bias: bool, stride: int, seed: int) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv1d(4, groups * per_group, 3, stride, 0 if before else 1, groups=groups, bias=bias)
    norm = nn.BatchNorm1d(4 if before else groups * per_group, eps=10.0 ** -(seed % 6))
    net = randomised(nn.Sequential(*((norm, conv) if before else (conv, norm))), seed)
    x = 10 * torch.randn(SOUND, dtype=torch.float64)
    wanted = net(x)
    assert fold_norms(net, x) == 1
    assert relative(net(x), wanted) < EXACT


@pytest.mark.parametrize("name", NETS)
def test_every_registered_net_is_the_same_in_float64(name: str) -> None:
    net = create(name, 5)
    net.frontend.fold()
    whole = randomised(InferenceNet(net), 3)
    folded = copy.deepcopy(whole)
    count = fold_norms(folded, torch.zeros(1, net.window, dtype=torch.float64))
    assert count == norms_in(whole) - norms_in(folded)
    assert count > 0
    wave = 0.2 * torch.randn(1, net.window, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    got, wanted = folded(wave), whole(wave)
    for one, other in zip((*got[:4], *got.taps), (*wanted[:4], *wanted.taps), strict=True):
        assert relative(one, other) < EXACT


def test_no_norm_is_folded_through_a_tap() -> None:
    """The stage `norm` stands behind the stage `conv`: what `conv` gives must stay what was trained."""
    net = small_net("stft")
    net.stages["conv"] = nn.Sequential(*list(net.stages["conv"])[:2])  # neither ReLU nor dropout behind it
    wave = torch.randn(2, net.window)
    folded = fold(net)
    assert isinstance(folded.net.stages["norm"], nn.BatchNorm1d)
    assert not isinstance(folded.net.stages["conv"][0], nn.BatchNorm1d)
    with torch.no_grad():
        trained = dict(net.walk(net.frontend(wave)))
        for name, tap in zip(net.stages, folded(wave).taps, strict=True):
            assert relative(tap, trained[name]) < 1e-5
