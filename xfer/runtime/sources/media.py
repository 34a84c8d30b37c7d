"""Containers (MP4, MKV, WebM ...) and network streams (HTTP, RTSP, Icecast, HLS) through PyAV, the extra `media`.

What a file may make FFmpeg open is narrowed: a playlist from somewhere reads neither local files nor, when it is a
local file itself, the network.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Resampler, Samples
from xfer.runtime.errors import FileNotThere, NotThere, Unusable, need_extra
from xfer.runtime.sources.again import try_again
from xfer.runtime.sources.ring import ahead
from xfer.runtime.sources.source import NOTHING, Block, News, one_channel

MEDIA_SUFFIXES = (
    *(".m4a", ".mp4", ".m4b", ".aac", ".mka", ".mkv", ".webm", ".mov", ".avi", ".ts", ".wma", ".wmv", ".asf"),
    *(".amr", ".3gp", ".flv", ".ac3", ".eac3", ".dts", ".ape", ".wv", ".tta", ".mpg", ".mpeg"),
)
"""Names of what libsndfile does not read and FFmpeg does."""

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt", "icecast", "mms", "mmsh")
"""Addresses that are listened to."""

AHEAD_SECONDS = 10.0
OPEN_SECONDS, READ_SECONDS = 10.0, 10.0
"""An address that does not answer, or a stream that says nothing, for so long is gone."""

_JUMP_SECONDS = 0.1
"""Time stamps that leave out more than this tell of sound that was lost on the way."""
_LONGEST_JUMP_SECONDS = 3600.0
_FILE_PROTOCOLS = "file,crypto,data"
_NET_PROTOCOLS = "http,https,httpproxy,tls,tcp,udp,rtp,rtsp,rtmp,rtmps,srt,crypto,data,hls"


def is_address(text: str) -> bool:
    """Is this the address of a stream, and not a file's name?"""
    scheme, found, _ = text.partition("://")
    return bool(found) and scheme.lower() in SCHEMES


class MediaSource:
    """The first audio stream of a container or an address.

    An address without an end (a radio, a camera) is opened again when it goes away, with back-off.
    """

    def __init__(self, where: str | Path, channel: int | None = None) -> None:
        """Raises FileNotThere, Unusable for what holds no sound, NotThere where PyAV or the address is not there."""
        self.name = str(where)
        self._channel = channel
        self._told = threading.Event()
        self._stream = _Stream(self.name)
        self.rate = self._stream.rate
        self.live = self._stream.endless
        self._damage = ""
        self._reading = False  # by a thread of its own, which alone may touch the container then
        self._over = threading.Event()

    def blocks(self) -> Iterator[Block]:
        """Blocks until the end; of an endless stream until `stop`. Raises Unusable where there is no sound at all."""
        if not self.live:
            return self._once()
        return ahead(self._owned, AHEAD_SECONDS, lambda: self.rate, self._told)

    def _once(self) -> Iterator[Block]:
        heard = False
        try:
            for samples, _ in self._stream.sound(self._channel, self.rate):
                if self._told.is_set():
                    return
                heard = True
                yield Block(samples, time.monotonic())
        except NotThere as error:
            self._damage = str(error)
        if not heard:
            raise Unusable(f"{self.name} holds no sound that can be decoded")

    def _owned(self) -> Iterator[Block]:
        """What the thread that reads does, and at last closes: FFmpeg crashes when another closes what it decodes."""
        self._reading = True
        try:
            yield from self._for_ever()
        finally:
            self._stream.close()
            self._over.set()

    def _for_ever(self) -> Iterator[Block]:
        ended: float | None = None
        while not self._told.is_set():
            reason = "it ended"
            try:
                for samples, missing in self._stream.sound(self._channel, self.rate):
                    now = time.monotonic()
                    if ended is not None:
                        yield Block(NOTHING, now, news=News("back", f"{self.name} is back"))
                        missing = max(1, round((now - ended) * self.rate) - len(samples))
                    ended = None
                    yield Block(samples, now, missing)
                    if self._told.is_set():
                        return
            except NotThere as error:
                reason = str(error)
            self._stream.close()
            ended = ended or time.monotonic()
            yield Block(NOTHING, time.monotonic(), news=News("lost", f"{self.name}: {reason}: trying again"))
            yield from try_again(lambda: _Stream(self.name), self._told, self._take)

    def _take(self, stream: _Stream) -> None:
        self._stream = stream

    def stop(self) -> None:
        """End after the current block."""
        self._told.set()

    def close(self) -> None:
        """Close the container; the thread that reads it does so itself, as soon as FFmpeg lets it."""
        self._told.set()
        if self._reading:
            self._over.wait(READ_SECONDS)
        else:
            self._stream.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Whether it is damaged."""
        return (self._damage,) if self._damage and not self._told.is_set() else ()


class _Stream:
    """One opening of a container."""

    def __init__(self, where: str) -> None:
        try:
            import av
        except ImportError as error:
            raise need_extra("av", "media") from error
        av.logging.set_level(av.logging.PANIC)
        self._where = where
        self._errors: type[Exception] = av.FFmpegError
        net = is_address(where)
        if not net and not Path(where).exists():
            raise FileNotThere(f"{where} does not exist: check the name")
        if not net and not Path(where).is_file():
            raise Unusable(f"{where} is no regular file")
        options = {"protocol_whitelist": _NET_PROTOCOLS if net else _FILE_PROTOCOLS}
        if where.startswith(("rtsp:", "rtsps:")):
            options["rtsp_transport"] = "tcp"  # no sound is lost on the way without our knowing
        # A local name that looks like a protocol ("a:b.mp4") is a file all the same.
        address = where if net else f"file:{where}"
        try:
            self._container: Any = av.open(address, options=options, timeout=(OPEN_SECONDS, READ_SECONDS))
        except (av.FFmpegError, OSError, ValueError) as error:
            if net:
                raise NotThere(f"{where} does not answer as a stream ({_reason(error)})") from error
            raise Unusable(f"{where} is no container that can be read ({_reason(error)})") from error
        if not self._container.streams.audio:
            self._container.close()
            raise Unusable(f"{where} holds no sound: it has no audio stream")
        self._audio = self._container.streams.audio[0]
        self.rate = int(self._audio.rate or 0)
        if self.rate < 1:
            self.close()
            raise Unusable(f"{where} names no rate for its sound")
        self.endless = net and not self._container.duration

    def sound(self, channel: int | None, rate: int) -> Iterator[tuple[Samples, int]]:
        """Mono samples at `rate`, and how many samples are missing before them. Raises NotThere where it breaks off."""
        resampler = Resampler(self.rate, rate)
        at, expected = self.rate, None
        try:
            for frame in self._container.decode(self._audio):
                if frame.sample_rate != at:  # the stream goes on at another rate
                    yield resampler.flush(), 0
                    at = frame.sample_rate
                    resampler = Resampler(at, rate)
                begin = None if frame.pts is None else Fraction(frame.pts) * frame.time_base
                late = float(begin - expected) if begin is not None and expected is not None else 0.0
                missing = round(late * rate) if self.endless and _JUMP_SECONDS < late < _LONGEST_JUMP_SECONDS else 0
                expected = None if begin is None else begin + Fraction(frame.samples, at)
                yield resampler.push(one_channel(frames_of(frame), channel)), missing
        except self._errors as error:
            raise NotThere(f"{self._where} broke off ({_reason(error)})") from error
        yield resampler.flush(), 0

    def close(self) -> None:
        self._container.close()


def frames_of(frame: Any) -> npt.NDArray[np.float32]:
    """A PyAV frame as float32, (n, channels); integers over their full scale."""
    values = frame.to_ndarray()  # planar: (channels, n), packed: (1, n * channels)
    channels = frame.layout.nb_channels
    frames = values.T if frame.format.is_planar else values.reshape(-1, channels)
    found: npt.NDArray[np.float32] = np.ascontiguousarray(frames, dtype=np.float32)
    if frames.dtype == np.uint8:
        found = (found - np.float32(128)) / np.float32(128)
    elif np.issubdtype(frames.dtype, np.integer):
        found /= np.float32(2 ** (8 * frames.dtype.itemsize - 1))
    return found


def _reason(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:150] if str(error).strip() else type(error).__name__
