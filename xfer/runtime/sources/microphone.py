"""A microphone as a source: heard at its own rate, and looked for again when it goes away.

The callback copies and counts, nothing else: it runs in PortAudio's own thread and must be done before the next block.
The ring between it and the listener is bounded: a listener that falls behind loses the oldest sound, and is told how
much. The device's own rate is taken, since our resampler is better than what PulseAudio or ALSA put in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Resampler
from xfer.runtime.chatter import captured
from xfer.runtime.errors import NotThere
from xfer.runtime.sources.again import try_again
from xfer.runtime.sources.portaudio import choose_microphone, microphones, settings_for, start
from xfer.runtime.sources.ring import Ring
from xfer.runtime.sources.source import HURRY_SECONDS, NOTHING, POLL_SECONDS, Block, News, one_channel

RING_SECONDS = 10.0
"""How far a listener may fall behind before sound is lost."""

BLOCK_SECONDS = 0.032
"""Between two callbacks: seldom enough for a small processor, and far below what a window takes to fill."""

SILENT_SECONDS = 5.0
"""A microphone that delivers nothing for so long is gone."""

_PIECE_SECONDS = 0.5
"""So much of what waits comes as one block."""
_LONGEST_DELAY = 2.0
"""Seconds between a sample and its callback; what a device tells beyond it is no delay but a clock that was set."""


class Microphone:
    """A microphone that records until it is closed. Goes on after it went away and came back."""

    name = "microphone"
    live = True

    def __init__(self, wanted: str | None = None, rate: int | None = None, channel: int | None = None) -> None:
        """Open a microphone by index or name, at its own rate and channels unless `rate` says otherwise.

        `channel`: listen to this one, counted from 1, instead of the mean of all. Raises NotThere.
        """
        self._wanted, self._asked, self._channel = wanted, rate, channel
        self._told = threading.Event()
        self._device = _Device(wanted, rate, channel)
        self.info = self._device.info
        self.rate = self._device.rate
        self.channels = self._device.channels
        if wanted is not None and not wanted.strip().isdigit():
            return
        if wanted is not None:  # numbers change when devices come and go; names do not
            self._wanted = self.info.name

    def blocks(self) -> Iterator[Block]:
        """Blocks until `stop`; empty ones while nothing comes. News tells when it goes away and when it is back."""
        ended = time.monotonic()
        while not self._told.is_set():
            for block in self._device.blocks(self._told, self._channel):
                ended = block.arrived if len(block.samples) else ended
                yield block
            if self._told.is_set():
                return
            self._device.close()
            text = f"microphone {self.info.name!r} went away: trying again until it is back"
            yield Block(NOTHING, time.monotonic(), news=News("lost", text))
            yield from try_again(self._open_again, self._told, self._take)
            yield from self._first_block(ended)

    def _open_again(self) -> _Device:
        return _Device(self._wanted, self._asked, self._channel, anew=True, into=self.rate)

    def _take(self, device: _Device) -> None:
        self._device, self.info, self.channels = device, device.info, device.channels

    def _first_block(self, ended: float) -> Iterator[Block]:
        """The first sound after an outage, with what was missed by the clock."""
        for block in self._device.blocks(self._told, self._channel):
            if not len(block.samples):
                yield block
                continue
            began = block.arrived - len(block.samples) / self.rate
            missed = max(1, round((began - ended) * self.rate))
            yield Block(NOTHING, block.arrived, news=News("back", f"microphone {self.info.name!r} is back"))
            yield Block(block.samples, block.arrived, missed + block.missing, block.waiting, block.hurry)
            return

    def stop(self) -> None:
        """End at the next look."""
        self._told.set()

    def close(self) -> None:
        """Give the device back."""
        self._device.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: what was lost is in the events."""
        return ()


class Intake:
    """What PortAudio's callback fills: frames, when they were made, and how many it lost before them."""

    def __init__(self, rate: int) -> None:
        self.ring = Ring(round(RING_SECONDS * rate))
        self._rate = rate
        self._next: float | None = None  # when the next sample should be made, by the device's clock

    def take(self, frames: npt.NDArray[np.float32], made: float, current: float, overflow: bool, now: float) -> None:
        """Copy and count.

        made, current: of the first frame and of this call, by the device's clock, which may be any; now: by ours
        overflow: sound was lost before these frames
        """
        lost = 0
        if overflow:
            # How much was lost is told by no count, only by the clock; one frame at least, so that the gap is marked.
            gone = made - self._next if self._next is not None else 0.0
            lost = max(1, round(gone * self._rate)) if 0 <= gone < RING_SECONDS else 1
        self._next = made + len(frames) / self._rate
        delay = current - self._next  # of the last frame
        self.ring.put(frames.copy(), now - delay if 0 < delay < _LONGEST_DELAY else now, lost)


class _Device:
    """One opening of a microphone, at a rate of its own, heard at the source's."""

    def __init__(
        self, wanted: str | None, rate: int | None, channel: int | None, anew: bool = False, into: int | None = None
    ) -> None:
        sounddevice = start(anew)
        self.info = choose_microphone(wanted, microphones(sounddevice))
        self._own_rate, self.channels = settings_for(sounddevice, self.info, rate, channel)
        self.rate = into or self._own_rate
        self._resampler = Resampler(self._own_rate, self.rate)
        self._intake = Intake(self._own_rate)
        self._chatter: list[str] = []
        try:
            with captured(self._chatter):
                self._stream: Any = sounddevice.InputStream(
                    samplerate=self._own_rate,
                    channels=self.channels,
                    device=self.info.index,
                    dtype="float32",
                    blocksize=round(BLOCK_SECONDS * self._own_rate),
                    callback=self._callback,
                )
                self._stream.start()
        except sounddevice.PortAudioError as error:
            raise NotThere(
                f"microphone {self.info.name!r} cannot be opened ({error}): close what else uses it, or see xfer doctor"
            ) from error

    def _callback(self, frames: npt.NDArray[np.float32], _: int, when: Any, status: Any) -> None:
        made, current = float(when.inputBufferAdcTime), float(when.currentTime)
        self._intake.take(frames, made, current, bool(status.input_overflow), time.monotonic())

    def blocks(self, told: threading.Event, channel: int | None) -> Iterator[Block]:
        """Blocks until `told`, or until the device is gone."""
        silent = time.monotonic()
        most = round(_PIECE_SECONDS * self._own_rate)
        while not told.is_set():
            found = self._intake.ring.get(POLL_SECONDS, most)
            if found is not None:
                silent = time.monotonic()
                frames, arrived, missing = found
                waiting = self._intake.ring.held / self._own_rate
                samples = self._resampler.push(one_channel(frames, channel))
                lost = round(missing * self.rate / self._own_rate)
                yield Block(samples, arrived, lost, waiting, waiting > HURRY_SECONDS)
                continue
            if not self._stream.active or time.monotonic() - silent > SILENT_SECONDS:
                return
            yield Block(NOTHING, time.monotonic())

    def close(self) -> None:
        with captured(self._chatter):
            self._stream.close(ignore_errors=True)
