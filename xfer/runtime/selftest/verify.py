"""Does a model file still compute what was exported, on this device? Its golden clips against its stored answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xfer.runtime.card import Card
from xfer.runtime.engines import OUTPUTS, PROBE, Outputs, check_outputs, read_golden
from xfer.runtime.errors import Unusable, XferError
from xfer.runtime.here import Setting
from xfer.runtime.models import Model, load_model
from xfer.runtime.processor import processor_name
from xfer.runtime.selftest.compare import Answer, Difference, compare, label_of
from xfer.runtime.selftest.golden import Golden, from_text, of_schema_1
from xfer.runtime.selftest.limits import limits_of


@dataclass(frozen=True)
class Row:
    """One golden clip on one engine."""

    input: str
    expected: str
    """The stored decision."""
    found: str
    """The decision on this device; empty where the scores were no finite numbers."""
    difference: Difference


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found with one engine."""

    model: Path
    engine: str
    processor: str
    rows: tuple[Row, ...]
    inputs: str = ""
    """What was compared, in words."""
    notes: tuple[str, ...] = ()
    """What the engine says of itself."""
    problem: str = ""
    """Why the engine cannot run this model at all: nothing was compared then."""

    @property
    def equal(self) -> bool:
        """Does every input give what was stored?"""
        return bool(self.rows) and all(row.difference.equal for row in self.rows)

    @property
    def worst(self) -> Row | None:
        """The row to show: the first that differs, else the one whose scores are farthest out."""
        for row in self.rows:
            if not row.difference.equal:
                return row
        return max(self.rows, key=lambda row: row.difference.scores, default=None)

    def largest(self) -> dict[str, float]:
        """Of each stage the largest number over all inputs; NaN counts as the largest."""
        found: dict[str, float] = {}
        for row in self.rows:
            numbers = {
                "front-end": row.difference.frontend,
                "embedding": row.difference.embedding,
                "logits": row.difference.logits,
                "scores": row.difference.scores,
            }
            for name, value in numbers.items():
                if value is not None:
                    found[name] = float(np.fmax(found.get(name, 0.0), value)) if np.isfinite(value) else float("inf")
        return found

    def document(self) -> dict[str, Any]:
        """The report, ready for JSON."""
        return {
            "model": str(self.model),
            "engine": self.engine,
            "processor": self.processor,
            "equal": self.equal,
            **({"problem": self.problem} if self.problem else {}),
            "inputs": [
                {
                    "input": row.input,
                    "expected": row.expected,
                    "found": row.found,
                    "equal": row.difference.equal,
                    **row.difference.document(),
                    "where": row.difference.where,
                }
                for row in self.rows
            ],
        }


def golden_of(path: Path, card: Card) -> Golden:
    """The golden clips of a model file. Raises Unusable where it has none, or where they are damaged."""
    text = read_golden(path)
    if text is not None:
        return from_text(text, card, path)
    if card.golden:
        return of_schema_1(card, path)
    raise Unusable(f"{path} carries no stored outputs to verify against: export it again")


def verify(model: Model, golden: Golden | None = None) -> VerifyReport:
    """Hold one loaded model's answers against the stored ones.

    Raises Unusable where the file stores none, or they are damaged.
    """
    golden = golden or golden_of(model.path, model.card)
    limits = limits_of("bf16" if model.bf16 else model.card.precision)
    rows = []
    for clip in golden.clips:
        found = answer(model, clip.samples[None, :])
        rows.append(Row(clip.name, clip.expected.label, found.label, compare(clip.expected, found, limits)))
    return VerifyReport(
        model.path, model.engine.description, processor_name(), tuple(rows), golden.inputs, model.engine.notes
    )


def verify_with(path: Path, settings: Sequence[Setting]) -> Iterator[VerifyReport]:
    """The same with each setting in turn, as it is done.

    An engine that is here but cannot run the model is a report with its problem. Until one has run it, what is raised
    is raised: the file itself may be at fault, or what was asked for is not there.
    """
    golden: Golden | None = None
    compared = False
    for setting in settings:
        try:
            model = load_model(
                path,
                setting.threads,
                setting.device,
                allow_cpu=setting.allow_cpu,
                engine=setting.engine,
                bf16=setting.bf16,
            )
            golden = golden or golden_of(model.path, model.card)
            report = verify(model, golden)
            compared = True
        except XferError as error:
            if not compared or golden is None:
                raise
            report = VerifyReport(path, setting.words, processor_name(), (), golden.inputs, problem=str(error))
        yield report


def answer(model: Model, window: Any) -> Answer:
    """What a model says about one window, (1, window), with the probe where the graph gives one. Raises Unusable."""
    if PROBE not in model.engine.outputs:
        return answer_of(model.run(window), model.card)
    *found, probe = model.engine.read(window, (*OUTPUTS, PROBE))  # one run, not two: some nets take a second
    return answer_of(check_outputs(Outputs(*found), 1, model.card, model.path), model.card, probe[0])


def answer_of(outputs: Outputs, card: Card, probe: Any = None, peak: float = 0.0) -> Answer:
    """Outputs of one window as an answer."""
    scores, logits, embedding = (np.asarray(part[0], dtype=np.float32) for part in outputs)
    return Answer(scores, logits, embedding, label_of(scores, card), probe, peak)
