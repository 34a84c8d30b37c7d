"""One pass over one file: it is hashed, decoded, measured, resampled and quantized, piece by piece.

A piece is at most a minute, so a file of hours needs no more memory than a song. This runs in worker processes: no
torch here.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from xfer.runtime.audio import LARGEST_SOUND, AudioFile, Resampler, Samples, mono, no_sound
from xfer.runtime.errors import Unusable, XferError
from xfer.train.data.copies.prints import fingerprint
from xfer.train.data.facts import Facts
from xfer.train.data.level import Level
from xfer.train.data.problems import Kind
from xfer.train.data.shards.index import read_member

DECODER = f"1 sndfile-{soundfile.__libsndfile_version__} soxr-{soxr.__version__}"
"""What else than a file's bytes decides its samples: sound decoded by another is not used."""
PIECE_SECONDS = 60
PRINTED_SECONDS = 600
"""Copies are told by this much of a clip's beginning."""
SHORTEST_SECONDS = 0.1
"""A recording below this holds nothing to learn from."""
SILENT_PEAK = 10 ** (-70 / 20)
"""A recording whose peak stays below -70 dBFS: ten steps of a 16-bit converter, and no sound to learn from."""
FULL_SCALE = 32_767
BLOCK = 65_536
"""Frames a read: fewer cost more calls, more cost more memory."""


@dataclass(frozen=True)
class Job:
    """A file to decode, and the clips in it."""

    path: Path
    member: str
    """The recording's name inside a tar shard; empty: the file itself."""
    stretches: tuple[tuple[float, float | None], ...]
    """Offset and duration in seconds of each clip whose facts are wanted."""
    rates: tuple[int, ...]
    """Hz; the rates at which its samples are wanted too."""


@dataclass(frozen=True)
class Piece:
    """Up to a minute of a file as int16 with one scale: sample = value * scale."""

    rate: int
    values: npt.NDArray[np.int16]
    scale: float
    crc: int
    """CRC-32 of the values' bytes."""


@dataclass(frozen=True)
class Inspected:
    """What one file gave."""

    job: Job
    facts: tuple[Facts, ...]
    """One a stretch."""
    pieces: tuple[Piece, ...]
    """All samples of the file, in order, for each rate; none where it cannot be used."""
    digest: str = ""
    """SHA-256 of the file's bytes, hex; empty where it gave no sound."""
    frames: int = 0
    """Decoded, at the file's own rate."""
    rate: int = 0
    """Hz; the file's own."""


def inspect(job: Job) -> Inspected:
    """Hash, decode and measure one file. What cannot be used is a fault in its facts, never an error."""
    try:
        with on_disk(job.path, job.member) as path:
            try:
                digest = digest_of(path)
                return _decode(job, path, digest)
            except (XferError, OSError) as error:
                return _lost(job, error, str(path))
    except (XferError, OSError) as error:  # a shard that is gone or cut
        return _lost(job, error, str(job.path))


def quantize(samples: Samples, rate: int) -> Piece:
    """Samples as int16 with one scale: without any loss where they are of 16 bits, else by the peak."""
    lossless = samples * np.float32(FULL_SCALE + 1)
    values = np.rint(lossless)
    scale = 1 / (FULL_SCALE + 1)
    peak = max(float(values.max()), -float(values.min())) if len(values) else 0.0
    if peak > FULL_SCALE or not _equal(lossless, values):
        scale = float(np.float32(max(float(samples.max()), -float(samples.min()), 1e-9) / FULL_SCALE))
        # Out of range by rounding alone at most; astype would wrap it round.
        values = np.rint(np.multiply(samples, np.float32(1 / scale), out=lossless), out=values)
        np.clip(values, -FULL_SCALE, FULL_SCALE, out=values)
    stored = values.astype(np.int16)
    return Piece(rate, stored, scale, zlib.crc32(stored.tobytes()))


def _equal(one: Samples, other: Samples) -> bool:
    """Are they the same? A look at the first few tells most that are not."""
    return np.array_equal(one[:256], other[:256]) and np.array_equal(one, other)


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hex. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def on_disk(path: Path, member: str) -> Iterator[Path]:
    """A recording as a file of its own: a member of a shard is written out for as long as it is read.

    Raises what `shards.read_member` raises.
    """
    if not member:
        yield path
        return
    content = read_member(path, member)
    with tempfile.NamedTemporaryFile(suffix=Path(member).suffix, prefix="xfer-") as copy:
        copy.write(content)
        copy.flush()
        yield Path(copy.name)


def _decode(job: Job, path: Path, digest: str) -> Inspected:
    with AudioFile(path) as file:
        levels = [Level(file.rate, file.channels, *stretch) for stretch in job.stretches]
        lines = [_Line(file.rate, rate) for rate in job.rates]
        beginning: list[Samples] = []
        for frames in file.frames(BLOCK):
            for level in levels:
                level.add(frames)
            block = mono(frames)
            _refuse_no_sound(block, file)
            if file.frames_read <= PRINTED_SECONDS * file.rate:
                beginning.append(block)
            for line in lines:
                line.push(block)
        pieces = [piece for line in lines for piece in line.finish()]
        printed = np.concatenate(beginning)
        facts = tuple(_judged(level, file, digest, printed) for level in levels)
        return Inspected(job, facts, tuple(pieces), digest, file.frames_read, file.rate)


class _Line:
    """The samples of a file at one rate, resampled and cut into pieces as they come."""

    def __init__(self, from_rate: int, rate: int) -> None:
        self._rate = rate
        self._resampler = Resampler(from_rate, rate)
        self._waiting: list[Samples] = []
        self._length = 0
        self._pieces: list[Piece] = []

    def push(self, block: Samples) -> None:
        """The next mono block at the file's rate."""
        self._hold(self._resampler.push(block))

    def finish(self) -> list[Piece]:
        """All pieces; the last one is what is left."""
        self._hold(self._resampler.flush())
        if self._length:
            self._pieces.append(quantize(np.concatenate(self._waiting), self._rate))
        return self._pieces

    def _hold(self, samples: Samples) -> None:
        self._waiting.append(samples)
        self._length += len(samples)
        full = PIECE_SECONDS * self._rate
        if self._length < full:
            return
        held = np.concatenate(self._waiting)
        whole = len(held) // full * full
        self._pieces += [quantize(held[at : at + full], self._rate) for at in range(0, whole, full)]
        self._waiting = [held[whole:]]
        self._length = len(held) - whole


def _refuse_no_sound(block: Samples, file: AudioFile) -> None:
    if block.max() <= LARGEST_SOUND and block.min() >= -LARGEST_SOUND:  # false with NaN too; cheaper than no_sound
        return
    bad = no_sound(block)
    if bad.any():
        at = (file.frames_read - len(block) + int(np.argmax(bad))) / file.rate
        raise Unusable(
            f"{file.path} holds sample values that are no sound (NaN, infinite, beyond +-8), the first at {at:.2f} s: "
            "export it again from its source, or leave it out"
        )


def _judged(level: Level, file: AudioFile, digest: str, beginning: Samples) -> Facts:
    """What a stretch shows, with the fault that keeps it from being learned from."""
    seen = level.measured()
    seconds = seen.frames / file.rate
    fault: Kind | None = None
    message = ""
    if not seen.frames:
        fault, message = "short", "{path} ends before this clip begins"
    elif seen.peak == 0.0:
        fault, message = "silent", "{path} is silent: every sample is zero"
    elif seen.peak < SILENT_PEAK:
        fault, message = "silent", f"{{path}} is silent: its peak is {20 * math.log10(seen.peak):.0f} dBFS"
    elif seconds < SHORTEST_SECONDS:
        fault, message = "short", f"{{path}} lasts {seconds:.3f} s, too short to learn from"
    return Facts(
        digest,
        seconds,
        file.rate,
        file.channels,
        seen.peak,
        seen.level_dbfs,
        seen.clipped,
        # That a file announces no length is so of many whole ones.
        tuple(note for note in file.notes if "announces no length" not in note),
        fault,
        message,
        fingerprint(level.cut(beginning), file.rate) if fault is None else b"",
    )


def _lost(job: Job, error: XferError | OSError, path: str) -> Inspected:
    """Facts of a file that gave no sound; they are not kept, since the next look may find it mended."""
    kind: Kind = "unreadable"
    if isinstance(error, PermissionError):
        message = "{path} may not be read: check who owns it"
    elif isinstance(error, FileNotFoundError):  # FileNotThere too
        message = "{path} is no longer there: it vanished after the folder was listed"
    elif isinstance(error, XferError):
        message = str(error).replace(path, "{path}")
        kind = "empty" if "is empty" in message else "unreadable"
    else:
        message = f"{{path}} cannot be read: {error.strerror}"
    lost = Facts("", 0.0, 0, 0, 0.0, -math.inf, 0.0, fault=kind, message=message)
    return Inspected(job, (lost,) * len(job.stretches), ())
