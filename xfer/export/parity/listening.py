"""The way that `listen` goes, once with sound at another rate: resampling, windows, scores, decision.

Tones are used because their formula says what they are at any rate: no resampler is needed to know what should be
heard, so one that is skipped, or that works to the rate of a wrong card, cannot hide behind itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xfer.runtime.card import Card
from xfer.runtime.engines import Array, Engine, Outputs
from xfer.runtime.events import Event
from xfer.runtime.listening import EACH_WINDOW, Listener
from xfer.runtime.models import Model
from xfer.runtime.sources import Block

RATE = 44_100
"""Hz; of no net here. A net at this rate is given sound at half of it."""
NAME = "tones at another rate"
_TONES = ((0.0137, 0.20), (0.0530, 0.25), (0.1190, 0.15), (0.2110, 0.10))
"""Cycles a sample of the net's rate, and amplitude: below half of either rate, and of no common period."""
_BLOCK = 4_096


@dataclass(frozen=True)
class Heard:
    """What reached the engine, and what came of it."""

    windows: tuple[Array, ...]
    """(window,) each, as they were run."""
    events: tuple[Event, ...]


def tones(window: int, rate: int, at_rate: int) -> Array:
    """One window's length of tones that swell and fade, sampled at `at_rate` Hz.

    Shape: -> (ceil(window * at_rate / rate),), float32, silent at both ends: no resampler has an edge to smear.
    """
    seconds = np.arange(math.ceil(window * at_rate / rate)) / at_rate
    swell = np.sin(np.pi * np.clip(seconds * rate / window, 0.0, 1.0)) ** 2
    total = sum(gain * np.sin(2 * np.pi * cycles * rate * seconds) for cycles, gain in _TONES)
    return np.asarray(swell * total, dtype=np.float32)


def listen_to_tones(engine: Engine, card: Card, window: int, rate: int) -> Heard:
    """Let `listen` hear one window of the tones at another rate, with the engine and the card of a model file.

    `window` and `rate` are the checkpoint's. Raises Unusable as listening does.
    """
    other = RATE if rate != RATE else RATE // 2
    recorder = _Recorder(engine, card)
    listener = Listener(Model(card, recorder, Path(NAME)), EACH_WINDOW)
    events = tuple(listener.events(_Tones(tones(window, rate, other), other)))
    return Heard(tuple(recorder.windows), events)


@dataclass
class _Tones:
    """A source in memory."""

    samples: Array
    rate: int
    name: str = NAME
    live: bool = False
    notes: tuple[str, ...] = ()

    def blocks(self) -> Iterator[Block]:
        for start in range(0, len(self.samples), _BLOCK):
            yield Block(self.samples[start : start + _BLOCK], 0.0)

    def stop(self) -> None:
        """It is over in a moment."""

    def close(self) -> None:
        """Nothing is open."""


class _Recorder:
    """An engine that keeps what it was asked and what it said."""

    def __init__(self, engine: Engine, card: Card) -> None:
        self._engine = engine
        self.card, self.description = card, engine.description
        self.notes, self.outputs = engine.notes, engine.outputs
        self.windows: list[Array] = []

    def run(self, windows: Array) -> Outputs:
        self.windows += list(windows)
        return self._engine.run(windows)

    def read(self, windows: Array, names: Sequence[str]) -> list[Array]:
        return self._engine.read(windows, names)
