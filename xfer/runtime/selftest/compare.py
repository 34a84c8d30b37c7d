"""Two answers to one window, held against each other: how much they differ, stage by stage, and where too much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.card import Card
from xfer.runtime.decide import decide
from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable
from xfer.runtime.selftest.limits import LIMITS, Limits

EMBEDDING_HEAD = 16
"""So many values of an embedding did cards of schema 1 store, with its norm."""


@dataclass(frozen=True)
class Answer:
    """What a model says about one window."""

    scores: Array
    """(labels,)"""
    logits: Array
    """(labels,)"""
    embedding: Array
    """(embedding_size,); of schema 1, its first 16 values and its norm: see `shortened`."""
    label: str
    """The decision."""
    probe: Array | None = None
    """Front-end values at fixed places, (256,) or fewer; None where the graph gives none."""
    peak: float = 0.0
    """Of a stored answer: the largest absolute value of the whole front-end output in this window."""
    shortened: bool = False


@dataclass(frozen=True)
class Difference:
    """What two answers to one window differ by, and whether that is within the limits."""

    frontend: float | None
    """Of the probe: largest absolute difference over the peak of the front-end's output; None where there is none."""
    embedding: float
    """Largest absolute difference over max(1, the largest absolute value of the expected one)."""
    logits: float
    """The same."""
    scores: float
    """Largest absolute difference."""
    decision_equal: bool
    """Same label, or the expected first two scores were too near to tell."""
    where: str
    """What is beyond its limit, with its size, first stage first; empty where nothing is."""

    @property
    def equal(self) -> bool:
        """Is everything within the limits?"""
        return not self.where

    def document(self) -> dict[str, Any]:
        """The numbers by stage, ready for JSON: null for what is no finite number."""
        numbers = {"front-end": self.frontend} if self.frontend is not None else {}
        numbers |= {"embedding": self.embedding, "logits": self.logits, "scores": self.scores}
        return {name: value if np.isfinite(value) else None for name, value in numbers.items()}


def compare(expected: Answer, found: Answer, limits: Limits = LIMITS) -> Difference:
    """How much an answer differs from the expected one, and where that is too much."""
    frontend = None
    if expected.probe is not None:
        probe = found.probe if found.probe is not None else np.array([np.nan], np.float32)
        frontend = _largest(expected.probe, probe) / max(expected.peak, 1e-6)
    theirs = shorten(found.embedding) if expected.shortened else found.embedding
    embedding = _largest(expected.embedding, theirs) / max(1.0, _peak(expected.embedding))
    logits = _largest(expected.logits, found.logits) / max(1.0, _peak(expected.logits))
    scores = _largest(expected.scores, found.scores)
    best = np.sort(expected.scores)[::-1]
    told_apart = len(best) < 2 or best[0] - best[1] > limits.margin
    decision_equal = expected.label == found.label or not told_apart
    beyond = []
    for name, value, limit in (
        ("front-end", frontend, limits.frontend),
        ("embedding", embedding, limits.embedding),
        ("logits", logits, limits.logits),
        ("scores", scores, limits.scores),
    ):
        if value is not None and not value <= limit:
            beyond.append(f"{name} by {value:.1e} (limit {limit:.0e})")
    if not decision_equal:
        beyond.append(f"decision {found.label!r} instead of {expected.label!r}")
    return Difference(frontend, embedding, logits, scores, decision_equal, ", ".join(beyond))


def label_of(scores: Array, card: Card) -> str:
    """The label that `decide` gives; empty for scores that are no finite numbers, which equals no label."""
    try:
        return decide(scores, card).label
    except Unusable:
        return ""


def shorten(embedding: Array) -> Array:
    """An embedding as cards of schema 1 store it: its first 16 values and its norm, (17,) or fewer."""
    norm = np.linalg.norm(embedding.astype(np.float64))
    return np.append(embedding[:EMBEDDING_HEAD], np.float32(norm)).astype(np.float32)


def _largest(expected: npt.NDArray[Any], found: npt.NDArray[Any]) -> float:
    """Largest absolute difference; infinite where the sizes differ."""
    if expected.shape != found.shape:
        return float("inf")
    return float(np.max(np.abs(expected.astype(np.float64) - found.astype(np.float64)), initial=0.0))


def _peak(values: npt.NDArray[Any]) -> float:
    return float(np.max(np.abs(values.astype(np.float64)), initial=0.0))
