"""When samples were made: stream time is counted in samples and nothing else, and this is where clocks come in.

Latency needs the moment at which a sample was made. A device's clock runs a little faster or slower than the
processor's; here that is measured, not corrected: it changes no event's time in the stream.
"""

from __future__ import annotations

import time
from collections import deque

KEEP_SECONDS = 120.0
"""So far back it is known when a sample was made."""

_MINUTE = 60.0
_LEAST_MINUTES, _MOST_MINUTES = 3, 61
"""Blocks come some milliseconds early or late: a drift is told from the earliest of each minute, over some of them."""


class Timeline:
    """Which sample was made when, by time.monotonic()."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._blocks: deque[tuple[int, float]] = deque()  # end of a block, and when it was made
        self._lags: deque[float] = deque(maxlen=_MOST_MINUTES)  # of each minute the smallest
        self._minute = 0
        self._lag = float("inf")
        self.total = 0
        """Samples so far, those that were lost with them."""

    @property
    def seconds(self) -> float:
        """Stream time so far."""
        return self.total / self._rate

    def take(self, count: int, missing: int, made: float) -> None:
        """The next `count` samples came after `missing` that did not; the last was made at `made`."""
        if missing:
            self._lags.clear()  # how many were missing is known by the clock alone
            self._lag = float("inf")
        self.total += missing + count
        if not count:
            return
        self._blocks.append((self.total, made))
        while len(self._blocks) > 1 and (self.total - self._blocks[1][0]) > KEEP_SECONDS * self._rate:
            self._blocks.popleft()
        minute = int(self.seconds / _MINUTE)
        if minute != self._minute:
            if self._lag < float("inf"):
                self._lags.append(self._lag)
            self._minute, self._lag = minute, float("inf")
        self._lag = min(self._lag, made - self.seconds)

    def made(self, seconds: float) -> float:
        """When the sample at this stream time was made; of what is too long ago, the earliest that is known."""
        if not self._blocks:
            return time.monotonic()
        wanted = seconds * self._rate
        low, high = 0, len(self._blocks) - 1
        while low < high:  # the first block that ends at or after it
            middle = (low + high) // 2
            if self._blocks[middle][0] < wanted:
                low = middle + 1
            else:
                high = middle
        end, made = self._blocks[low]
        return made - max(0.0, (end - wanted) / self._rate)

    @property
    def drift_ppm(self) -> float | None:
        """How much slower the device's clock runs than the processor's, in millionths; None: not known yet."""
        if len(self._lags) < _LEAST_MINUTES:
            return None
        return 1e6 * (self._lags[-1] - self._lags[0]) / (_MINUTE * (len(self._lags) - 1))
