"""Listening: a source's blocks -> mono float32 at the model's rate -> windows -> engine -> averaged scores -> events.

A file and a live stream of the same samples give the same events: both come through here, resampling and windows do
not depend on the sizes of the blocks, and every window is run alone (a batch may move a score's last bit). For the same
reason a gap is told at the end of a window, never at the end of a block.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator

import numpy as np

from xfer.runtime.audio import Resampler, Samples
from xfer.runtime.decide import decide
from xfer.runtime.errors import Unusable
from xfer.runtime.events import SCORE_DIGITS, Event, now
from xfer.runtime.gaps import Gaps, Stretch
from xfer.runtime.models import Model
from xfer.runtime.sources import Block, Source
from xfer.runtime.windows import Window, Windower

AVERAGED_WINDOWS = 3
"""An event's scores are the mean over so many windows: its own and the ones just before it."""

_LOSS_PIECE = 16_384


class Listener:
    """Listens to sources with one model."""

    def __init__(
        self, model: Model, hop_seconds: float | None = None, averaged: int = AVERAGED_WINDOWS, top: int = 5
    ) -> None:
        """`hop_seconds` between two windows (the card's by default). Raises Unusable for a hop that is none."""
        card = model.card
        if hop_seconds is not None and not (math.isfinite(hop_seconds) and hop_seconds * card.sample_rate >= 1):
            raise Unusable(f"a hop of {hop_seconds} s is none: take more than 0, as in --hop 0.5")
        self.model = model
        self.hop = card.hop if hop_seconds is None else round(hop_seconds * card.sample_rate)
        """Samples at the model's rate."""
        self.averaged = averaged
        self.top = top
        self.level_dbfs = -math.inf
        """Of the last block, for a view: 0 is a full-scale square wave."""
        self.seconds = 0.0
        """Sound heard so far in the current source."""

    def events(self, source: Source) -> Iterator[Event]:
        """Events until the source ends. Raises what the source raises."""
        stream = _Stream(self, source)
        for block in source.blocks():
            yield from stream.take(block)
            self.seconds = stream.seconds
        yield from stream.finish()


class _Stream:
    """One source being listened to."""

    def __init__(self, listener: Listener, source: Source) -> None:
        card = listener.model.card
        self._listener = listener
        self._source = source
        self._card = card
        self._gaps = Gaps(source.rate)
        self._resampler = Resampler(source.rate, card.sample_rate)
        self._windower = Windower(card.window, listener.hop, card.short)
        self._recent: deque[np.ndarray[tuple[int], np.dtype[np.float64]]] = deque(maxlen=listener.averaged)
        self._arrivals: deque[tuple[int, float]] = deque()  # end of a block at the source's rate, and when it came
        self._heard = 0
        self._dropped = 0

    @property
    def seconds(self) -> float:
        """Stream time so far."""
        return self._heard / self._source.rate

    def take(self, block: Block) -> Iterator[Event]:
        """Events that are complete with this block."""
        self._dropped += block.missing
        self._heard += block.missing + len(block.samples)
        self._arrivals.append((self._heard, block.arrived))
        for at in range(0, block.missing, _LOSS_PIECE):  # lost time passes as silence that is not scored
            count = min(_LOSS_PIECE, block.missing - at)
            self._gaps.lose(count)
            yield from self._push(self._resampler.push(np.zeros(count, dtype=np.float32)))
        clean = self._gaps.take(block.samples)
        self._listener.level_dbfs = _level(clean)
        yield from self._push(self._resampler.push(clean))

    def finish(self) -> Iterator[Event]:
        """The events that only the end completes."""
        yield from self._push(self._resampler.flush())
        for window in self._windower.finish():
            yield from self._window(window)
        for gap in self._gaps.rest():
            yield self._gap(gap)

    def _push(self, samples: Samples) -> Iterator[Event]:
        for window in self._windower.push(samples):
            yield from self._window(window)
        self._gaps.forget(self._windower.oldest, self._card.sample_rate)

    def _window(self, window: Window) -> Iterator[Event]:
        rate = self._card.sample_rate
        for gap in self._gaps.closed(window.end, rate):
            yield self._gap(gap)
        arrived = self._arrival(window.end)
        if self._gaps.touch(window.start, window.end, rate):
            self._recent.clear()
            return
        begin = time.monotonic()
        outputs = self._listener.model.run(window.samples[None, :])
        self._recent.append(outputs.scores[0].astype(np.float64))
        decision = decide(np.mean(self._recent, axis=0), self._card)
        since = arrived if self._source.live else begin
        yield Event(
            kind="event",
            source=self._source.name,
            start=round(window.start / rate, 6),
            end=round(window.end / rate, 6),
            task=self._card.task,
            model=self._card.name,
            label=decision.label,
            known=decision.known,
            score=_score(decision.score),
            top=tuple((label, _score(score)) for label, score in decision.top[: self._listener.top]),
            latency_ms=round(1000 * (time.monotonic() - since), 3),
            dropped=self._dropped,
            time=now(),
        )

    def _gap(self, gap: Stretch) -> Event:
        return Event(
            kind="gap",
            source=self._source.name,
            start=round(gap.start / self._source.rate, 6),
            end=round(gap.end / self._source.rate, 6),
            task=self._card.task,
            model=self._card.name,
            dropped=self._dropped,
            time=now(),
        )

    def _arrival(self, end: int) -> float:
        """When the last sample before `end`, at the model's rate, was here."""
        needed = end * self._source.rate
        while len(self._arrivals) > 1 and self._arrivals[0][0] * self._card.sample_rate < needed:
            self._arrivals.popleft()
        return self._arrivals[0][1]


def _score(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), SCORE_DIGITS)


def _level(samples: Samples) -> float:
    """Root mean square in dBFS."""
    power = float(np.mean(np.square(samples))) if len(samples) else 0.0
    return 10 * math.log10(power) if power > 0 else -math.inf
