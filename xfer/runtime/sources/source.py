"""What a source is: blocks of mono samples, what was lost before them, and news of the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples, mono
from xfer.runtime.errors import Unusable

POLL_SECONDS = 0.2
"""How often a source that waits for sound looks whether it was told to stop, and lets its listener look around."""

HURRY_SECONDS = 1.0
"""A source that cannot hold more than some seconds asks for hurry when so much waits."""

NOTHING = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True)
class News:
    """What happened to a source, told once."""

    state: str
    """`lost`: the device or the stream went away; `back`; `changed`: it goes on in another form."""
    text: str
    """One sentence for people."""


@dataclass(frozen=True)
class Block:
    """Some samples, as they came; none at all where a live source only says that it is still there."""

    samples: Samples
    """Mono at the source's rate, (n,); may hold values that are no sound."""
    arrived: float
    """When its last sample was made, as near as the device tells, else when it was here: time.monotonic()."""
    missing: int = 0
    """Samples that were lost just before this block."""
    waiting: float = 0.0
    """Seconds of sound that lie ready behind this block."""
    hurry: bool = False
    """What waits will be lost if the listener does not catch up."""
    news: News | None = None


class Source(Protocol):
    """Anything that sound comes from."""

    name: str
    """As in events: the file's name, `-`, `microphone` or an address."""
    rate: int
    """Hz; settled at the latest when the first block is there."""
    live: bool
    """Does sound arrive while it is made? Then latency counts from that moment."""

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


def one_channel(frames: npt.NDArray[np.float32], channel: int | None) -> Samples:
    """Frames, (n, channels), as one channel, (n,): the mean of all, or `channel`, counted from 1. Raises Unusable."""
    if channel is None:
        return mono(frames)
    if not 1 <= channel <= frames.shape[1]:
        raise Unusable(f"there is no channel {channel}: this sound has {frames.shape[1]}, counted from 1")
    picked: Samples = np.ascontiguousarray(frames[:, channel - 1])
    return picked
