"""What `xfer listen` says of a scene with its own rules: gated, merged, and told when it begins."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from xfer.runtime.decide import ByCard
from xfer.runtime.engines import Array, Engine, Outputs
from xfer.runtime.events import Event
from xfer.runtime.listening import Listener, Rules
from xfer.runtime.models import Model
from xfer.runtime.sources import Source
from xfer.train.evaluation.live.matching import Point, Truth, match, point

DEFAULT = Rules()
"""Those of `xfer listen`."""


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
    thresholds: Sequence[float | None],
    rules: Rules = DEFAULT,
    nothing: Collection[str] = (),
) -> tuple[list[Point], float]:
    """What comes of listening by these rules at each threshold (None: the card's), and the share of windows run.

    A clip is hit by an event that begins with its label; its latency counts until that is told. What is named and ends
    where it was not is a false alarm. All thresholds listen at once: the same model, several times on one stream.
    """
    names = [str(number) for number in range(len(thresholds))]
    engine = model.engine if isinstance(model.engine, Remembering) else Remembering(model.engine)
    several = [Model(replace(model.card, name=name), engine, model.path) for name in names]
    deciders = [ByCard(each.card, threshold) for each, threshold in zip(several, thresholds, strict=True)]
    listener = Listener(several, rules, early=True, deciders=deciders)
    by_name: dict[tuple[str, str], list[Event]] = {}
    for event in listener.events(source):
        if event.kind == "event" and event.known:  # it was told: how sure it is plays no part any more
            by_name.setdefault((event.model, event.state), []).append(replace(event, score=1.0))
    found = []
    for name, threshold in zip(names, thresholds, strict=True):
        outcomes, _ = match(by_name.get((name, "began"), []), truth, tolerance, nothing)
        _, alarms = match(by_name.get((name, "ended"), []), truth, tolerance, nothing)
        at = model.card.threshold if threshold is None else threshold
        found.append(replace(point(outcomes, alarms, 0.0, hours), threshold=at or 0.0))
    state = listener.state.models[0]
    return found, state.windows / max(1, state.windows + state.skipped)
