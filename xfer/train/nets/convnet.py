"""ConvNet: five convolutions over time on the magnitude spectrogram, with a skip from the first.

Chumbalov and Pushnyakov, CrowdAI WWW'18 music genre challenge; Table 2 of "Curious Case of Transfer Learning in Audio
Domain". Layers as in FACTS.md 2.2: no batch norm in the body, 'same' padding of one frame before and two after,
average then maximum over time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xfer.train.nets.frontends import Normalise, Stft
from xfer.train.nets.heads import HeadKind, Wanted, make_head
from xfer.train.nets.net import Net
from xfer.train.nets.registry import Registered, register

SAMPLE_RATE = 22050
WINDOW = 66150
"""3 s"""


@dataclass(frozen=True)
class ConvNetOptions:
    """The shapes of record; the variants are those of the paper's PyTorch port."""

    normalise: Normalise = "window"
    """The originals hear levels as they are (`none`) or divide by the peak; ours does not depend on the level, which
    docs/results.md measures."""
    batchnorm_body: bool = False
    """Batch norm after convolutions 2 to 5 (the port)."""
    pad_before: int = 1
    """Frames of padding before, of three in all; the port has 2."""
    max_first: bool = False
    """Maximum before average in the pooled vector (the port)."""
    dropout: float = 0.2
    head: HeadKind = "linear"
    head_scale: float = 30.0
    """Of the cosine head."""


class TimeConv(nn.Module):
    """Convolution over 4 frames, 'same' length, ReLU. Shape: (n, 256, 125, 1) -> the same."""

    def __init__(self, channels: int, pad_before: int, batchnorm: bool) -> None:
        super().__init__()
        self.pad = (0, 0, pad_before, 3 - pad_before)
        self.conv = nn.Conv2d(channels, channels, (4, 1))
        self.norm = nn.BatchNorm2d(channels) if batchnorm else None

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (n, channels, time, 1) -> the same."""
        # Time last: with its axis of one behind it, a step of this layer took 2.5 times as long on the CPU.
        across = F.pad(x, self.pad).transpose(2, 3)
        x = F.relu(F.conv2d(across, self.conv.weight.transpose(2, 3), self.conv.bias)).transpose(2, 3)
        return x if self.norm is None else self.norm(x)


class AverageAndMaximum(nn.Module):
    """Mean and maximum over time. Shape: (n, c, time, 1) -> (n, 2 c)."""

    def __init__(self, max_first: bool) -> None:
        super().__init__()
        self.max_first = max_first

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (n, c, time, 1) -> (n, 2 c)."""
        pooled = [x.mean(dim=(2, 3)), x.amax(dim=(2, 3))]
        return torch.cat(pooled[::-1] if self.max_first else pooled, dim=1)


class ConvNet(Net):
    """The skip: what is pooled is the fifth convolution beside the first."""

    def walk(self, features: Tensor) -> Iterator[tuple[str, Tensor]]:
        """conv1 .. conv5 (n, 256, 125, 1), pool (n, 1024), dense1 (n, 480)."""
        first = x = self.stages["conv1"](features)
        yield "conv1", x
        for name in ("conv2", "conv3", "conv4", "conv5"):
            x = self.stages[name](x)
            yield name, x
        x = self.stages["pool"](torch.cat([x, first], dim=1))
        yield "pool", x
        yield "dense1", self.stages["dense1"](x)


def build(classes: int, options: ConvNetOptions) -> Net:
    """A ConvNet with fresh weights."""

    def linear(embedding: int, classes: int) -> nn.Module:
        return nn.Sequential(nn.Dropout(options.dropout), nn.Linear(embedding, classes))

    bins = 513
    body = {f"conv{k}": TimeConv(256, options.pad_before, options.batchnorm_body) for k in range(2, 6)}
    return ConvNet(
        "convnet",
        sample_rate=SAMPLE_RATE,
        window=WINDOW,
        frontend=Stft(n_fft=1024, hop=512, frames=128, normalise=options.normalise),
        stages={
            # Two trainable numbers, the only normalisation of the raw magnitudes (FACTS.md 8.6).
            "conv1": nn.Sequential(nn.BatchNorm2d(1, eps=1e-3, momentum=0.01), nn.Conv2d(1, 256, (4, bins)), nn.ReLU()),
            **body,
            "pool": AverageAndMaximum(options.max_first),
            "dense1": nn.Sequential(nn.Dropout(options.dropout), nn.Linear(1024, 480), nn.ReLU()),
        },
        embed=nn.Sequential(nn.Dropout(options.dropout), nn.Linear(480, 240), nn.ReLU()),
        embedding_size=240,
        head=make_head(options.head, Wanted(240, classes, options.head_scale, linear)),
        options=asdict(options),
    )


register(
    Registered(
        "convnet",
        build,
        ConvNetOptions,
        "five convolutions on the magnitude spectrogram, 22,050 Hz, 3 s",
        SAMPLE_RATE,
        WINDOW,
        free_time=False,
        recipe={"fit.batch": 32, "fit.crops_per_clip": 4, "fit.epochs": 20},
        # FACTS.md 2.1, 2.3 and 4.2, with Adadelta's rate of 1 (8.13). The original stopped early by training accuracy;
        # here validation decides.
        paper={
            "": {
                "options.normalise": "none",
                "data.scheme": "paper",
                "fit.batch": 128,
                "fit.crops_per_clip": 1,
                "fit.epochs": 500,
                "fit.patience": 5,
                "fit.optimizer": "adadelta",
                "fit.learning_rate": 1.0,
                "fit.schedule": "constant",
                "fit.weight_decay": 0.0,
                "fit.clip_gradient": 0.0,
                "fit.gain_db": (0.0, 0.0),
                "windows.training": "grid",
                "windows.hop": WINDOW // 2,
                "windows.clip_seconds": 30.0,
                "windows.short": "tile",
                "windows.background": "no",
            },
            # The first 3 s of an utterance, divided by its peak. Shorter ones are padded here, there they were tiled.
            "speaker": {
                "options.normalise": "peak",
                "fit.optimizer": "adamw",
                "fit.learning_rate": 1e-3,
                "fit.epochs": 20,
                "windows.clip_seconds": WINDOW / SAMPLE_RATE,
            },
        },
    )
)
