"""Sound as every floor uses it: mono float32, nominally in [-1, 1], at the rate that is asked for.

Training and listening call these very functions, so what a net heard in training is what it hears live. A file is read
onward in blocks and a stream is resampled by the same soxr stream whatever its blocks, so both give the same samples.
Peaks above 1, which MP3 decoders deliver, are kept: clipping them would add what was never recorded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from xfer.runtime.chatter import captured
from xfer.runtime.container import Announced, announced
from xfer.runtime.errors import FileNotThere, Unusable

Samples = npt.NDArray[np.float32]
"""Mono samples, shape (n,)."""

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64")
"""Names by which a folder is searched for recordings."""

LARGEST_SOUND = 8.0
"""A sample beyond this (18 dB over full scale) is no sound: an integer read as a float, or a broken file."""

Short = Literal["tile", "place"]
"""What becomes of sound that is shorter than a window: repeated until it fills one, or placed amid silence."""

_BLOCK = 16_384
"""Frames a read."""

_LONGEST_PATH = 500
"""Bytes; libsndfile refuses longer ones (1,600 measured) as if the file were broken."""


@dataclass(frozen=True)
class Recording:
    """One decoded file."""

    samples: Samples
    """Mono, shape (n,), n > 0."""
    rate: int
    """Hz."""
    path: Path
    notes: tuple[str, ...] = ()
    """What a listener should know, one sentence each: "cut off: 3.1 s of 9.0 s announced"."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


def decode(path: str | Path) -> Recording:
    """Decode a whole file at its own rate, channels averaged, not clipped.

    Raises FileNotThere, or Unusable for what is no recording: a folder, an empty file, text, garbage.
    """
    with AudioFile(path) as file:
        samples = np.concatenate(list(file.blocks()))
        return Recording(samples, file.rate, file.path, file.notes)


def load(path: str | Path, rate: int) -> Recording:
    """`decode`, then `resample` to `rate` Hz: how training reads a clip.

    Raises what `decode` raises, and Unusable where samples are NaN, infinite or beyond +-8.
    """
    recording = decode(path)
    bad = no_sound(recording.samples)
    if bad.any():
        at = int(np.argmax(bad)) / recording.rate
        raise Unusable(
            f"{recording.path} holds {int(bad.sum())} sample values that are no sound (NaN, infinite or beyond "
            f"+-{LARGEST_SOUND:g}), the first at {at:.2f} s: export it again from its source, or leave it out"
        )
    return Recording(resample(recording.samples, recording.rate, rate), rate, recording.path, recording.notes)


def no_sound(samples: Samples) -> npt.NDArray[np.bool_]:
    """Which samples are no sound: NaN, infinite, or beyond +-8. Shape (n,)."""
    return ~(np.abs(samples) <= LARGEST_SOUND)  # a comparison with NaN is false


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Samples at `from_rate` Hz as samples at `to_rate` Hz: (n,) -> (round(n * to_rate / from_rate),)."""
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate([resampler.push(samples), resampler.flush()])


def resampled_length(count: int, from_rate: int, to_rate: int) -> int:
    """How many samples `resample` surely makes of `count`: their share, rounded. Of a half soxr may make one more."""
    return (2 * count * to_rate + from_rate - 1) // (2 * from_rate)


def mono(frames: npt.NDArray[np.float32]) -> Samples:
    """The mean of the channels, (n, c) -> (n,); summed in one order, so that a sample's last bit never depends on n."""
    mixed: Samples = frames[:, 0].copy()
    for channel in range(1, frames.shape[1]):
        mixed += frames[:, channel]
    if frames.shape[1] > 1:
        mixed /= np.float32(frames.shape[1])
    return mixed


def tile(samples: Samples, window: int) -> Samples:
    """Repeat samples that are shorter than a window, then cut: (n,) -> (max(n, window),)."""
    if len(samples) == 0:
        raise ValueError("no samples to tile")
    return samples if len(samples) >= window else np.resize(samples, window)


def place(samples: Samples, window: int) -> Samples:
    """Put samples that are shorter than a window into the middle of silence: (n,) -> (max(n, window),)."""
    if len(samples) == 0:
        raise ValueError("no samples to place")
    if len(samples) >= window:
        return samples
    placed = np.zeros(window, dtype=np.float32)
    before = (window - len(samples)) // 2
    placed[before : before + len(samples)] = samples
    return placed


def fill(samples: Samples, window: int, short: Short) -> Samples:
    """Bring samples that are shorter than a window to its length, as the net was trained: (n,) -> (max(n, window),)."""
    return place(samples, window) if short == "place" else tile(samples, window)


def window_starts(length: int, window: int, hop: int) -> list[int]:
    """Where windows over `length` samples begin: every `hop`, the last one aligned to the end; a short clip has one."""
    if length <= window:
        return [0]
    starts = list(range(0, length - window + 1, hop))
    if starts[-1] != length - window:
        starts.append(length - window)
    return starts


class Resampler:
    """A soxr HQ stream from one rate to another; the output does not depend on the sizes of the blocks.

    All pushed blocks together, then `flush`, give round(n * to_rate / from_rate) samples. Equal rates pass through.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        same = from_rate == to_rate
        self._stream = None if same else soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")

    def push(self, block: Samples) -> Samples:
        """The samples that are ready after this block; they come late by the filter's delay."""
        if self._stream is None:
            return block
        parts = [
            np.asarray(self._stream.resample_chunk(np.ascontiguousarray(block[at : at + _BLOCK])), dtype=np.float32)
            for at in range(0, len(block), _BLOCK)
        ]
        return np.concatenate(parts) if parts else block

    def flush(self) -> Samples:
        """The samples that are still inside; the stream ends here."""
        nothing = np.zeros(0, dtype=np.float32)
        if self._stream is None:
            return nothing
        return np.asarray(self._stream.resample_chunk(nothing, last=True), dtype=np.float32)


class _Onward(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read onward.

    soundfile seeks after every read to where it already is, and libsndfile's seek in an MP3 lands elsewhere: blocks
    read that way differ from the whole by as much as the sound itself. What calls itself unseekable is left alone.
    """

    def seekable(self) -> bool:
        return False


class AudioFile:
    """An audio file that is read block by block; `notes` is complete after the last block."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._chatter: list[str] = []
        self._damage = ""
        self.frames_read = 0
        """Samples delivered so far."""
        self.announced = _look(self.path)
        try:
            with captured(self._chatter):
                self._file: Any = _Onward(named(self.path))
        except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
            raise _broken(self.path, self.announced) from error
        self.rate = int(self._file.samplerate)
        """Hz."""
        self.channels = int(self._file.channels)

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with captured(self._chatter):
            self._file.close()

    def blocks(self) -> Iterator[Samples]:
        """Mono blocks of up to 16,384 samples. Raises Unusable where not one sample can be decoded."""
        return map(mono, self.frames())

    def frames(self, block: int = _BLOCK) -> Iterator[npt.NDArray[np.float32]]:
        """All channels, blocks of shape (up to `block`, channels). Raises as `blocks` does."""
        while True:
            try:
                with captured(self._chatter):
                    frames = self._file.read(block, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                self._damage = _reason(error)
                break
            if not len(frames):
                break
            self.frames_read += len(frames)
            yield frames
        if not self.frames_read:
            raise _broken(self.path, self.announced)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a listener should know about this file, one sentence each."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        read = self.frames_read / self.rate
        said = self.announced
        if said.samples is not None and said.samples - self.frames_read > said.slack:
            yield f"cut off: {read:.1f} s of {said.samples / self.rate:.1f} s announced"
        elif said.cut:
            yield f"cut off: the end of the stream is missing after {read:.1f} s"
        elif self._damage:
            yield f"damaged: the decoder stopped at {read:.1f} s ({self._damage})"
        elif said.untold:
            yield said.untold
        errors = [line for line in self._chatter if "error" in line.lower()]
        if errors:
            yield f"the decoder reported {len(errors)} damaged frames"


def named(path: Path) -> str | bytes | int:
    """A path as libsndfile takes it: as bytes where names need not be text, opened where it is too long for it."""
    if sys.platform == "win32":
        return str(path)
    name = os.fsencode(path)
    return name if len(name) < _LONGEST_PATH else os.open(name, os.O_RDONLY)


def _look(path: Path) -> Announced:
    """What the file announces; raises for what cannot be a recording at all."""
    if not path.exists():
        raise FileNotThere(f"{path} does not exist: check the name")
    if path.is_dir():
        raise Unusable(f"{path} is a folder, not a recording: name a file in it")
    if not path.is_file():
        raise Unusable(f"{path} is no regular file: pipe raw PCM into `xfer listen -` instead")
    if path.stat().st_size == 0:
        raise Unusable(f"{path} is empty: it holds no sound")
    if path.suffix.lower() == ".raw":
        raise Unusable(f"{path} is raw PCM, which names no rate: xfer listen - --rate HZ --format S16_LE < {path}")
    return announced(path)


def _broken(path: Path, said: Announced) -> Unusable:
    """The one sentence about a file that gives no sound."""
    with open(path, "rb") as file:
        head = file.read(512)
    if said.cut:
        return Unusable(f"{path} is cut off so early that no sound is left in it: copy it again")
    if said.samples == 0 or head[:4] == b"RIFF":
        return Unusable(f"{path} is a WAV file that holds no readable sound (unfinished or damaged): record it again")
    if not head.translate(None, b"\t\n\r\f\b" + bytes(range(32, 127)) + bytes(range(128, 256))) and b"\n" in head:
        return Unusable(f"{path} is text, not a recording: give it WAV, FLAC, OGG (Vorbis, Opus) or MP3")
    return Unusable(f"{path} is no recording that can be decoded: give it WAV, FLAC, OGG (Vorbis, Opus) or MP3")


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".").removeprefix("Error : ")
