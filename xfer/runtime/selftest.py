"""Does a model file still compute what was exported, on this device? Inputs by formula against stored outputs.

The inputs are made of integers (a counter hashed by splitmix64, a phase that wraps at 2**32) and rounded to 16 bits, so
that every platform makes the same ones and no sound has to travel with the model.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.card import Card
from xfer.runtime.decide import decide
from xfer.runtime.engines import Array, Outputs
from xfer.runtime.errors import Unusable
from xfer.runtime.models import Model

EMBEDDING_HEAD = 16
"""So many values of an embedding are stored, with its norm."""


@dataclass(frozen=True)
class Limits:
    """How much a model file may differ from what was trained. Parity uses the same."""

    frontend: float = 1e-5
    """Front-end: max|y - oracle| / max(peak of the oracle in that window, 1e-6)."""
    scores: float = 1e-4
    """Scores: absolute."""
    logits: float = 1e-4
    """Logits: times max(1, the reference's largest absolute logit)."""
    embedding: float = 1e-4
    """Embedding: likewise."""
    margin: float = 2e-4
    """The decision must be equal wherever the reference's first two scores differ by more than this."""


LIMITS = Limits()


@dataclass(frozen=True)
class Difference:
    """What two answers to one window differ by, and whether that is within the limits."""

    scores: float
    """Largest absolute difference."""
    logits: float
    """Largest absolute difference over max(1, largest absolute logit of the reference)."""
    embedding: float
    """The same for the embedding's stored values and its norm."""
    decision_equal: bool
    """Same label, or the reference's first two scores were too near to tell."""
    where: str
    """What is beyond its limit, with its size; empty where nothing is."""

    @property
    def equal(self) -> bool:
        """Is everything within the limits?"""
        return not self.where


@dataclass(frozen=True)
class Row:
    """One input of a self-test."""

    input: str
    expected: str
    """The stored decision."""
    found: str
    """The decision on this device."""
    difference: Difference


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found."""

    model: Path
    engine: str
    processor: str
    rows: tuple[Row, ...]

    @property
    def equal(self) -> bool:
        """Does every input give what was stored?"""
        return all(row.difference.equal for row in self.rows)

    def document(self) -> dict[str, Any]:
        """The report, ready for JSON."""
        return {
            "model": str(self.model),
            "engine": self.engine,
            "processor": self.processor,
            "equal": self.equal,
            "inputs": [
                {
                    "input": row.input,
                    "expected": row.expected,
                    "found": row.found,
                    "equal": row.difference.equal,
                    "scores": row.difference.scores,
                    "logits": row.difference.logits,
                    "embedding": row.difference.embedding,
                    "where": row.difference.where,
                }
                for row in self.rows
            ],
        }


def formula_inputs(window: int, rate: int) -> dict[str, Array]:
    """Inputs of one window each, float32 (window,), in [-1, 1]: the same values on every platform."""
    i = np.arange(window, dtype=np.int64)
    chirp = _sine(_chirp_phase(i, window, 50 / rate, 0.45))
    bursts = np.where((i * 8 // rate) % 2 == 0, 1.0, 0.0)  # an eighth of a second on, an eighth off
    impulse = np.zeros(window)
    impulse[window // 2] = 1.0
    square = np.where((i * 2 * 441 // rate) % 2 == 0, 1.0, -1.0)
    noise = _noise(window)
    inputs = {
        "silence": np.zeros(window),
        "dc": np.full(window, 0.5),
        "impulse": impulse,
        "square": square,
        "chirp": 0.5 * chirp,
        "clipped": np.clip(4.0 * chirp * bursts, -1.0, 1.0),
        "noise at -60 dBFS": 10 ** (-60 / 20) * noise,
        "noise at -30 dBFS": 10 ** (-30 / 20) * noise,
        "noise at -6 dBFS": 10 ** (-6 / 20) * noise,
        "noise in bursts": 0.1 * noise * bursts,
    }
    return {name: _as_16_bit(values) for name, values in inputs.items()}


def golden(run: Callable[[Array], Outputs], card: Card) -> list[dict[str, Any]]:
    """What `run` answers to the formula inputs, one window at a time, as it goes into the card."""
    return [
        _entry(name, run(values[None, :]), card)
        for name, values in formula_inputs(card.window, card.sample_rate).items()
    ]


def verify(model: Model) -> VerifyReport:
    """Hold this device's answers against the stored ones. Raises Unusable where the card stores none."""
    card = model.card
    inputs = formula_inputs(card.window, card.sample_rate)
    if not card.golden:
        raise Unusable(f"{model.path} carries no stored outputs to verify against: export it again")
    rows = []
    for stored in card.golden:
        name = stored.get("input")
        if name not in inputs:
            raise Unusable(f"{model.path}: its stored input {name!r} is not known to this xfer: export it again")
        _check_entry(stored, card, model.path)
        found = _entry(name, model.run(inputs[name][None, :]), card)
        rows.append(Row(name, str(stored["decision"]), found["decision"], compare(stored, found)))
    return VerifyReport(model.path, model.engine.description, processor_name(), tuple(rows))


def compare(expected: dict[str, Any], found: dict[str, Any], limits: Limits = LIMITS) -> Difference:
    """Two entries as `golden` makes them, one input: how much they differ, and where that is too much."""
    scores = _largest(expected["scores"], found["scores"])
    logits = _largest(expected["logits"], found["logits"]) / max(1.0, _peak(expected["logits"]))
    head = [*expected["embedding_head"], expected["embedding_norm"]]
    embedding = _largest(head, [*found["embedding_head"], found["embedding_norm"]]) / max(1.0, _peak(head))
    best = sorted(expected["scores"], reverse=True)
    told_apart = len(best) < 2 or best[0] - best[1] > limits.margin
    decision_equal = expected["decision"] == found["decision"] or not told_apart
    beyond = []
    for name, value, limit in (
        ("scores", scores, limits.scores),
        ("logits", logits, limits.logits),
        ("embedding", embedding, limits.embedding),
    ):
        if not value <= limit:
            beyond.append(f"{name} by {value:.1e} (limit {limit:.0e})")
    if not decision_equal:
        beyond.append(f"decision {found['decision']!r} instead of {expected['decision']!r}")
    return Difference(scores, logits, embedding, decision_equal, ", ".join(beyond))


def processor_name() -> str:
    """The processor's own name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names: dict[str, str] = {}
        for line in info.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            names.setdefault(key.strip(), value.strip())
        for key in ("model name", "Model", "Hardware", "cpu model", "uarch"):
            if names.get(key):
                return f"{names[key]} ({platform.machine()})"
    return platform.processor() or platform.machine() or sys.platform


def _entry(name: str, outputs: Outputs, card: Card) -> dict[str, Any]:
    embedding = outputs.embedding[0]
    return {
        "input": name,
        "scores": _numbers(outputs.scores[0]),
        "logits": _numbers(outputs.logits[0]),
        "embedding_head": _numbers(embedding[:EMBEDDING_HEAD]),
        "embedding_norm": _numbers(np.array([np.linalg.norm(embedding.astype(np.float64))]))[0],
        "decision": decide(outputs.scores[0], card).label,
    }


def _check_entry(stored: dict[str, Any], card: Card, path: Path) -> None:
    """Raise Unusable where a stored entry is not what `golden` makes."""
    lengths = {
        "scores": len(card.labels),
        "logits": len(card.labels),
        "embedding_head": min(EMBEDDING_HEAD, card.embedding_size),
    }
    for key, length in lengths.items():
        values = stored.get(key)
        if not isinstance(values, list) or len(values) != length or not all(_is_number(value) for value in values):
            raise Unusable(f"{path}: its stored outputs ({key}) are damaged: export it again")
    if not _is_number(stored.get("embedding_norm")) or stored.get("decision") not in card.labels:
        raise Unusable(f"{path}: its stored outputs are damaged: export it again")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbers(values: npt.NDArray[Any]) -> list[float]:
    """Nine significant digits: a float32 survives."""
    return [float(f"{float(value):.9g}") for value in values]


def _largest(expected: list[float], found: list[float]) -> float:
    return float(np.max(np.abs(np.asarray(expected, dtype=np.float64) - np.asarray(found, dtype=np.float64))))


def _peak(values: list[float]) -> float:
    return float(np.max(np.abs(np.asarray(values, dtype=np.float64))))


def _as_16_bit(values: npt.NDArray[np.float64]) -> Array:
    return (np.clip(np.round(values * 32768), -32768, 32767) / 32768).astype(np.float32)


def _chirp_phase(i: npt.NDArray[np.int64], window: int, first: float, last: float) -> npt.NDArray[np.int64]:
    """Phase of a linear chirp in 2**-32 turns, from `first` to `last` cycles a sample: f0*i + (f1 - f0)*i*i/(2*n)."""
    start, span = round(first * 2**32), round((last - first) * 2**32)
    return np.asarray((start * i + span * i // (2 * window) * i) % 2**32, dtype=np.int64)


def _sine(phase: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.sin(phase.astype(np.float64) * (2 * np.pi / 2**32))


def _noise(count: int) -> npt.NDArray[np.float64]:
    """White noise, uniform in [-1, 1): splitmix64 of the sample's number, so no state and no order."""
    z = (np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(32)).astype(np.float64) / 2**31 - 1.0
