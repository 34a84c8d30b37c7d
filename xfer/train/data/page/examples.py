"""One example of each class, as it sounds: the outline of its waveform and its spectrogram."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import AudioFile, Samples
from xfer.runtime.errors import Unusable, XferError
from xfer.train.data.clips import Clip
from xfer.train.data.decoding import on_disk
from xfer.train.data.facts import Facts

LONGEST_SECONDS = 30.0
"""Of a longer clip, its beginning is shown."""
WINDOW_SECONDS = 0.04
"""Length of the spectrogram's window, to the nearest power of two samples: 1024 at 22,050 Hz, as the paper's."""
SHADES = 64
"""More cannot be told apart, and would not pack well."""
RANGE_DB = 80.0
"""From the loudest point of a spectrogram down to its floor."""
COLUMNS, ROWS = 300, 110
"""Pixels of a spectrogram, at most."""
QUIET_DBFS = -45.0
"""A clip below this shows little; another is taken where there is one."""


@dataclass(frozen=True)
class Example:
    """A clip, ready to be drawn."""

    clip: Clip
    rate: int
    """The file's own, Hz."""
    seconds: float
    """What is shown."""
    whole: bool
    """False: the clip goes on after what is shown."""
    window: int
    """Samples of the spectrogram's window."""
    low: npt.NDArray[np.float32]
    """(columns,): the smallest sample in each column of the picture."""
    high: npt.NDArray[np.float32]
    """(columns,): the largest."""
    pixels: npt.NDArray[np.uint8]
    """(rows, columns): the top row is the highest frequency; 255 is `top_dbfs`, 0 is `RANGE_DB` below it."""
    top_dbfs: float
    """Level of the loudest point: a sine of full scale is 0 dB."""


def choose(clips: Iterable[Clip], facts: Iterable[Facts]) -> dict[str, Clip]:
    """For each label, sorted, the first clip without fault or note that is loud enough to show something.

    Where there is none, the best of what there is; labels without a usable clip have no entry.
    """
    chosen: dict[str, tuple[int, Clip]] = {}
    for clip, fact in zip(clips, facts, strict=True):
        if fact.fault is not None:
            continue
        worth = 2 * (not fact.notes) + (fact.level_dbfs > QUIET_DBFS)
        if clip.label not in chosen or worth > chosen[clip.label][0]:
            chosen[clip.label] = (worth, clip)
    return {label: chosen[label][1] for label in sorted(chosen)}


def examples(chosen: dict[str, Clip], told: Callable[[int, int], None]) -> Iterator[tuple[str, Example | str]]:
    """Each label's example, or one sentence why it could not be read (a file may vanish after it was checked).

    `told(done, all)` after each.
    """
    for done, (label, clip) in enumerate(chosen.items(), start=1):
        try:
            yield label, example(clip)
        except (XferError, OSError) as error:
            yield label, str(error)
        told(done, len(chosen))


def example(clip: Clip) -> Example:
    """Decode a clip at its own rate, and measure what is drawn.

    Raises FileNotThere or Unusable as decoding does.
    """
    samples, rate, whole = _decode(clip)
    window = 2 ** round(math.log2(WINDOW_SECONDS * rate))
    pixels, top = spectrogram(samples, window)
    low, high = outline(samples)
    return Example(clip, rate, len(samples) / rate, whole, window, low, high, pixels, top)


def outline(samples: Samples) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Smallest and largest sample of each column: (n,) -> (c,), (c,), c = min(n, COLUMNS)."""
    starts = np.linspace(0, len(samples), min(len(samples), COLUMNS), endpoint=False).astype(np.int64)
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def spectrogram(samples: Samples, window: int) -> tuple[npt.NDArray[np.uint8], float]:
    """Power of a Hann window at a quarter of its length as hop, in dB: (n,) -> (rows, columns) and the top in dBFS.

    At most ROWS x COLUMNS pixels: of the frequencies in one the loudest, so that a sine keeps its level; of the frames
    the mean power.
    """
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    # Padded by half a window at both ends, so that a frame stands over its own time.
    padded = np.pad(samples, window // 2)
    frames = 1 + (len(padded) - window) // (window // 4)
    columns, rows = min(frames, COLUMNS), min(window // 2 + 1, ROWS)
    views = np.lib.stride_tricks.sliding_window_view(padded, window)[:: window // 4]
    bins = _starts(window // 2 + 1, rows)
    power = np.empty((rows, columns))
    # A column at a time: all frames of 30 s at once would take hundreds of megabytes.
    edges = [*_starts(frames, columns), frames]
    for column in range(columns):
        spectrum = np.fft.rfft(views[edges[column] : edges[column + 1]] * hann)
        mean = np.mean(np.abs(spectrum) ** 2, axis=0)
        power[:, column] = np.maximum.reduceat(mean, bins)
    # A sine of amplitude 1 has the spectral magnitude sum(window) / 2.
    level = 10 * np.log10(np.maximum(power / (float(hann.sum()) / 2) ** 2, 1e-30))
    top = float(level.max())
    shades = np.rint(np.clip((level - top) / RANGE_DB + 1, 0, 1) * (SHADES - 1)) * (255 / (SHADES - 1))
    return np.ascontiguousarray(np.rint(shades[::-1]).astype(np.uint8)), top


def _starts(length: int, parts: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, length, parts, endpoint=False).astype(np.int64)


def _decode(clip: Clip) -> tuple[Samples, int, bool]:
    """Samples of the clip's beginning, its rate, and whether that is all of it."""
    with on_disk(clip.path, clip.member) as path, AudioFile(path) as file:
        first = round(clip.offset * file.rate)
        seconds = min(LONGEST_SECONDS, math.inf if clip.duration is None else clip.duration)
        last = first + max(1, round(seconds * file.rate))
        parts: list[Samples] = []
        for block in file.blocks():
            begin = file.frames_read - len(block)
            parts.append(block[max(0, first - begin) : max(0, last - begin)])
            if file.frames_read > last:
                break
        samples = np.concatenate(parts)
        if not len(samples):
            raise Unusable(f"{clip.path} ends before the clip at {clip.offset:g} s begins: check the table of clips")
        goes_on = file.frames_read > last and (clip.duration is None or clip.duration > seconds)
        return samples, file.rate, not goes_on
