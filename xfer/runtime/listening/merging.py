"""From decisions, one a window, to events: when a label begins to hold, how long it does, and what belongs together.

A state machine over one model's decisions in the order of stream time. It looks at nothing but them, so that the same
decisions give the same events, wherever they come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xfer.runtime.decide import Decision
from xfer.runtime.listening.rules import Rules

State = Literal["began", "ended"]


@dataclass(frozen=True)
class Reading:
    """What a model said about one window; seconds of stream time."""

    start: float
    """Of the window."""
    end: float
    decision: Decision
    """On the mean with the windows before it."""
    sound: tuple[float, float]
    """From the first to the last sound in the window."""
    step: float
    """Seconds by which its end lies after that of the window before."""


@dataclass
class Told:
    """An event that is told: when it began to hold, and when it is over."""

    state: State
    start: float
    end: float
    """So far, where it only began."""
    decision: Decision
    """The surest."""


@dataclass
class _Running:
    """An event that is made."""

    start: float
    end: float
    decision: Decision
    held: float = 0.0
    """Seconds for which it won."""
    sure: bool = False
    """It has won for long enough."""
    name: str | None = field(init=False)
    """None: unknown, whichever label is the nearest."""

    def __post_init__(self) -> None:
        self.name = self.decision.label if self.decision.known else None

    def hear(self, reading: Reading) -> None:
        """It goes on with this window."""
        self.end = max(self.end, reading.sound[1])
        self.held += reading.step
        own = self.name in (None, reading.decision.label)
        if own and reading.decision.score > self.decision.score:
            self.decision = reading.decision


class Merger:
    """Makes events of one model's decisions."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._running: _Running | None = None
        self._over: _Running | None = None  # it may go on yet
        self._told_until = 0.0

    @property
    def running(self) -> Told | None:
        """What holds just now."""
        run = self._running
        return Told("began", run.start, run.end, run.decision) if run and run.sure else None

    def hear(self, reading: Reading) -> list[Told]:
        """The next window that was scored."""
        told = self._expire(reading.sound[0])
        run = self._running
        if run is None or not self._goes_on(run, reading.decision):
            told += self._stop()
            run = self._running = self._begin(reading)
        run.hear(reading)
        if not run.sure:
            told += self._confirm(run)
        if run.sure and run.end - run.start >= self._rules.longest_seconds:
            self._running = None
            told.append(self._tell(run))
        return told

    def pause(self, until: float) -> list[Told]:
        """Nothing was heard from the last window on until this time."""
        return self._stop() + self._expire(until)

    def finish(self) -> list[Told]:
        """The stream is over."""
        return self._stop() + self._expire(float("inf"))

    def _goes_on(self, run: _Running, decision: Decision) -> bool:
        if run.name is None:
            return not decision.known
        if run.name != decision.label and decision.known:
            return False
        threshold = run.decision.threshold
        if threshold is None:
            return run.name == decision.label
        return decision.score_of(run.name) >= self._rules.hold * threshold

    def _begin(self, reading: Reading) -> _Running:
        """Start an event, or go on with the one that has just ended."""
        run = _Running(*reading.sound, reading.decision)
        before = self._over
        if before is not None and before.name == run.name and run.start - before.end <= self._rules.merge_seconds:
            self._over = None
            return before
        return run

    def _confirm(self, run: _Running) -> list[Told]:
        """It is an event once it has won for long enough and lies not wholly in one that was told."""
        start = max(run.start, self._told_until)
        if run.held < self._rules.shortest_seconds or run.end <= start:
            return []
        run.start, run.sure = start, True
        before, self._over = self._over, None
        told = []
        if before is not None:
            if run.start < before.end:  # windows overlap: the change lies somewhere in both
                before.end = run.start = max((run.start + before.end) / 2, before.start)
            told.append(self._tell(before))
        return [*told, Told("began", run.start, run.end, run.decision)]

    def _stop(self) -> list[Told]:
        """What runs is over, if only for now."""
        run, self._running = self._running, None
        if run is None or not run.sure:
            return []
        told = [self._tell(self._over)] if self._over is not None else []
        self._over = run
        return told

    def _expire(self, now: float) -> list[Told]:
        """What is over cannot go on any more when the next sound begins so late."""
        over = self._over
        if over is None or now - over.end <= self._rules.merge_seconds:
            return []
        self._over = None
        return [self._tell(over)]

    def _tell(self, run: _Running) -> Told:
        self._told_until = max(self._told_until, run.end)
        return Told("ended", run.start, run.end, run.decision)
