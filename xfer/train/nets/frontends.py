"""Front-ends: waveform -> what the first layer of a net sees.

STFT and sinc filters are one thing here, a bank of kernels used by a strided convolution (the idea of
asteroid-filterbanks), so that training, folding for export and the float64 oracle all speak of the same object:
`kernels()` yields the filters, `describe()` the numbers from which `export.oracle` rebuilds them without this code.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Normalise = Literal["none", "window", "peak"]
NORMALISE: tuple[Normalise, ...] = ("none", "window", "peak")


def mean_over_time(x: Tensor) -> Tensor:
    """Mean over the last axis, kept as an axis of one, in two steps of about its square root each.

    torch sums pairwise, but the engines that run the exported graph add one value after the other in float32: over
    59,049 values of a full-scale square wave that was 4e-5 off, and the net behind it makes more of it.
    Shape: (..., time) -> (..., 1).
    """
    length = int(x.shape[-1])
    block = math.isqrt(length)
    if length % block:
        x = F.pad(x, (0, -length % block))
    blocks: Tensor = x.unflatten(-1, (-1, block))  # type: ignore[no-untyped-call]
    return blocks.sum(dim=-1).sum(dim=-1, keepdim=True) / length


def normalise(wave: Tensor, kind: Normalise) -> Tensor:
    """Scale each window by itself.

    `none`: as it is. `window`: (x - mean) / max(std, 1e-3), population std, the mean subtracted first.
    `peak`: x / max|x|, the original RawNet2's and the paper's. Silence stays silence in all three.
    Shape: (n, window) -> (n, window).
    """
    if kind == "none":
        return wave
    if kind == "peak":
        return wave / wave.abs().amax(dim=-1, keepdim=True).clamp_min(1e-9)
    centred = wave - mean_over_time(wave)
    # Twice: in float32 the first mean of a large offset leaves a residue that the division would magnify.
    centred = centred - mean_over_time(centred)
    return centred / mean_over_time(centred.square()).sqrt().clamp_min(1e-3)


class Frontend(nn.Module, ABC):
    """A bank of kernels with what goes before and after it. Shape: (n, window) -> features."""

    normalise: Normalise
    folded: Tensor | None

    def __init__(self, normalise: Normalise) -> None:
        super().__init__()
        self.normalise = normalise
        self.register_buffer("folded", None, persistent=False)

    @abstractmethod
    def compute_kernels(self) -> Tensor:
        """The filters from the formula and the learned values, (filters, 1, length)."""

    def kernels(self) -> Tensor:
        """The filters, (filters, 1, length), float32: constants once folded."""
        return self.compute_kernels() if self.folded is None else self.folded

    def fold(self) -> None:
        """Freeze the kernels as constants, for export: no formula is left in the graph."""
        with torch.no_grad():
            self.folded = self.compute_kernels().detach().clone()

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The numbers of this front-end, as JSON; they travel in the card and feed the oracle."""

    def oracle_parameters(self) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """Learned values that the oracle needs beside `describe()`."""
        return {}


class Stft(Frontend):
    """Magnitude of a short-time Fourier transform, as one strided convolution.

    Symmetric window and reflection at both ends, as in the ConvNet's original (FACTS.md 2.1); only the first
    `frames` frames are kept. The basis is built in float64 and cast once.
    Shape: (n, window) -> (n, 1, frames, n_fft // 2 + 1).
    """

    basis: Tensor

    def __init__(self, n_fft: int, hop: int, frames: int, normalise: Normalise = "none") -> None:
        super().__init__(normalise)
        self.n_fft, self.hop, self.frames = n_fft, hop, frames
        window = np.hanning(n_fft)  # symmetric: both ends are zero
        spectrum = np.fft.rfft(np.eye(n_fft) * window[:, None], axis=0)
        basis = np.concatenate([spectrum.real, spectrum.imag]).astype(np.float32)
        self.register_buffer("basis", torch.from_numpy(basis)[:, None, :], persistent=False)

    def compute_kernels(self) -> Tensor:
        """Cosines, then sines, times the Hann window: (n_fft + 2, 1, n_fft)."""
        return self.basis

    def forward(self, wave: Tensor) -> Tensor:
        """Shape: (n, window) -> (n, 1, frames, bins)."""
        padded = F.pad(normalise(wave, self.normalise)[:, None, :], (self.n_fft // 2, self.n_fft // 2), mode="reflect")
        seen = padded[:, :, : (self.frames - 1) * self.hop + self.n_fft]
        real, imaginary = F.conv1d(seen, self.kernels(), stride=self.hop).chunk(2, dim=1)
        magnitude = (real.square() + imaginary.square()).sqrt()
        return magnitude.transpose(1, 2)[:, None]

    def describe(self) -> dict[str, Any]:
        """Kind, sizes and conventions."""
        return {
            "kind": "stft",
            "n_fft": self.n_fft,
            "hop": self.hop,
            "frames": self.frames,
            "window": "hann_symmetric",
            "pad": "reflect",
            "value": "magnitude",
            "normalise": self.normalise,
        }


class Sinc(Frontend):
    """Learned band-pass filters, absolute value taken: SincNet's "fast" form as RawNet2 uses it (FACTS.md 3.3).

    Two values a filter are learned, in Hz: f1 = min_low + |low|, f2 = f1 + min_band + |band|, f2 at most half the rate.
    The kernel is the difference of two sincs under a Hamming window, divided so that its centre tap is 1.
    Shape: (n, window) -> (n, filters, window + 2 * padding - length + 1).
    """

    left_time: Tensor
    left_hamming: Tensor
    in_blocks = False
    """Compute by `_in_blocks`, which lays channels innermost; the values are the same to rounding."""

    def __init__(
        self,
        filters: int,
        length: int,
        sample_rate: int,
        padding: int,
        normalise: Normalise = "none",
        min_low: float = 50.0,
        min_band: float = 50.0,
    ) -> None:
        super().__init__(normalise)
        if length % 2 == 0:
            length += 1  # a centre tap is needed
        self.filters, self.length, self.sample_rate, self.padding = filters, length, sample_rate, padding
        self.min_low, self.min_band = min_low, min_band
        mel = np.linspace(_to_mel(30.0), _to_mel(sample_rate / 2 - 100.0), filters + 1)
        edges = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
        self.low = nn.Parameter(torch.tensor(edges[:-1], dtype=torch.float32))
        self.band = nn.Parameter(torch.tensor(np.diff(edges), dtype=torch.float32))
        half = length // 2
        # The original samples its half window at 0 .. length/2 - 1 in `half` steps: neither form of Hamming; kept.
        n = np.linspace(0, length / 2 - 1, half)
        self.register_buffer(
            "left_hamming", torch.tensor(0.54 - 0.46 * np.cos(2 * np.pi * n / length)), persistent=False
        )
        self.register_buffer("left_time", torch.tensor(2 * np.pi * np.arange(-half, 0) / sample_rate), persistent=False)

    def bands(self) -> tuple[Tensor, Tensor]:
        """Lower and upper edge of each filter in Hz, (filters,) each, float64; never closer than `min_band`."""
        top = self.sample_rate / 2
        low = (self.min_low + self.low.double().abs()).clamp(max=top - self.min_band)
        high = (low + self.min_band + self.band.double().abs()).clamp(max=top)
        return low, high

    def compute_kernels(self) -> Tensor:
        """(filters, 1, length), float32, built in float64: it costs a thousandth of the convolution."""
        low, high = (edge[:, None] for edge in self.bands())
        width = high - low
        # 2 f2 sinc(2 f2 t) - 2 f1 sinc(2 f1 t) with t in seconds; left_time is 2 pi t
        left = (torch.sin(high * self.left_time) - torch.sin(low * self.left_time)) / (self.left_time / 2)
        left = left * self.left_hamming / (2 * width)
        return torch.cat([left, torch.ones_like(low), left.flip(1)], dim=1).float()[:, None, :]

    def forward(self, wave: Tensor) -> Tensor:
        """Shape: (n, window) -> (n, filters, time), never negative."""
        wave = normalise(wave, self.normalise)
        if self.in_blocks and not torch.onnx.is_in_onnx_export():
            return self._in_blocks(wave).abs()
        return F.conv1d(wave[:, None, :], self.kernels(), padding=self.padding).abs()

    def _in_blocks(self, wave: Tensor) -> Tensor:
        """The same convolution as one matrix product: `count` neighbouring outputs share a stretch of input, which is
        multiplied by each kernel at `count` offsets. Costs count / length more sums and is far better fed."""
        time = wave.shape[1] + 2 * self.padding - self.length + 1
        count = next((c for c in (8, 9, 10, 12) if time % c == 0), 8)
        stretch = self.length + count - 1
        stretches = F.pad(wave, (self.padding, self.padding + -time % count)).unfold(1, stretch, count)
        kernels = self.kernels()[:, 0]
        shifted = torch.cat([F.pad(kernels, (offset, count - 1 - offset)) for offset in range(count)])
        laid = (stretches @ shifted.T).view(len(wave), -1, self.filters)
        return laid[:, :time].transpose(1, 2)

    def describe(self) -> dict[str, Any]:
        """Kind, sizes and conventions; the learned edges are in `oracle_parameters`."""
        return {
            "kind": "sinc",
            "filters": self.filters,
            "length": self.length,
            "sample_rate": self.sample_rate,
            "padding": self.padding,
            "min_low": self.min_low,
            "min_band": self.min_band,
            "value": "absolute",
            "normalise": self.normalise,
        }

    def oracle_parameters(self) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """`low` and `band` in Hz as learned, (filters,) each."""
        return {name: getattr(self, name).detach().cpu().double().numpy() for name in ("low", "band")}


def _to_mel(hertz: float) -> float:
    return 2595.0 * float(np.log10(1.0 + hertz / 700.0))
