"""Where sound comes from: a file, the files of a folder, raw PCM on a pipe (the microphone has its own file).

A source yields blocks of mono samples at its own rate, of whatever size; what becomes of them does not depend on the
sizes.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import SUFFIXES, AudioFile, Samples, mono
from xfer.runtime.errors import FileNotThere, Unusable, nearest

POLL_SECONDS = 0.2
"""How often a source that waits for sound looks whether it was told to stop."""

_READ_BYTES = 65_536

_PIPE_FORM = "pipe raw PCM into it, as in arecord -f S16_LE -r 16000 | xfer listen -"


@dataclass(frozen=True)
class Block:
    """Some samples, as they came."""

    samples: Samples
    """Mono at the source's rate, (n,); may hold values that are no sound."""
    arrived: float
    """When its last sample was here: time.monotonic()."""
    missing: int = 0
    """Samples that were lost just before this block."""


class Source(Protocol):
    """Anything that sound comes from."""

    name: str
    """As in events: the file's name, `-` or `microphone`."""
    rate: int
    """Hz."""
    live: bool
    """Does sound arrive while it is made? Then latency counts from its arrival."""

    def blocks(self) -> Iterator[Block]:
        """Blocks until the end, or until `stop`."""
        ...

    def stop(self) -> None:
        """Let `blocks` end soon; may be called from a signal handler or another thread."""
        ...

    def close(self) -> None:
        """Give back the file or device."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a listener should know, complete after the last block."""
        ...


class FileSource:
    """One audio file. Raises FileNotThere or Unusable when it is opened, or at its first block."""

    live = False

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self._file = AudioFile(path)
        self.rate = self._file.rate
        self._stopped = False

    def blocks(self) -> Iterator[Block]:
        """Decoded blocks until the end of the file."""
        for samples in self._file.blocks():
            if self._stopped:
                return
            yield Block(samples, time.monotonic())

    def stop(self) -> None:
        """End after the current block."""
        self._stopped = True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Whether it is cut off or damaged."""
        return () if self._stopped else self._file.notes


def recordings_in(folder: str | Path) -> list[Path]:
    """Audio files of a folder and the folders in it, sorted. Raises FileNotThere, or Unusable where there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotThere(f"{folder} does not exist: check the name")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise Unusable(f"{folder} holds no recordings: none of its files ends in {', '.join(SUFFIXES)}")
    return found


@dataclass(frozen=True)
class PcmFormat:
    """A form of raw samples, under arecord's name."""

    width: int
    """Bytes of a sample."""
    read: Callable[[bytes], npt.NDArray[np.float32]]
    """Whole samples, float32 (n,); integers over their full scale."""


def _s16(data: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(2**15)


def _s24(data: bytes) -> npt.NDArray[np.float32]:
    wide = np.zeros((len(data) // 3, 4), np.uint8)  # three bytes on top of a zero: the sign is where int32 has it
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)


def _s32(data: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(data, "<i4").astype(np.float32) / np.float32(2**31)


def _float(data: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(data, "<f4").astype(np.float32)


PCM_FORMATS = {
    "S16_LE": PcmFormat(2, _s16),
    "S24_3LE": PcmFormat(3, _s24),
    "S32_LE": PcmFormat(4, _s32),
    "FLOAT_LE": PcmFormat(4, _float),
}


class PcmSource:
    """Raw PCM from a file descriptor, interleaved; reads what is there, so a live pipe is heard at once."""

    name = "-"
    live = True

    def __init__(self, descriptor: int, rate: int = 16_000, channels: int = 1, sample_format: str = "S16_LE") -> None:
        if sample_format not in PCM_FORMATS:
            raise Unusable(f"sample format {sample_format!r} is not known: {nearest(sample_format, PCM_FORMATS)}")
        if rate < 1 or channels < 1:
            raise Unusable(f"{rate} Hz and {channels} channels are no sound: see --rate and --channels")
        if os.isatty(descriptor):
            raise Unusable(f"stdin is a terminal: {_PIPE_FORM}")
        self.rate = rate
        self._descriptor = descriptor
        self._channels = channels
        self._format = PCM_FORMATS[sample_format]
        self._left = 0
        self._stopped = threading.Event()

    def blocks(self) -> Iterator[Block]:
        """Blocks as they come, until the pipe's other end is closed. Raises Unusable where not one frame came."""
        frame = self._format.width * self._channels
        held = b""
        heard = False
        while not self._stopped.is_set():
            if not self._ready():
                continue
            data = os.read(self._descriptor, _READ_BYTES)
            if not data:
                break
            held += data
            whole = len(held) - len(held) % frame
            if whole:
                heard = True
                samples = self._format.read(held[:whole]).reshape(-1, self._channels)
                held = held[whole:]
                yield Block(mono(samples), time.monotonic())
        self._left = len(held)
        if not heard and not self._stopped.is_set():
            raise Unusable(f"no sound came on stdin: {_PIPE_FORM}")

    def _ready(self) -> bool:
        """Is there something to read? Waits for POLL_SECONDS, so that `stop` is heard while no sound comes."""
        if os.name != "posix":  # select knows only sockets there: wait in read
            return True
        return bool(select.select([self._descriptor], [], [], POLL_SECONDS)[0])

    def stop(self) -> None:
        """End at the next look."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing: the descriptor is the caller's."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Whether it ended inside a frame."""
        if not self._left:
            return ()
        return (f"the last {self._left} bytes are no whole frame: check --format and --channels",)
