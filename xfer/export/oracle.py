"""The oracle: every front-end once more in float64 numpy, written from the formula and sharing no code with the nets.

A front-end and its oracle meet only in the numbers of `describe()` and `oracle_parameters()`. An oracle refuses a
description that it does not know word for word: what it would skip, it could not vouch for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.errors import Unusable, nearest

Array = npt.NDArray[np.float64]
Description = Mapping[str, Any]
Parameters = Mapping[str, Array]
Oracle = Callable[[Array, Description, Parameters], Array]
"""oracle(wave (window,), description, learned values) -> features of that one window, without the batch axis."""

ORACLES: dict[str, Oracle] = {}
"""By the front-end's kind; a new front-end is one function here."""

SECOND_OPINIONS: dict[str, Oracle] = {}
"""The same by a package that others wrote, where there is one: it guards against the same mistake made twice by us."""


def features(wave: npt.NDArray[np.floating], description: Description, parameters: Parameters) -> Array:
    """What the front-end should give for one window.

    Shape: (window,) -> the front-end's features without the batch axis, float64.
    Raises Unusable for a kind, or a value in the description, that no oracle knows.
    """
    kind = str(description.get("kind"))
    if kind not in ORACLES:
        raise Unusable(f"front-end {kind!r} has no oracle, so nothing can prove it: {nearest(kind, ORACLES)}")
    return ORACLES[kind](wave.astype(np.float64), description, parameters)


def second_opinion(wave: npt.NDArray[np.floating], description: Description, parameters: Parameters) -> Array | None:
    """The same by somebody else's package, or None where nobody computes this front-end."""
    other = SECOND_OPINIONS.get(str(description.get("kind")))
    return None if other is None else other(wave.astype(np.float64), description, parameters)


def normalised(wave: Array, kind: str) -> Array:
    """`none`: x. `peak`: x / max|x|. `window`: (x - mean) / max(std, 1e-3). Shape: (window,) -> same."""
    if kind == "none":
        return wave
    if kind == "peak":
        return wave / max(float(np.max(np.abs(wave))), 1e-9)
    if kind == "window":
        deviation = wave - np.mean(wave)
        return deviation / max(float(np.sqrt(np.mean(deviation**2))), 1e-3)
    raise Unusable(f"the oracle knows no input normalisation {kind!r}: {nearest(kind, ('none', 'window', 'peak'))}")


def hann_symmetric(length: int) -> Array:
    """0.5 - 0.5 cos(2 pi n / (length - 1)): both ends are zero (the periodic form divides by length)."""
    n = np.arange(length)
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * n / (length - 1))


def stft(wave: Array, description: Description, parameters: Parameters) -> Array:
    """|STFT|: frames centred, ends reflected, first `frames` kept. Shape: (window,) -> (1, frames, n_fft // 2 + 1)."""
    _must_be(description, window="hann_symmetric", pad="reflect", value="magnitude")
    _no_parameters(parameters, "stft")
    n_fft, hop, frames = (int(description[key]) for key in ("n_fft", "hop", "frames"))
    padded = np.pad(normalised(wave, description["normalise"]), n_fft // 2, mode="reflect")
    starts = hop * np.arange(frames)
    framed = padded[starts[:, None] + np.arange(n_fft)] * hann_symmetric(n_fft)
    return np.abs(np.fft.rfft(framed, axis=1))[None]


def sinc_kernels(description: Description, parameters: Parameters) -> Array:
    """Band-pass filters of SincNet's "fast" form, as RawNet2 uses it (FACTS.md 3.3). Shape: -> (filters, length).

    h(t) = (2 f2 sinc(2 f2 t) - 2 f1 sinc(2 f1 t)) w(t) / (2 (f2 - f1)), and 1 at t = 0; f1 = min_low + |low|,
    f2 = f1 + min_band + |band|, both kept below half the rate with at least min_band between them.
    """
    rate, length = float(description["sample_rate"]), int(description["length"])
    nyquist, min_low, min_band = rate / 2, float(description["min_low"]), float(description["min_band"])
    f1 = np.minimum(min_low + np.abs(parameters["low"]), nyquist - min_band)[:, None]
    f2 = np.minimum(f1 + min_band + np.abs(parameters["band"])[:, None], nyquist)
    half = (length - 1) // 2
    t = np.arange(-half, 0) / rate
    ideal = 2 * f2 * np.sinc(2 * f2 * t) - 2 * f1 * np.sinc(2 * f1 * t)
    # The original's half window: 0 .. length/2 - 1 in `half` even steps, over length. Neither form of Hamming.
    position = np.arange(half) * (length / 2 - 1) / (half - 1)
    left = ideal * (0.54 - 0.46 * np.cos(2 * np.pi * position / length)) / (2 * (f2 - f1))
    return np.concatenate([left, np.ones_like(f1), left[:, ::-1]], axis=1)


def sinc(wave: Array, description: Description, parameters: Parameters) -> Array:
    """|wave * filter|, zeros at both ends. Shape: (window,) -> (filters, window + 2 padding - length + 1)."""
    _must_be(description, value="absolute")
    left_over = dict(parameters)
    wave = _layer_norm(wave, left_over) if description.get("input_norm") == "layer" else wave
    kernels = sinc_kernels(description, left_over)
    _no_parameters({k: v for k, v in left_over.items() if k not in ("low", "band")}, "sinc")
    padding, length = int(description["padding"]), kernels.shape[1]
    padded = np.pad(normalised(wave, description["normalise"]), padding)
    # A convolution of nets is a correlation: reverse the filter, multiply spectra, keep where filter and wave overlap.
    # The filters are short, so the wave goes through in overlapping blocks: four times cheaper than all at once.
    block = 8 * (1 << length.bit_length())
    step = block - length + 1
    responses = np.fft.rfft(kernels[:, ::-1], block)
    valid = len(padded) - length + 1
    out = np.empty((len(kernels), valid))
    padded = np.pad(padded, (0, -valid % step))
    for start in range(0, valid, step):
        heard = np.fft.irfft(np.fft.rfft(padded[start : start + block]) * responses, block)[:, length - 1 :]
        out[:, start : start + step] = np.abs(heard[:, : valid - start])
    return out


def _layer_norm(wave: Array, parameters: dict[str, Array]) -> Array:
    """The released RawNet2's input norm, gain (x - mean) / (unbiased std + 1e-6) + offset; takes these out."""
    deviation = wave - np.mean(wave)
    scale = float(np.sqrt(np.sum(deviation**2) / (len(wave) - 1))) + 1e-6
    return parameters.pop("gain") * deviation / scale + parameters.pop("offset")


def librosa_stft(wave: Array, description: Description, parameters: Parameters) -> Array:
    """The same by librosa, whose defaults (periodic Hann, zero padding, float32) all differ from ours."""
    import librosa

    _no_parameters(parameters, "stft")
    n_fft = int(description["n_fft"])
    spectrum = librosa.stft(
        normalised(wave, description["normalise"]),
        n_fft=n_fft,
        hop_length=int(description["hop"]),
        window=librosa.filters.get_window("hann", n_fft, fftbins=False),
        center=True,
        pad_mode=description["pad"],
        dtype=np.complex128,
    )
    return np.asarray(np.abs(spectrum[:, : int(description["frames"])]).T[None], dtype=np.float64)


def _must_be(description: Description, **known: str) -> None:
    """Refuse a convention that this oracle was not written for."""
    for key, value in known.items():
        if description.get(key) != value:
            raise Unusable(
                f"the oracle of front-end {description.get('kind')!r} was written for {key} {value!r}, "
                f"not {description.get(key)!r}: give it a form for that first"
            )


def _no_parameters(parameters: Parameters, kind: str) -> None:
    """Refuse learned values that this oracle does not use."""
    if parameters:
        named = ", ".join(parameters)
        raise Unusable(f"the oracle of front-end {kind!r} knows nothing of {named}: give it a form for that")


ORACLES.update(stft=stft, sinc=sinc)
SECOND_OPINIONS.update(stft=librosa_stft)
