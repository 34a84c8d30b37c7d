"""What `xfer listen` says of a scene with its own rules: gated, merged, and told when it begins."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from xfer.runtime.engines import Array, Engine, Outputs
from xfer.runtime.events import Event
from xfer.runtime.listening import Listener, Rules
from xfer.runtime.models import Model
from xfer.runtime.sources import Source
from xfer.train.evaluation.live.matching import Point, Truth, match, point


class Remembering:
    """An engine that runs no window twice: rules are compared on what one run of the net said."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.card, self.description = engine.card, engine.description
        self.notes, self.outputs = engine.notes, engine.outputs
        self._known: dict[tuple[int, int], Outputs] = {}

    def run(self, windows: Array) -> Outputs:
        """As the engine does, one window at a time."""
        found = [self._one(window[None, :]) for window in windows]
        return Outputs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def read(self, windows: Array, names: Sequence[str]) -> list[Array]:
        """As the engine does."""
        return self._engine.read(windows, names)

    def _one(self, window: Array) -> Outputs:
        content = window.tobytes()
        key = (zlib.crc32(content), zlib.adler32(content))
        if key not in self._known:
            self._known[key] = self._engine.run(window)
        return self._known[key]


def said(
    model: Model,
    source: Source,
    truth: Sequence[Truth],
    tolerance: float,
    hours: float,
    rules: Rules,
    nothing: Collection[str] = (),
) -> tuple[Point, float]:
    """What comes of listening by these rules at their threshold, and the share of windows that were run.

    A clip is hit by an event that begins with its label; its latency counts until that is told. What is named and ends
    where it was not is a false alarm.
    """
    listener = Listener(model, rules, early=True)
    events = [event for event in listener.events(source) if event.kind == "event" and event.known]
    began, ended = ([event for event in events if event.state == state] for state in ("began", "ended"))
    outcomes, _ = match([_surely(event) for event in began], truth, tolerance, nothing)
    _, alarms = match([_surely(event) for event in ended], truth, tolerance, nothing)
    state = listener.state.models[0]
    windows = max(1, state.windows + state.skipped)
    found = point(outcomes, alarms, 0.0, hours)
    threshold = model.card.threshold if rules.threshold is None else rules.threshold
    return replace(found, threshold=threshold or 0.0), state.windows / windows


def _surely(event: Event) -> Event:
    """An event whose score plays no part: it was told."""
    return replace(event, score=1.0)
