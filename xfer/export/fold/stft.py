"""The STFT as matrix products: the form `fft`, beside the strided convolution that every front-end has (`conv`).

A DFT of N = N1 N2 points in two stages (Cooley and Tukey 1965). With n = N2 a + b and k = c + N1 d,

    X[c + N1 d] = sum_b  e^(-2 pi i b c / N)  e^(-2 pi i b d / N2)  ( sum_a  x[N2 a + b]  e^(-2 pi i a c / N1) )

The inner sums of all b are one product with one small matrix; the outer one is a product for each c, into which the
twiddle factors e^(-2 pi i b c / N) go. Sound is real, so the inner sums for c and N1 - c are conjugates: only
c <= N1 / 2 is computed, and a bin that would need another c is the conjugate of the bin N - k, of equal magnitude. For
1024 points that is a tenth of the multiplications of the convolution.

Frames lie innermost all the way: what the first product gives is, as it lies, what the second one takes, and all that
is moved is moved in rows of frames. A form with the window inside the first product needs a matrix for each b, and two
turns of everything more; it was slower in both engines (ONNX Runtime 1.32, OpenVINO 2026.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xfer.runtime.errors import Unusable, nearest
from xfer.train.nets.frontends import Frontend, Stft, normalise

FORMS = ("conv", "fft")
"""Of a front-end in a graph: one strided convolution, or a transform in two stages."""

MOST_SLICES = 64
"""Frames are put together from ceil(n_fft / hop) slices; beyond this there is the convolution only."""

_NEAR = 1.15
"""Splits that need so many times the fewest multiplications at most are taken for equal; the squarest then wins."""


@dataclass(frozen=True)
class Split:
    """A transform of `first * second` points in two stages."""

    first: int
    """N1: points of each inner sum."""
    second: int
    """N2: points of each outer sum."""

    @property
    def multiplications(self) -> int:
        """Real multiplications of a frame."""
        halves = self.first // 2 + 1
        return self.first * self.second * 2 * halves + halves * (2 * self.second) ** 2


def split_of(n_fft: int) -> Split | None:
    """The best split of a size; None where no split needs fewer multiplications than the convolution (a prime)."""
    known = [Split(first, n_fft // first) for first in range(2, n_fft // 2 + 1) if n_fft % first == 0]
    fewest = min((split.multiplications for split in known), default=0)
    if not known or fewest >= n_fft * 2 * (n_fft // 2 + 1):
        return None
    near = [split for split in known if split.multiplications <= _NEAR * fewest]
    return min(near, key=lambda split: (max(split.first, split.second), split.second))


def forms_of(frontend: Frontend) -> tuple[str, ...]:
    """The forms that this front-end can have in a graph."""
    if type(frontend) is not Stft or -(-frontend.n_fft // frontend.hop) > MOST_SLICES:
        return FORMS[:1]
    return FORMS if split_of(frontend.n_fft) else FORMS[:1]


def checked_form(frontend: Frontend, form: str) -> str:
    """The form itself. Raises Unusable for a word that is none, or for a form that this front-end cannot have."""
    if form not in FORMS:
        raise Unusable(f"no form of a front-end is called {form!r}: {nearest(form, FORMS)}")
    if form not in forms_of(frontend):
        what = frontend.describe()
        of = f" of {what['n_fft']} points, hop {what['hop']}," if "n_fft" in what else ""
        raise Unusable(f"the front-end {what['kind']!r}{of} has no form {form!r}: take --frontend conv, or auto")
    return form


class TwoStageStft(nn.Module):
    """Magnitude of the same short-time Fourier transform as the `Stft` it is made from, by two matrix products.

    Every table is built in float64 and cast once. Shape: (n, window) -> (n, 1, frames, n_fft // 2 + 1).
    """

    window: Tensor
    inner: Tensor
    outer: Tensor
    order: Tensor

    def __init__(self, stft: Stft, split: Split | None = None, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        found = split or split_of(stft.n_fft)
        if found is None or found.first * found.second != stft.n_fft:
            raise ValueError(f"{stft.n_fft} points cannot be transformed in two stages of {found}")
        self.normalise, self.split = stft.normalise, found
        self.n_fft, self.hop, self.frames = stft.n_fft, stft.hop, stft.frames
        inner, outer = _tables(found)
        for name, table in (("window", np.hanning(self.n_fft)[:, None]), ("inner", inner), ("outer", outer)):
            self.register_buffer(name, torch.from_numpy(table).to(dtype), persistent=False)
        self.register_buffer("order", torch.from_numpy(_order(found)), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Shape: (n, window) -> (n, 1, frames, bins)."""
        first, second, halves = self.split.first, self.split.second, self.split.first // 2 + 1
        framed = self._framed(normalise(wave, self.normalise)) * self.window
        summed = torch.matmul(self.inner, framed.view(-1, first, second * self.frames))
        # (n, c, real then imaginary of each b, frames), as it lies
        square = torch.matmul(self.outer, summed.view(-1, halves, 2 * second, self.frames)).square()
        # (n, c, real then imaginary of each d, frames)
        power = (square[:, :, :second] + square[:, :, second:]).reshape(-1, halves * second, self.frames)
        return power.index_select(1, self.order).sqrt().transpose(1, 2)[:, None]

    def _framed(self, wave: Tensor) -> Tensor:
        """Frames as columns. Shape: (n, window) -> (n, n_fft, frames).

        The padded sound is laid out in rows of one hop, turned, so that a frame is a column that goes on in the
        columns after it: a slice for every hop that a frame spans, and any hop will do.
        """
        n_fft, hop = self.n_fft, self.hop
        slices = -(-n_fft // hop)
        rows = self.frames + slices - 1
        padded = F.pad(wave[:, None], (n_fft // 2, n_fft // 2), mode="reflect")
        missing = rows * hop - (wave.shape[1] + 2 * (n_fft // 2))
        # Past the last frame's end only zeros are missing, which no frame reads.
        padded = F.pad(padded, (0, missing)) if missing > 0 else padded[:, :, : rows * hop]
        turned = padded.view(-1, rows, hop).transpose(1, 2)
        parts = []
        for k in range(slices):
            part, left = turned[:, :, k : k + self.frames], n_fft - k * hop
            parts.append(part if left >= hop else part[:, :left])
        return torch.cat(parts, dim=1)


def _turn(count: npt.NDArray[np.int64], of: int) -> npt.NDArray[np.complex128]:
    """e^(-2 pi i count / of), the count taken modulo `of` first, in whole numbers."""
    return np.asarray(np.exp(-2j * np.pi * (count % of) / of), dtype=np.complex128)


def _tables(split: Split) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Inner (real and imaginary of each c in turn, a); outer (c, real then imaginary of each d, real then imaginary of
    each b), with the twiddle factors; float64."""
    a, b = np.arange(split.first), np.arange(split.second)
    c, d = np.arange(split.first // 2 + 1), np.arange(split.second)
    inner = _turn(np.outer(c, a), split.first)
    # One angle for twiddle and transform: b c / N + b d / N2 = b (c + N1 d) / N.
    outer = _turn(b * (c[:, None, None] + split.first * d[:, None]), split.first * split.second)
    real_out = np.concatenate([outer.real, -outer.imag], axis=2)
    imaginary_out = np.concatenate([outer.imag, outer.real], axis=2)
    pairs = np.stack([inner.real, inner.imag], axis=1).reshape(-1, split.first)
    return pairs, np.concatenate([real_out, imaginary_out], axis=1)


def _order(split: Split) -> npt.NDArray[np.int64]:
    """Where in (c, d), flattened, each bin 0 .. N / 2 is; the conjugate where its own c was not computed."""
    n_fft = split.first * split.second
    k = np.arange(n_fft // 2 + 1)
    k = np.where(k % split.first > split.first // 2, n_fft - k, k)
    return (k % split.first) * split.second + k // split.first
