"""Engines and sources that tests of listening are made of: their answers are known from a formula."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.runtime.tiny import tiny_card
from xfer.runtime.audio import Short
from xfer.runtime.engines import Array, Outputs
from xfer.runtime.events import Event
from xfer.runtime.models import Model
from xfer.runtime.sources import Block

NOISE = np.random.default_rng(6).uniform(-0.3, 0.3, 3_000).astype(np.float32)


class SumEngine:
    """An engine whose scores tell every single sample of a window apart (a weighted sum, in float64)."""

    def __init__(self, short: Short = "tile", window: int = 100, hop: int = 40, rate: int = 1_000, **card: Any) -> None:
        given: dict[str, Any] = {"labels": ("a", "b"), "embedding_size": 1, "short": short} | card
        self.card = tiny_card(window=window, hop=hop, sample_rate=rate, **given)
        self.description = "a weighted sum"
        self.notes: tuple[str, ...] = ()
        self.outputs: tuple[str, ...] = ()
        self.weights = np.random.default_rng(5).uniform(-1, 1, window)
        self.seen: list[Array] = []
        self.batches: list[int] = []

    def run(self, windows: Array) -> Outputs:
        self.seen += list(windows.copy())
        self.batches.append(len(windows))
        share = 1 / (1 + np.exp(-(windows.astype(np.float64) @ self.weights)))
        scores = np.stack([share, 1 - share], axis=1).astype(np.float32)
        return Outputs(scores, scores, scores[:, :1])

    def read(self, windows: Array, names: Sequence[str]) -> list[Array]:
        outputs = self.run(windows)
        return [getattr(outputs, name) for name in names]


def a_model(**engine: Any) -> Model:
    """A model of that engine."""
    made = SumEngine(**engine)
    return Model(made.card, made, Path("sum"))


class Blocks:
    """Samples as a source, in blocks of given sizes; a negative size is a loss of so many samples."""

    notes: tuple[str, ...] = ()

    def __init__(
        self, samples: Array, rate: int, sizes: Sequence[int], live: bool = False, name: str = "blocks"
    ) -> None:
        self.samples, self.rate, self.sizes, self.live, self.name = samples, rate, sizes, live, name

    def blocks(self) -> Iterator[Block]:
        at, turn, missing = 0, 0, 0
        while at < len(self.samples):
            size = self.sizes[turn % len(self.sizes)]
            turn += 1
            if size < 0:
                missing += -size
                at += -size
                continue
            yield Block(self.samples[at : at + size], time.monotonic(), missing)
            at, missing = at + size, 0

    def stop(self) -> None: ...

    def close(self) -> None: ...


def heard(events: Sequence[Event]) -> list[dict[str, Any]]:
    """What must not depend on how the samples came: all but wall clock, latency and the source's name."""
    kept = [json.loads(event.to_json()) for event in events]
    return [{key: value for key, value in one.items() if key not in ("time", "latency_ms", "source")} for one in kept]
