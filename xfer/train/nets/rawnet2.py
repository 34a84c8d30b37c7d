"""RawNet2: sinc filters, residual blocks with feature map scaling, a GRU; on the raw waveform.

Jung et al., "Improved RawNet with Feature Map Scaling for Text-independent Speaker Verification using Raw Waveforms",
Interspeech 2020; Table 1 of "Curious Case of Transfer Learning in Audio Domain". Layers as in FACTS.md 3.2, with the
sinc layer padded by 125 so that the time axis is Table 1's (19683 .. 27) and the pre-activation alive (FACTS.md 8.28).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xfer.train.nets.frontends import Normalise, Sinc, mean_over_time
from xfer.train.nets.heads import HeadKind, UnitHead, Wanted, make_head
from xfer.train.nets.layout import TimeConv1d, TimeMaxPool1d, TimeNorm1d
from xfer.train.nets.net import Net
from xfer.train.nets.registry import Registered, register

SAMPLE_RATE = 16000
WINDOW = 59049
"""3 ** 10 samples, 3.69 s"""
SLOPE = 0.3
Scaling = Literal["none", "add", "mul", "add_mul", "mul_add"]


@dataclass(frozen=True)
class RawNet2Options:
    """The shapes of record; the variants are those of the released code."""

    normalise: Normalise = "window"
    """`none` is what exact incremental streaming would need; it learned much slower (docs/results.md)."""
    sinc_padding: int = 125
    """0: the released code's time axis, 19599 .. 26."""
    scaling: Scaling = "mul_add"
    head: HeadKind = "linear"
    head_scale: float = 30.0
    """Of the cosine head."""
    legacy_block: bool = False
    """The released block's dead pre-activation: computed, then not used. Only to load such weights."""
    legacy_input_norm: bool = False
    """The released input layer norm with its 59,049 gains and offsets. Only to load such weights."""


class InputLayerNorm(nn.Module):
    """The released code's input norm: unbiased std plus 1e-6, a gain and an offset for every sample of the window."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(window))
        self.offset = nn.Parameter(torch.zeros(window))

    def forward(self, wave: Tensor) -> Tensor:
        """Shape: (n, window) -> the same."""
        centred = wave - wave.mean(dim=-1, keepdim=True)
        # Twice, as in frontends.normalise: what float32 leaves of a large offset would be divided by 1e-6.
        centred = centred - centred.mean(dim=-1, keepdim=True)
        return self.gain * centred / (centred.std(dim=-1, keepdim=True) + 1e-6) + self.offset


class LegacySinc(Sinc):
    """Sinc bands behind the released input layer norm."""

    def __init__(self, window: int, filters: int, length: int, sample_rate: int, padding: int) -> None:
        super().__init__(filters, length, sample_rate, padding)
        self.norm = InputLayerNorm(window)

    def forward(self, wave: Tensor) -> Tensor:
        """Shape: (n, window) -> (n, filters, time)."""
        return super().forward(self.norm(wave))

    def describe(self) -> dict[str, Any]:
        """As the sinc bands', with the input norm named."""
        return {**super().describe(), "input_norm": "layer"}

    def oracle_parameters(self) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """`low` and `band`; `gain` and `offset` of the input norm, (window,) each."""
        norm = {name: getattr(self.norm, name).detach().cpu().double().numpy() for name in ("gain", "offset")}
        return {**super().oracle_parameters(), **norm}


class FeatureMapScaling(nn.Module):
    """Scale (and shift) each channel by a sigmoid of its mean over time (Jung et al. 2020, section 3.2).

    Shape: (n, c, time) -> the same.
    """

    def __init__(self, channels: int, form: Scaling) -> None:
        super().__init__()
        self.form = form
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (n, c, time) -> the same."""
        scale = torch.sigmoid(self.linear(mean_over_time(x).squeeze(2)))[:, :, None]
        match self.form:
            case "none":
                return x
            case "add":
                return x + scale
            case "mul":
                return x * scale
            case "add_mul":
                return (x + scale) * scale
            case "mul_add":
                return x * scale + scale


class Block(nn.Module):
    """Pre-activated residual block, max-pool 3, feature map scaling. Shape: (n, a, time) -> (n, b, time // 3)."""

    def __init__(self, channels_in: int, channels: int, *, first: bool, options: RawNet2Options) -> None:
        super().__init__()
        self.legacy = options.legacy_block
        self.norm1 = None if first else TimeNorm1d(channels_in)
        self.conv1 = TimeConv1d(channels_in, channels, 3, padding=1)
        self.norm2 = TimeNorm1d(channels)
        self.conv2 = TimeConv1d(channels, channels, 3, padding=1)
        # The identity of the raw input, not of the activated one (FACTS.md 8.29).
        self.identity = TimeConv1d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        self.pool = TimeMaxPool1d(3)
        self.scaling = FeatureMapScaling(channels, options.scaling)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (n, a, time) -> (n, b, time // 3)."""
        active = x if self.norm1 is None else F.leaky_relu(self.norm1(x), SLOPE)
        y = self.conv1(x if self.legacy else active)
        y = self.conv2(F.leaky_relu(self.norm2(y), SLOPE))
        scaled: Tensor = self.scaling(self.pool(y + self.identity(x)))
        return scaled


class Recurrent(nn.Module):
    """Batch norm, then a GRU over time; its last step. Shape: (n, 256, time) -> (n, 1024)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.norm = TimeNorm1d(channels)
        self.gru = nn.GRU(channels, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (n, channels, time) -> (n, hidden)."""
        steps: Tensor = self.gru(F.leaky_relu(self.norm(x), SLOPE).transpose(1, 2))[0]
        return steps[:, -1]


def build(classes: int, options: RawNet2Options) -> Net:
    """A RawNet2 with fresh weights."""
    numbers = {"filters": 128, "length": 251, "sample_rate": SAMPLE_RATE, "padding": options.sinc_padding}
    channels = (128, 128, 256, 256, 256, 256)
    before = (128, *channels[:-1])
    net = Net(
        "rawnet2",
        sample_rate=SAMPLE_RATE,
        window=WINDOW,
        frontend=LegacySinc(WINDOW, **numbers)
        if options.legacy_input_norm
        else Sinc(**numbers, normalise=options.normalise),
        stages={
            "stem": nn.Sequential(TimeMaxPool1d(3), TimeNorm1d(128), nn.LeakyReLU(SLOPE)),
            **{
                f"block{k}": Block(a, b, first=k == 0, options=options)
                for k, (a, b) in enumerate(zip(before, channels, strict=True))
            },
            "gru": Recurrent(256, 1024),
        },
        embed=nn.Linear(1024, 1024),
        embedding_size=1024,
        head=make_head(options.head, Wanted(1024, classes, options.head_scale, UnitHead)),
        options=asdict(options),
    )
    _initialise(net)
    return net


def _initialise(net: Net) -> None:
    """FACTS.md 3.5: Xavier and a bias of 1e-4 for linear layers, Kaiming (a = 0.01) for convolutions; GRU as it is."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.constant_(module.bias, 1e-4)
        elif isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, a=0.01)


register(
    Registered(
        "rawnet2",
        build,
        RawNet2Options,
        "sinc filters, residual blocks and a GRU on the raw waveform, 16,000 Hz, 3.69 s",
        SAMPLE_RATE,
        WINDOW,
        free_time=True,
        # A third of the window: the time axis is free, a step costs a third, and a clip gives more different crops.
        # Gain up to +12 dB: without input normalisation, batch norm must know loud sound too, or a full-scale square
        # wave drives the net so far out that float32 rounding shows in the embedding.
        recipe={
            "fit.batch": 16,
            "fit.crop": WINDOW // 3,
            "fit.crops_per_clip": 3,
            "fit.epochs": 20,
            "fit.gain_db": (-12.0, 12.0),
        },
        # FACTS.md 3.5 and 4.2, with the original's weight decay (8.36) and its rate of 16 kHz (8.10). It began from
        # weights of VoxCeleb2, which are not to be had: this begins from scratch.
        paper={
            "": {
                "options.normalise": "peak",
                "data.scheme": "paper",
                "fit.batch": 64,
                "fit.crop": 0,
                "fit.crops_per_clip": 1,
                "fit.epochs": 60,
                "fit.optimizer": "adam",
                "fit.learning_rate": 1e-3,
                "fit.weight_decay": 1e-4,
                "fit.schedule": "inverse",
                "fit.clip_gradient": 0.0,
                "fit.gain_db": (0.0, 0.0),
                "windows.training": "grid",
                "windows.short": "tile",
                "windows.background": "no",
            },
            "genre": {"windows.clip_seconds": 30.0, "windows.hop": -(-(30 * SAMPLE_RATE - WINDOW) // 18)},  # 19 windows
            "speaker": {"fit.batch": 25, "windows.clip_seconds": WINDOW / SAMPLE_RATE},
        },
    )
)
