"""The microphone: PortAudio through sounddevice, imported when a microphone is opened.

The callback copies and counts, nothing else: it runs in PortAudio's own thread and must be done before the next block.
The ring between it and the listener is bounded: a listener that falls behind loses the oldest sound, and is told how
much.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import mono
from xfer.runtime.chatter import captured
from xfer.runtime.errors import NotThere, need_extra
from xfer.runtime.sources import POLL_SECONDS, Block

RING_SECONDS = 10.0
"""How far a listener may fall behind before sound is lost."""

_SILENT_SECONDS = 5.0
"""A microphone that delivers nothing for so long is gone."""

_FILE_FORM = "listen to a recording with: xfer listen --task speaker FILE"


@dataclass(frozen=True)
class MicrophoneInfo:
    """A microphone that PortAudio sees."""

    index: int
    name: str
    rate: int
    """Its own default rate, Hz."""
    channels: int
    default: bool


class Ring:
    """A bounded queue of blocks between two threads; what does not fit pushes out the oldest, counted."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._blocks: deque[tuple[int, npt.NDArray[np.float32], float]] = deque()
        self._held = 0
        self._written = 0
        self._read = 0
        self._more = threading.Condition()

    def put(self, frames: npt.NDArray[np.float32], arrived: float, lost: int = 0) -> None:
        """Add frames, (n, channels) or (n,), kept as they are; `lost` frames before them never arrived."""
        with self._more:
            self._written += lost
            self._blocks.append((self._written, frames, arrived))
            self._written += len(frames)
            self._held += len(frames)
            while self._held > self._capacity and len(self._blocks) > 1:
                self._held -= len(self._blocks.popleft()[1])
            self._more.notify()

    def get(self, timeout: float) -> tuple[npt.NDArray[np.float32], float, int] | None:
        """The oldest frames, when they arrived, and how many are missing before them; None after `timeout` seconds."""
        with self._more:
            if not self._blocks and not self._more.wait_for(lambda: bool(self._blocks), timeout):
                return None
            start, frames, arrived = self._blocks.popleft()
            self._held -= len(frames)
            missing = start - self._read
            self._read = start + len(frames)
            return frames, arrived, missing


def microphones() -> list[MicrophoneInfo]:
    """Every microphone here. Raises NotThere where sounddevice or PortAudio is missing."""
    sounddevice = _sounddevice()
    default = _default_index(sounddevice)
    return [
        MicrophoneInfo(index, str(found["name"]), int(found["default_samplerate"]), channels, index == default)
        for index, found in enumerate(sounddevice.query_devices())
        if (channels := int(found["max_input_channels"])) > 0
    ]


def choose_microphone(wanted: str | None) -> MicrophoneInfo:
    """The default microphone, or the one with this index or this part in its name. Raises NotThere."""
    here = microphones()
    if not here:
        raise NotThere(f"there is no microphone here: connect one, or {_FILE_FORM}")
    if wanted is None:
        return next((found for found in here if found.default), here[0])
    for found in here:
        if str(found.index) == wanted or wanted.lower() in found.name.lower():
            return found
    names = ", ".join(f"{found.index} {found.name!r}" for found in here)
    raise NotThere(f"there is no microphone {wanted!r}; here are: {names}")


class Microphone:
    """A microphone that is open and records."""

    name = "microphone"
    live = True

    def __init__(self, model_rate: int, wanted: str | None = None, rate: int | None = None) -> None:
        """Open a microphone at `rate`; without one at `model_rate`, or at its own where it refuses. Raises NotThere."""
        sounddevice = _sounddevice()
        self.info = choose_microphone(wanted)
        self.rate, channels = _settings(sounddevice, self.info, [rate] if rate else [model_rate, self.info.rate])
        self._ring = Ring(round(RING_SECONDS * self.rate))
        self._stopped = threading.Event()
        self._chatter: list[str] = []
        try:
            with captured(self._chatter):
                self._stream: Any = sounddevice.InputStream(
                    samplerate=self.rate,
                    channels=channels,
                    device=self.info.index,
                    dtype="float32",
                    callback=self._callback,
                )
                self._stream.start()
        except sounddevice.PortAudioError as error:
            raise NotThere(
                f"microphone {self.info.name!r} cannot be opened ({error}): close what else uses it, or see xfer doctor"
            ) from error

    def _callback(self, frames: npt.NDArray[np.float32], count: int, when: object, status: Any) -> None:  # noqa: ARG002
        # How much PortAudio itself lost is not told: one frame stands for it, so that the gap is marked.
        self._ring.put(frames.copy(), time.monotonic(), lost=1 if status.input_overflow else 0)

    def blocks(self) -> Iterator[Block]:
        """Blocks until `stop`. Raises NotThere when the microphone goes away."""
        waited = 0.0
        while not self._stopped.is_set():
            found = self._ring.get(POLL_SECONDS)
            if found is not None:
                waited = 0.0
                frames, arrived, missing = found
                yield Block(mono(frames), arrived, missing)
                continue
            waited += POLL_SECONDS
            if not self._stream.active or waited > _SILENT_SECONDS:
                raise NotThere(f"microphone {self.info.name!r} went away: connect it again, or {_FILE_FORM}")

    def stop(self) -> None:
        """End at the next look."""
        self._stopped.set()

    def close(self) -> None:
        """Give the device back."""
        with captured(self._chatter):
            self._stream.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: what was lost is in the events."""
        return ()


def _settings(sounddevice: Any, info: MicrophoneInfo, rates: Sequence[int]) -> tuple[int, int]:
    """Rate and channels at which it opens: the first rate that works, one channel before all of them."""
    for rate, channels in ((rate, channels) for rate in rates for channels in (1, info.channels)):
        settings = {"device": info.index, "channels": channels, "dtype": "float32", "samplerate": rate}
        try:
            with captured([]):
                sounddevice.check_input_settings(**settings)
        except (sounddevice.PortAudioError, ValueError):
            continue
        return rate, channels
    refused = " nor ".join(f"at {rate} Hz" for rate in rates)
    raise NotThere(
        f"microphone {info.name!r} does not open {refused} (its own rate is {info.rate} Hz): "
        "name another with --mic, or leave --rate out"
    )


def _default_index(sounddevice: Any) -> int | None:
    try:
        return int(sounddevice.query_devices(kind="input")["index"])
    except (sounddevice.PortAudioError, ValueError):
        return None


def _sounddevice() -> Any:
    """The package, with PortAudio started. Raises NotThere."""
    try:
        with captured([]):
            import sounddevice
    except ImportError as error:
        raise need_extra("sounddevice", "mic") from error
    except OSError as error:
        raise NotThere(
            f"the PortAudio library is missing, so no microphone can be opened; it comes with: "
            f"apt-get install libportaudio2 (Debian, Ubuntu) or brew install portaudio; or {_FILE_FORM}"
        ) from error
    return sounddevice
