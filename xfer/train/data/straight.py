"""Samples straight from a file: for what is not in the cache, without decoding more than is needed.

A stretch is resampled with a margin on both sides and from a sample that the two rates share, so it is what the whole
file, resampled, holds there.
"""

from __future__ import annotations

import math
from pathlib import Path

import soundfile

from xfer.runtime.audio import Samples, mono, named, resample
from xfer.runtime.chatter import captured

MARGIN_SECONDS = 0.05
"""Longer than the resampler's filter reaches, for any two rates of sound."""
SEEKABLE = {"WAV", "WAVEX", "FLAC", "AIFF", "AU", "CAF", "W64", "RF64"}
"""Formats in which libsndfile seeks to the very sample. In MP3 and Ogg it may land elsewhere: these are read onward."""


def stretch(path: Path, rate: int, start: int, count: int) -> Samples | None:
    """Samples `start` to `start + count` of a file at `rate` Hz, (count,); fewer at its end.

    None where the file must be decoded from its beginning: its format cannot be sought in, or it is broken.
    """
    with captured([]):
        try:
            about = soundfile.info(named(path))
        except (soundfile.LibsndfileError, RuntimeError, TypeError):
            about = None
    if about is None or about.format not in SEEKABLE:
        return None
    first, last, skip = _source(start, count, about.samplerate, rate)
    with captured([]):
        last = min(last, about.frames)
        frames, _ = soundfile.read(named(path), start=first, stop=last, dtype="float32", always_2d=True)
    return resample(mono(frames), about.samplerate, rate)[skip : skip + count]


def _source(start: int, count: int, from_rate: int, rate: int) -> tuple[int, int, int]:
    """Which frames of the file are needed, and how many resampled samples come before the stretch."""
    if from_rate == rate:
        return start, start + count, 0
    shared = math.gcd(from_rate, rate)
    step_in, step_out = from_rate // shared, rate // shared
    margin = math.ceil(MARGIN_SECONDS * shared)
    block = max(0, start // step_out - margin)
    end = math.ceil((start + count) / step_out) + margin
    return block * step_in, end * step_in, start - block * step_out
