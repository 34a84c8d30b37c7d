"""Raw PCM on a pipe, as arecord and ffmpeg write it; a WAV header before it is read and believed.

`arecord` writes one unless it is told `-t raw`: taken for samples it would be a click, and the rate that it names would
be missed.
"""

from __future__ import annotations

import os
import select
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer.runtime.errors import NotThere, Unusable, nearest
from xfer.runtime.sources.ring import ahead
from xfer.runtime.sources.source import POLL_SECONDS, Block, one_channel

AHEAD_SECONDS = 10.0
"""So much of a pipe is read ahead of the listener before its writer has to wait."""

DEFAULT_RATE, DEFAULT_CHANNELS, DEFAULT_FORMAT = 16_000, 1, "S16_LE"

_READ_BYTES = 65_536
_LONGEST_HEADER = 4_096
"""Bytes before the samples of a WAV stream; what names more is not waited for."""
_NO_END = 2**31 - 2**16
"""Bytes: who writes a WAV header before the length is known writes at least about this."""
_WAV_FORMATS = {(1, 8): "U8", (1, 16): "S16_LE", (1, 24): "S24_3LE", (1, 32): "S32_LE", (3, 32): "FLOAT_LE"}
"""Format tag and bits of a sample."""
_EXTENSIBLE = 0xFFFE

_PIPE_FORM = "pipe raw PCM into it, as in arecord -f S16_LE -r 16000 | xfer listen -"


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


def _u8(data: bytes) -> npt.NDArray[np.float32]:
    return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)


PCM_FORMATS = {
    "S16_LE": PcmFormat(2, _s16),
    "S24_3LE": PcmFormat(3, _s24),
    "S32_LE": PcmFormat(4, _s32),
    "FLOAT_LE": PcmFormat(4, _float),
    "U8": PcmFormat(1, _u8),
}


class PcmSource:
    """Raw PCM from a file descriptor, interleaved; reads what is there, so a live pipe is heard at once."""

    name = "-"

    def __init__(
        self,
        descriptor: int,
        rate: int | None = None,
        channels: int | None = None,
        sample_format: str | None = None,
        channel: int | None = None,
    ) -> None:
        """What is not given is read from a WAV header, else 16000 Hz, 1 channel, S16_LE. `channel`: one, from 1.

        Raises Unusable for settings that are none, NotThere where the descriptor is closed.
        """
        if sample_format is not None and sample_format not in PCM_FORMATS:
            raise Unusable(f"sample format {sample_format!r} is not known: {nearest(sample_format, PCM_FORMATS)}")
        if (rate is not None and rate < 1) or (channels is not None and channels < 1):
            raise Unusable(f"{rate} Hz and {channels} channels are no sound: see --rate and --channels")
        try:
            kind = os.fstat(descriptor).st_mode
        except OSError as error:
            raise NotThere(f"stdin is closed: {_PIPE_FORM}, or name a recording") from error
        if os.isatty(descriptor):
            raise Unusable(f"stdin is a terminal: {_PIPE_FORM}")
        self._told = {"rate": rate, "channels": channels, "format": sample_format}
        self.rate = rate or DEFAULT_RATE
        self.live = not stat.S_ISREG(kind)
        self._descriptor = descriptor
        self._channels = channels or DEFAULT_CHANNELS
        self._format = PCM_FORMATS[sample_format or DEFAULT_FORMAT]
        self._channel = channel
        self._left = 0
        self._stopped = threading.Event()

    def blocks(self) -> Iterator[Block]:
        """Blocks as they come, until the pipe's other end is closed.

        Raises Unusable where not one frame came, and where a WAV header says something else than the settings.
        """
        if not self.live:
            return self._read()
        return ahead(self._read, AHEAD_SECONDS, lambda: self.rate, self._stopped)

    def _read(self) -> Iterator[Block]:
        held, first, heard = b"", True, False
        left: int | None = None
        while not self._stopped.is_set():
            if not self._ready():
                continue
            data = os.read(self._descriptor, _READ_BYTES)
            held += data
            if first:
                header = wav_header(held) if data and b"RIFF".startswith(held[:4]) else _NO_WAV
                if header is None:  # it is not all here yet
                    continue
                held, first = held[self._believe(header) :], False
                left = header.samples_long
            frame = self._format.width * self._channels
            usable = len(held) if left is None else min(len(held), left)
            whole = usable - usable % frame
            if whole:
                heard = True
                samples = self._format.read(held[:whole]).reshape(-1, self._channels)
                held = held[whole:]
                left = None if left is None else left - whole
                yield Block(one_channel(samples, self._channel), time.monotonic())
            if not data or left == 0:
                break
        self._left = len(held) if left is None else 0
        if not heard and not self._stopped.is_set():
            raise Unusable(f"no sound came on stdin: {_PIPE_FORM}")

    def _believe(self, header: WavHeader) -> int:
        """Take what a header says; how many bytes it is long. Raises Unusable where a setting says another thing."""
        if header.bytes_long == 0:
            return 0
        found = {"rate": header.rate, "channels": header.channels, "format": header.sample_format}
        for name, value in found.items():
            told = self._told[name]
            if told is not None and told != value:
                raise Unusable(f"stdin is a WAV stream with {name} {value}, not {told}: leave --{name} out")
        self.rate, self._channels = header.rate, header.channels
        self._format = PCM_FORMATS[header.sample_format]
        return header.bytes_long

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


@dataclass(frozen=True)
class WavHeader:
    """What stands before the samples of a WAV stream."""

    bytes_long: int
    """Up to the first sample; 0: this is no WAV stream."""
    rate: int = 0
    channels: int = 0
    sample_format: str = ""
    samples_long: int | None = None
    """Bytes of samples; None: until the stream ends."""


_NO_WAV = WavHeader(0)


def wav_header(data: bytes) -> WavHeader | None:
    """The header at the beginning of a stream; None: more bytes are needed to tell.

    What begins like a WAV stream and is none that can be read is taken for samples. Raises Unusable for a form of
    samples that nobody can read here (A-law, float64 ...).
    """
    if len(data) < 12:
        return None
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return _NO_WAV
    at, found = 12, (0, 0, 0, 0)
    while at + 8 <= min(len(data), _LONGEST_HEADER):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"data":
            tag, channels, rate, bits = found
            if (tag, bits) not in _WAV_FORMATS or channels < 1 or rate < 1:
                known = ", ".join(PCM_FORMATS)
                raise Unusable(f"stdin is a WAV stream of format {tag} with {bits} bits, not one of {known}")
            return WavHeader(at + 8, rate, channels, _WAV_FORMATS[tag, bits], size if size < _NO_END else None)
        if at + 8 + size > len(data):
            return None if at + 8 + size <= _LONGEST_HEADER else _NO_WAV
        if name == b"fmt " and size >= 16:
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
            if tag == _EXTENSIBLE and size >= 26:
                tag = int.from_bytes(data[at + 32 : at + 34], "little")
            found = (tag, channels, rate, bits)
        at += 8 + size + size % 2
    return None if at + 8 <= _LONGEST_HEADER else _NO_WAV
