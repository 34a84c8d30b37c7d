"""Where sound waits between the thread that brings it and the one that listens: always bounded.

A microphone cannot wait, so what does not fit into its ring pushes out the oldest, counted. A pipe can: what does not
fit lets its writer wait, and nothing is lost.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xfer.runtime.sources.source import NOTHING, POLL_SECONDS, Block

Frames = npt.NDArray[np.float32]
"""(n, channels) or (n,)."""


class Ring:
    """A bounded queue of blocks between two threads; what does not fit pushes out the oldest, counted."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._blocks: deque[tuple[int, Frames, float]] = deque()
        self._held = 0
        self._written = 0
        self._read = 0
        self._more = threading.Condition()

    @property
    def held(self) -> int:
        """Frames that wait."""
        return self._held

    def put(self, frames: Frames, arrived: float, lost: int = 0) -> None:
        """Add frames, kept as they are; `lost` frames before them never arrived."""
        with self._more:
            self._written += lost
            self._blocks.append((self._written, frames, arrived))
            self._written += len(frames)
            self._held += len(frames)
            while self._held > self._capacity and len(self._blocks) > 1:
                self._held -= len(self._blocks.popleft()[1])
            self._more.notify()

    def get(self, timeout: float, most: int = 0) -> tuple[Frames, float, int] | None:
        """The oldest frames, when their last arrived, and how many are missing before them; None after `timeout` s.

        Up to `most` frames of blocks that follow each other come as one; 0: one block as it was put.
        """
        with self._more:
            if not self._blocks and not self._more.wait_for(lambda: bool(self._blocks), timeout):
                return None
            start, frames, arrived = self._blocks.popleft()
            missing = start - self._read
            parts, end = [frames], start + len(frames)
            while self._blocks and self._blocks[0][0] == end and end - start + len(self._blocks[0][1]) <= most:
                _, frames, arrived = self._blocks.popleft()
                parts.append(frames)
                end += len(frames)
            self._held -= end - start
            self._read = end
            return parts[0] if len(parts) == 1 else np.concatenate(parts), arrived, missing


def ahead(
    bring: Callable[[], Iterator[Block]], seconds: float, rate: Callable[[], int], told: threading.Event
) -> Iterator[Block]:
    """Blocks that a thread of its own reads ahead, up to `seconds` of sound; then whoever writes them waits.

    Without it a pipe is read only between two windows: its writer would wait for the engine, and some (arecord) lose
    sound meanwhile without our knowing. While nothing comes, empty blocks do. `rate` is asked once sound is there.
    Ends when `told`; raises what `bring` raises.
    """
    queue: deque[Block] = deque()
    failure: list[BaseException] = []
    change = threading.Condition()
    held, over = 0, False

    def read() -> None:
        nonlocal held, over
        try:
            for block in bring():
                with change:
                    queue.append(block)
                    held += len(block.samples)
                    change.notify_all()
                    while held > seconds * rate() and not told.is_set():
                        change.wait(POLL_SECONDS)
                if told.is_set():
                    break
        except BaseException as error:  # noqa: BLE001  raised again where the blocks are read
            failure.append(error)
        with change:
            over = True
            change.notify_all()

    threading.Thread(target=read, name="xfer-source", daemon=True).start()
    while not told.is_set():
        with change:
            if not queue and not over:
                change.wait(POLL_SECONDS)
            block = queue.popleft() if queue else None
            if block is None and over:
                break
            held -= len(block.samples) if block else 0
            left = held
            change.notify_all()
        yield replace(block, waiting=left / rate()) if block else Block(NOTHING, time.monotonic())
    if failure and not told.is_set():
        raise failure[0]
