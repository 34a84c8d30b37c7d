"""Small nets of the house's form, so that parity and its sabotage run in a second; and checkpoints of the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xfer.export.formats import FORMS
from xfer.export.inputs import parity_inputs
from xfer.train.checkpoint import Checkpoint, load, save_checkpoint
from xfer.train.nets import NETS, Net, create
from xfer.train.nets.frontends import Frontend, Normalise, Sinc, Stft
from xfer.train.nets.heads import HEADS, Wanted, make_head

LABELS = ("ada", "bob", "cyd", "dot", "eve")
WINDOW = 8000
RATE = 16000
LOUD = ("speech by formula", "noise at -6 dBFS", "chirp", "square", "clipped", "clipped speech")


PLAIN_FORMS = [form for form in FORMS if not form.reducer]
"""Every format in float32; the other precisions need recordings, and test_precisions has them."""

EACH_NET = [
    # RawNet2's body takes most of a minute and is the same behind any head: with its own always, with others nightly.
    pytest.param(
        name, head, id=f"{name}-{head}", marks=[pytest.mark.slow] if (name, head) == ("rawnet2", "cosine") else []
    )
    for name in NETS
    for head in HEADS
]
"""Every registered net with every registered head."""


class Flat(nn.Module):
    """STFT features (n, 1, frames, bins) as channels: (n, bins, frames)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0].transpose(1, 2) if x.dim() == 4 else x


class LastStep(nn.Module):
    """A GRU's last step: (n, channels, time) -> (n, hidden)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x.transpose(1, 2))[0][:, -1]


def small_net(kind: str, normalise: Normalise = "none", seed: int = 0, head: str = "linear") -> Net:
    """STFT or sinc, batch norm and convolution, dropout, GRU, embedding, head; statistics of loud and quiet sound."""
    torch.manual_seed(seed)
    frontend: Frontend = (
        Stft(256, 128, 60, normalise) if kind == "stft" else Sinc(24, 101, RATE, 50, normalise, min_low=50, min_band=50)
    )
    channels, stride = (129, 1) if kind == "stft" else (24, 16)
    net = Net(
        f"small {kind}",
        sample_rate=RATE,
        window=WINDOW,
        frontend=frontend,
        stages={
            "flat": Flat(),
            "conv": nn.Sequential(
                nn.BatchNorm1d(channels), nn.Conv1d(channels, 16, 3, stride=stride), nn.ReLU(), nn.Dropout(0.3)
            ),
            "norm": nn.BatchNorm1d(16),
            "gru": LastStep(16, 12),
        },
        embed=nn.Linear(12, 8),
        embedding_size=8,
        head=make_head(head, Wanted(8, len(LABELS), 30.0, nn.Linear)),
        options={},
    )
    return settled(net)


def settled(net: Net) -> Net:
    """The net with random weights and batch norm statistics as a training on loud and quiet sound leaves them."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None  # the mean over all batches
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    inputs = parity_inputs(net.window, net.sample_rate)
    net.train()
    with torch.no_grad():
        net(torch.from_numpy(np.stack([inputs[name] for name in LOUD])))
        # A fresh head is nearly undecided; a trained one is not.
        for parameter in net.head.parameters():
            parameter.mul_(4.0)
    return net.eval()


def small_checkpoint(folder: Path, kind: str = "stft", net: Net | None = None) -> Checkpoint:
    """A checkpoint of a small net, as `load` would give it."""
    folder.mkdir(parents=True, exist_ok=True)
    return Checkpoint(
        net=small_net(kind) if net is None else net,
        task="speaker",
        labels=LABELS,
        recipe={},
        metrics={"epoch": 3, "validation": {"clip_accuracy": 0.875, "clips": 16}},
        data={
            "name": "formula tones",
            "layout": "folders",
            "synthetic": True,
            "clips": 40,
            "hours": 0.05,
            "licence": "MIT",
        },
        path=folder / "best.safetensors",
        sha256="0" * 64,
    )


def registered_checkpoint(folder: Path, name: str, head: str = "linear") -> Checkpoint:
    """A checkpoint file of a registered net with random weights, loaded again."""
    torch.manual_seed(7)
    net = settled(create(name, len(LABELS), head=head))
    save_checkpoint(
        folder / "best.safetensors",
        net,
        task="speaker",
        labels=LABELS,
        recipe={},
        metrics={"epoch": 1},
        data={"name": "nothing yet", "synthetic": True},
    )
    return load(folder)
