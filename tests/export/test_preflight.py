"""A net that cannot be exported is refused before it is trained; one that can is left as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.export.nets import EACH_NET, small_net
from xfer.export.preflight import preflight
from xfer.runtime.errors import AnswerIsNo
from xfer.train.nets import create


class Rank(nn.Module):
    """An operation that ONNX does not have."""

    def forward(self, x):
        return x * torch.linalg.svdvals(x)[:, :1, None]


class Coin(nn.Module):
    """Noise that stays on in evaluation: no two runs say the same."""

    def forward(self, x):
        return x + torch.rand_like(x)


def spoiled(part: nn.Module):
    net = small_net("stft")
    net.stages["norm"] = part
    return net


@pytest.mark.parametrize(("name", "head"), EACH_NET)
def test_every_registered_net_passes_and_is_left_alone(name, head):
    net = create(name, 3, head=head).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    preflight(net)
    assert net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_a_net_without_a_graph_is_refused():
    with pytest.raises(AnswerIsNo, match=r"cannot be exported: it has no ONNX graph .*svd"):
        preflight(spoiled(Rank()))


def test_a_graph_that_says_something_else_is_refused():
    with pytest.raises(AnswerIsNo, match="says something else"):
        preflight(spoiled(Coin()))
