"""Whether two waveforms are one sound: aligned to a fraction of a sample, then compared piece by piece.

Sounds are compared at 8 kHz between 150 and 3,400 Hz, half whitened: each spectrum is divided by the square root of its
own smooth envelope, so that neither a hum decides alone nor the noise floor counts as much as the sound. The two are
aligned where their cross-correlation is largest. Then every piece of 50 ms in which either sounds must correlate on its
own, whatever its sign: a loop that two tracks share is followed by pieces that do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples, resample

Floats = npt.NDArray[np.float32]

RATE = 8_000
"""Hz."""
LOWEST_HZ, HIGHEST_HZ = 150.0, 3_400.0
ENVELOPE_HZ = 200.0
"""Width over which a spectrum's envelope is smoothed."""
FLOOR_DB = 40.0
"""The envelope is taken to be no further below its own maximum."""
PIECE = 400
"""Samples: 50 ms."""
LONGEST_SECONDS = 120
"""What is compared of a longer clip: its beginning."""
SOUND_RANGE_DB = 20.0
"""Pieces that are this much below those with half of the clip's energy do not sound."""
SHARE, SHARE_OF_LONGER = 0.5, 1e-4
"""Of one clip's energy and of the other's, what must lie within both for an alignment to be tried."""
FINE, TAPS = 8, 16
"""Lags tried between two samples, and samples to each side that a value between two is made of."""
DRIFT = 2
"""Samples by which a piece may lie off the common lag: clocks of recorders differ."""
TONE_SAMPLES = (40, 400)
"""Lags, 5 to 50 ms, at which a sound must be less like itself than where it is aligned: else it is a tone."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A clip as it is compared."""

    sound: Floats
    """Filtered, shape (n,)."""
    sounding: npt.NDArray[np.bool_]
    """Which pieces sound, shape (n // PIECE,)."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two clips are where they are most alike."""

    lag_seconds: float
    """The second begins this much later than the first."""
    pieces: float
    """The correlation that nine of ten sounding pieces reach, 0 to 1."""
    middle: float
    """The median of the pieces' correlation."""
    held: float
    """Share of the sounding pieces of one clip that lie within the other; of the clip of which more does."""
    seconds: float
    """Sounding pieces within both."""
    tone: float
    """Largest correlation 5 to 50 ms off the alignment, relative to that at it: 1 for a tone."""


def prepare(samples: Samples, rate: int) -> Prepared:
    """Mono samples, shape (n,), at `rate` Hz, ready to be compared."""
    sound = resample(samples[: LONGEST_SECONDS * rate], rate, RATE)
    size = _good_size(len(sound) + PIECE)
    spectrum = np.fft.rfft(sound.astype(np.float64), size)  # float32 takes numpy five times as long
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    width = max(3, round(ENVELOPE_HZ * size / RATE))
    envelope = np.sqrt(_smooth(np.square(np.abs(spectrum)), width))
    envelope = np.maximum(envelope, envelope.max() * 10 ** (-FLOOR_DB / 20) + 1e-12)
    spectrum *= ((hertz >= LOWEST_HZ) & (hertz <= HIGHEST_HZ)) / np.sqrt(envelope)
    filtered = np.fft.irfft(spectrum, size)[: len(sound)].astype(np.float32)
    return Prepared(filtered, _sounding(filtered))


def likeness(one: Prepared, other: Prepared) -> Likeness | None:
    """How alike two clips are; None where either is silent or they share no sounding piece."""
    if not one.sounding.any() or not other.sounding.any():
        return None
    whole, part, tone = _aligned(one.sound, other.sound)
    # `moved` is the other clip on the time of the first.
    moved = np.convolve(other.sound, _between(part), mode="same")
    begin, end = max(0, -whole), min(len(one.sound), len(other.sound) - whole)
    sounding = _sounding_within(one, begin, end) | _sounding_within(other, begin + whole, end + whole)
    if end - begin < PIECE or not sounding.any():
        return None
    scores = _piecewise(one.sound[begin:end], moved[begin + whole : end + whole])[sounding]
    held = max(
        _sounding_within(clip, at, at + end - begin).sum() / clip.sounding.sum()
        for clip, at in ((one, begin), (other, begin + whole))
    )
    return Likeness(
        (whole + part) / RATE,
        float(np.quantile(scores, 0.1)),
        float(np.median(scores)),
        min(1.0, float(held)),
        float(sounding.sum()) * PIECE / RATE,
        tone,
    )


def _aligned(one: Floats, other: Floats) -> tuple[int, float, float]:
    """Samples by which the second is later, whole and part of one; and how near 1 a tone comes (`Likeness.tone`).

    The largest product is not always the truth: a short cut of a quiet vowel fits a loud one of that pitch better. So
    it is divided by the energies that overlap, of which there must be enough.
    """
    size = _good_size(len(one) + len(other))
    spectrum_one, spectrum_other = (np.fft.rfft(sound.astype(np.float64), size) for sound in (one, other))
    product = np.fft.irfft(spectrum_other * np.conj(spectrum_one), size)
    lags = np.arange(-len(one) + 1, len(other))
    product = product[lags % size]
    first, second = _share_within(one, -lags, len(other)), _share_within(other, lags, len(one))
    enough = (np.maximum(first, second) >= SHARE) & (np.minimum(first, second) >= SHARE_OF_LONGER)
    within = np.where(enough, first * second, np.inf)  # the clips' whole energies are the same at every lag
    correlation = np.abs(product) / np.sqrt(within)
    best = int(np.argmax(correlation))
    near = best + np.concatenate([np.arange(*TONE_SAMPLES), -np.arange(*TONE_SAMPLES)])
    near = near[(near >= 0) & (near < len(correlation))]
    tone = float(correlation[near].max() / max(correlation[best], 1e-12)) if len(near) else 0.0
    around = np.pad(product, TAPS)[best : best + 2 * TAPS + 1]
    steps = np.arange(-FINE + 1, FINE) / FINE
    values = [abs(float(around @ _between(step)[::-1])) for step in steps]
    return int(lags[best]), float(steps[int(np.argmax(values))]), tone


def _share_within(sound: Floats, begins: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.float64]:
    """Share of a sound's energy that lies in the stretches of `length` samples from `begins` on, within it or not."""
    total = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    stretch = total[np.clip(begins + length, 0, len(sound))] - total[np.clip(begins, 0, len(sound))]
    return np.asarray(stretch / total[-1])


def _between(part: float) -> Floats:
    """A filter that reads a signal `part` of a sample later: a sinc under a Hann window, 2 * TAPS + 1 taps."""
    at = np.arange(-TAPS, TAPS + 1) + part
    return np.asarray(np.sinc(at) * np.square(np.cos(np.pi * at / (2 * TAPS + 4))), dtype=np.float32)


def _piecewise(first: Floats, second: Floats) -> Floats:
    """Absolute correlation of each piece at the best lag within DRIFT; (n,), (n,) -> (n // PIECE,)."""
    count = len(first) // PIECE
    whole = first[: count * PIECE].reshape(count, PIECE)
    best = np.zeros(count, dtype=np.float32)
    padded = np.pad(second, DRIFT)
    size = np.linalg.norm(whole, axis=1)
    for shift in range(2 * DRIFT + 1):
        there = padded[shift : shift + count * PIECE].reshape(count, PIECE)
        product = np.abs(np.einsum("ij,ij->i", whole, there))
        best = np.maximum(best, product / (size * np.linalg.norm(there, axis=1) + 1e-12))
    return best


def _sounding(sound: Floats) -> npt.NDArray[np.bool_]:
    """Which pieces are not much quieter than those that hold half of the clip's energy.

    So neither a click in speech nor the noise round one bark sets the level.
    """
    count = len(sound) // PIECE
    level = np.square(sound[: count * PIECE], dtype=np.float64).reshape(count, PIECE).sum(axis=1)
    if not count or not level.any():
        return np.zeros(count, dtype=bool)
    loudest = np.sort(level)[::-1]
    reference = loudest[np.searchsorted(np.cumsum(loudest), loudest.sum() / 2)]
    return np.asarray(level > reference * 10 ** (-SOUND_RANGE_DB / 10))


def _sounding_within(clip: Prepared, begin: int, end: int) -> npt.NDArray[np.bool_]:
    """Which pieces of a stretch sound: those whose middle lies in a sounding piece of the clip."""
    middles = np.arange(begin + PIECE // 2, begin + (end - begin) // PIECE * PIECE, PIECE) // PIECE
    inside = middles < len(clip.sounding)
    return np.asarray(clip.sounding[np.minimum(middles, len(clip.sounding) - 1)] & inside)


def _smooth(values: npt.NDArray[np.floating], width: int) -> npt.NDArray[np.floating]:
    """Mean over `width` neighbours, shape kept."""
    total = np.cumsum(np.pad(values.astype(np.float64), (width // 2 + 1, width - width // 2 - 1), mode="edge"))
    return np.asarray((total[width:] - total[:-width]) / width)


def _good_size(least: int) -> int:
    """The smallest 2^a, 3 * 2^a or 5 * 2^a that is not below: transforms of such sizes are quick."""
    return min(factor << max(0, -(-least // factor) - 1).bit_length() for factor in (1, 3, 5))
