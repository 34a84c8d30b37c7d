"""From a stream of samples to windows: those that `audio.window_starts` names, whatever the sizes of the blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from xfer.runtime.audio import Samples, Short, fill

_PIECE = 16_384


@dataclass(frozen=True)
class Window:
    """A window of a stream."""

    start: int
    """Its first sample in the stream."""
    end: int
    """One past its last sample in the stream: start + window, or less where the stream is shorter than a window."""
    samples: Samples
    """(window,)"""
    final: bool = False
    """The last one: it ends where the stream does."""


class Windower:
    """Cuts a stream into windows every `hop` samples; it holds about two windows, however long the stream is."""

    def __init__(self, window: int, hop: int, short: Short = "tile") -> None:
        """`short`: how the net that listens was taught to hear sound that is shorter than its window."""
        self._window = window
        self._hop = hop
        self._short = short
        self._buffer = np.zeros(2 * window + _PIECE, dtype=np.float32)
        self._first = 0  # place in the stream of the buffer's first sample
        self._next = 0  # where the next window starts
        self._covered = 0  # end of the last window
        self.total = 0
        """Samples so far."""

    @property
    def oldest(self) -> int:
        """No window that is still to come starts before this sample."""
        return max(0, min(self._next, self.total - self._window))

    def push(self, samples: Samples) -> Iterator[Window]:
        """Windows that are complete with these samples. The iterator must be run to its end."""
        for at in range(0, len(samples), _PIECE):
            self._append(samples[at : at + _PIECE])
            while self._next + self._window <= self.total:
                yield self._cut(self._next)
                self._next += self._hop

    def skip(self, count: int) -> None:
        """The next samples are zeros, and of the windows that lie wholly in them nobody wants to hear."""
        self.total += count
        self._first = self.total - self._window
        self._buffer[: self._window] = 0
        late = self._first - self._next
        if late > 0:
            self._next += -(-late // self._hop) * self._hop  # windows stay where they would have been

    def finish(self) -> Iterator[Window]:
        """The last window, aligned to the end of the stream; a shorter stream is brought to a window's length."""
        if 0 < self.total < self._window:
            held = self._buffer[: self.total]
            yield Window(0, self.total, fill(held, self._window, self._short), final=True)
        elif self.total > self._covered:
            yield replace(self._cut(self.total - self._window), final=True)

    def _append(self, piece: Samples) -> None:
        filled = self.total - self._first
        if filled + len(piece) > len(self._buffer):
            keep = self.oldest
            self._buffer[: self.total - keep] = self._buffer[keep - self._first : filled].copy()
            self._first = keep
            filled = self.total - keep
        self._buffer[filled : filled + len(piece)] = piece
        self.total += len(piece)

    def _cut(self, start: int) -> Window:
        at = start - self._first
        self._covered = start + self._window
        return Window(start, self._covered, self._buffer[at : at + self._window].copy())
