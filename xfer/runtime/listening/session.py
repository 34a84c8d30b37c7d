"""One source that is listened to: blocks -> one resampler a rate -> windows of every model -> decisions -> events.

A file and a live stream of the same samples give the same events, also of several models, gated and merged: nothing
here depends on the sizes of the blocks. Windows are taken up in the order of the stream time at which they end, as soon
as no model can bring an earlier one; every window is run alone (a batch may move a score's last bit), unless the source
says that sound will be lost otherwise. A gap is told at the end of a window, never at the end of a block.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from xfer.runtime.audio import Resampler, Samples
from xfer.runtime.engines import Outputs
from xfer.runtime.events import SCORE_DIGITS, Event, now
from xfer.runtime.listening.ear import Ear, Step
from xfer.runtime.listening.gaps import Gaps, Stretch
from xfer.runtime.listening.gate import Gate
from xfer.runtime.listening.merging import Told
from xfer.runtime.listening.rules import Rules
from xfer.runtime.listening.state import LiveState
from xfer.runtime.listening.timeline import Timeline
from xfer.runtime.listening.windows import Window
from xfer.runtime.sources import Block, Source

BATCH = 8
"""Windows that are run at once when the listener is behind."""

_PIECE = 16_384
_SKIP_FROM_SECONDS = 60
"""A longer loss is not gone through sample by sample."""


class Lane:
    """All models of one rate: they share what is resampled."""

    def __init__(self, source_rate: int, rate: int, ears: Sequence[Ear]) -> None:
        self.rate, self.ears = rate, ears
        self._resampler = Resampler(source_rate, rate)
        self._total = 0

    @property
    def seconds(self) -> float:
        """No window that is still to come ends before."""
        return self._total / self.rate

    def push(self, samples: Samples) -> Iterator[tuple[Ear, Window]]:
        """Windows that are complete with these samples at the source's rate."""
        yield from self._windows(self._resampler.push(samples))

    def finish(self) -> Iterator[tuple[Ear, Window]]:
        """Windows that only the end completes."""
        yield from self._windows(self._resampler.flush())
        for ear in self.ears:
            for window in ear.windower.finish():
                yield ear, window

    def skip(self, seconds: int) -> None:
        """So much was lost."""
        self._total += seconds * self.rate
        for ear in self.ears:
            ear.windower.skip(seconds * self.rate)

    def _windows(self, samples: Samples) -> Iterator[tuple[Ear, Window]]:
        self._total += len(samples)
        for ear in self.ears:
            for window in ear.windower.push(samples):
                yield ear, window


class Session:
    """One source, from its first block to its end."""

    def __init__(
        self, source: Source, ears: Sequence[Ear], rules: Rules, state: LiveState, top: int, early: bool
    ) -> None:
        self._ears, self._top, self._early, self._state = ears, top, early, state
        self._source, self._rate, self._live = source.name, source.rate, source.live
        rate = source.rate
        by_rate: dict[int, list[Ear]] = {}
        for ear in ears:
            by_rate.setdefault(ear.rate, []).append(ear)
        self._lanes = [Lane(rate, own, sharing) for own, sharing in by_rate.items()]
        self._gaps = Gaps(rate)
        self._gate = Gate(rate, rules) if rules.gate else None
        self._timeline = Timeline(rate)
        self._windows: list[tuple[float, int, Window]] = []  # a heap: when it ends, whose it is
        self._steps: list[Step] = []
        self._dropped = 0
        state.begin(self._source, rate)

    def take(self, block: Block) -> Iterator[Event]:
        """Events that are complete with this block."""
        self._timeline.take(len(block.samples), block.missing, block.arrived)
        self._dropped += block.missing
        self._look(block)
        if block.missing:
            yield from self._lose(block.missing)
        for at in range(0, len(block.samples), _PIECE):
            piece = block.samples[at : at + _PIECE]
            if self._gate is not None:
                self._gate.push(piece)
            clean = self._gaps.take(piece)
            self._state.hear(clean)
            yield from self._push(clean, block.hurry)
        if not block.hurry:
            yield from self._work()

    def finish(self) -> Iterator[Event]:
        """The events that only the end completes."""
        if self._gate is not None:
            self._gate.finish()
        for lane in self._lanes:
            self._queue(lane.finish())
        yield from self._take_up(math.inf, hurry=False)
        for ear in self._ears:
            for told in ear.finish():
                yield from self._event(ear, told, 0.0)
        for gap in self._gaps.rest():
            yield self._gap(gap)

    def _look(self, block: Block) -> None:
        """What a view shows."""
        state = self._state
        state.seconds = self._timeline.seconds
        state.dropped += block.missing
        state.waiting_seconds = block.waiting
        state.drift_ppm = self._timeline.drift_ppm if self._live else None
        if len(block.samples):
            state.clipped += int(np.count_nonzero(np.abs(block.samples) >= 1.0))
        if self._gate is not None:
            state.floor_dbfs, state.threshold_dbfs = self._gate.floor_dbfs, self._gate.threshold_dbfs
            state.open = self._gate.is_open

    def _lose(self, count: int) -> Iterator[Event]:
        """Lost time passes as silence that is not scored; most of a long one in a leap."""
        leap = self._leap(count)
        beside = count - leap
        for part in (beside // 2, leap, beside - beside // 2):
            if part and part == leap:
                self._gaps.lose(part)
                for lane in self._lanes:
                    lane.skip(part // self._rate)
                if self._gate is not None:
                    self._gate.skip(part)
                continue
            for at in range(0, part, _PIECE):
                piece = min(_PIECE, part - at)
                self._gaps.lose(piece)
                if self._gate is not None:
                    self._gate.lose(piece)
                yield from self._push(np.zeros(piece, dtype=np.float32), hurry=False)

    def _leap(self, count: int) -> int:
        """So many of the lost samples need not be gone through: whole seconds, and whole periods of the gate."""
        longest = max(ear.card.window_seconds for ear in self._ears)
        spare = count - round(2 * (longest + _SKIP_FROM_SECONDS) * self._rate)
        unit = math.lcm(self._rate, self._gate.period if self._gate else 1)
        return max(0, spare) // unit * unit

    def _push(self, samples: Samples, hurry: bool) -> Iterator[Event]:
        for lane in self._lanes:
            self._queue(lane.push(samples))
        yield from self._take_up(min(lane.seconds for lane in self._lanes), hurry)

    def _queue(self, windows: Iterable[tuple[Ear, Window]]) -> None:
        for ear, window in windows:
            heapq.heappush(self._windows, (window.end / ear.rate, ear.order, window))

    def _take_up(self, until: float, hurry: bool) -> Iterator[Event]:
        """Plan for the windows that end by `until`: no earlier one can come."""
        while self._windows and self._windows[0][0] <= until:
            _, order, window = heapq.heappop(self._windows)
            ear = self._ears[order]
            for gap in self._gaps.closed(window.end, ear.rate):
                yield from self._work()
                yield self._gap(gap)
            self._steps += ear.plan(window, self._gate, self._gaps)
            if not hurry or sum(step.window is not None for step in self._steps) >= BATCH:
                yield from self._work()
        self._forget()

    def _forget(self) -> None:
        oldest = min(ear.oldest for ear in self._ears)
        for _, order, window in self._windows:
            oldest = min(oldest, window.start * self._rate // self._ears[order].rate)
        self._gaps.forget(oldest, self._rate)
        if self._gate is not None:
            self._gate.forget(oldest)

    def _work(self) -> Iterator[Event]:
        """Run the windows that wait, and say what comes of them, in their order."""
        steps, self._steps = self._steps, []
        began = time.monotonic()
        # A window and the one that was shut out before it are two; more have gathered in a hurry.
        outputs = _in_batches(steps) if sum(step.window is not None for step in steps) > 2 else {}
        for at, step in enumerate(steps):
            ear = step.ear
            if step.window is None:
                told = ear.pause(step)
            else:
                told = ear.hear(step, outputs[at] if at in outputs else ear.run([step.window])[0])
                done = time.monotonic()
                late = done - (self._timeline.made(step.end) if self._live else began)
                self._state.latencies_ms.append(1000 * max(0.0, late))
                began = done
            for each in told:
                yield from self._event(ear, each, ear.state.compute_ms)

    def _event(self, ear: Ear, told: Told, compute_ms: float) -> Iterator[Event]:
        if told.state == "began" and not self._early:
            return
        decision = told.decision
        ear.state.events += told.state == "ended"
        late = 1000 * (time.monotonic() - self._timeline.made(told.end)) if self._live else compute_ms
        yield Event(
            kind="event",
            state=told.state,
            source=self._source,
            start=round(told.start, 6),
            end=round(told.end, 6),
            task=ear.card.task,
            model=ear.card.name,
            label=decision.label,
            known=decision.known,
            score=_score(decision.score),
            top=tuple((label, _score(score)) for label, score in decision.top[: self._top]),
            latency_ms=round(max(0.0, late), 3),
            dropped=self._dropped,
            time=now(),
        )

    def _gap(self, gap: Stretch) -> Event:
        self._state.gaps += 1
        return self.about("gap", gap.start / self._rate, gap.end / self._rate)

    def about(self, kind: str, start: float, end: float) -> Event:
        """An event of the stream itself, and so of all models on it."""
        return Event(
            kind=kind,
            source=self._source,
            start=round(start, 6),
            end=round(end, 6),
            task=",".join(dict.fromkeys(ear.card.task for ear in self._ears)),
            model=",".join(dict.fromkeys(ear.card.name for ear in self._ears)),
            dropped=self._dropped,
            time=now(),
        )


def _in_batches(steps: Sequence[Step]) -> dict[int, Outputs]:
    """What the nets say about the windows of these steps, by the step's place: each model's all at once."""
    by_ear: dict[int, list[int]] = {}
    for at, step in enumerate(steps):
        if step.window is not None:
            by_ear.setdefault(step.ear.order, []).append(at)
    found: dict[int, Outputs] = {}
    for places in by_ear.values():
        windows = [window for at in places if (window := steps[at].window) is not None]
        found |= dict(zip(places, steps[places[0]].ear.run(windows), strict=True))
    return found


def _score(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), SCORE_DIGITS)
