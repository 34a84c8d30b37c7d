"""How a training starts and what of the net learns: one file a method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from xfer.train.data.clips import DataSet
from xfer.train.data.waves import Waves
from xfer.train.nets import Net
from xfer.train.recipe import Recipe
from xfer.train.transfer.head import HeadOnly
from xfer.train.transfer.whole import WholeNet

Method = Callable[
    [Net, DataSet, Waves, Recipe, dict[str, Any], torch.device, Callable[[str], None]], HeadOnly | WholeNet
]
"""Net, data, samples, recipe, what the checkpoint says of the data, device, and who is told: what `fit` trains."""


def _whole(
    net: Net,
    data: DataSet,
    waves: Waves,
    recipe: Recipe,
    about: dict[str, Any],
    device: torch.device,
    _say: Callable[[str], None],
) -> WholeNet:
    return WholeNet(net, data, waves, recipe, about, device)


METHODS: dict[str, Method] = {"head": HeadOnly, "full": _whole}
"""Transfer methods by name. From scratch is `full` without a source."""

__all__ = ["METHODS", "HeadOnly", "WholeNet"]
