"""The comparisons of one window, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.export import oracle
from xfer.export.onnx import FEATURES, TAP
from xfer.export.parity.limits import limit_of, margin_of
from xfer.export.parity.measures import measure
from xfer.export.parity.reference import Answer
from xfer.export.parity.report import Row
from xfer.runtime.card import Card
from xfer.runtime.decide import decide
from xfer.runtime.engines import Array, Outputs
from xfer.runtime.errors import Unusable

SILENT = 1e-6
"""A peak below this is taken for this: a window of silence has no peak to be relative to."""


@dataclass(frozen=True)
class Place:
    """Where a row was measured."""

    input: str
    batch: int = 1
    graph: str = ""
    engine: str = ""
    precision: str = "fp32"

    def row(self, stage: str, error: float, note: str = "") -> Row:
        """A row without arrays behind it."""
        limit = limit_of(stage, self.precision)
        return Row(stage, self.input, self.batch, error, limit, note, self.graph, self.engine)

    def compared(self, stage: str, found: npt.NDArray[Any], expected: npt.NDArray[Any], floor: float | None) -> Row:
        """A row of two arrays; `floor` of the peak that the error is relative to, or None where it is absolute."""
        off = measure(found, expected)
        error = off.largest if floor is None else off.relative(floor)
        limit = limit_of(stage, self.precision)
        return Row(stage, self.input, self.batch, error, limit, "", self.graph, self.engine, off)


def front_end_rows(
    window: Array, answer: Answer, truth: oracle.Array, card: Card, parameters: oracle.Parameters, place: Place
) -> Iterator[Row]:
    """The oracle against somebody else's, and the trained front-end against the oracle."""
    other = oracle.second_opinion(window, card.frontend, parameters)
    if other is not None:
        yield place.compared("oracle", other, truth, SILENT)
    yield place.compared("trained front-end", answer.features, truth, SILENT)


def twin_rows(found: Mapping[str, Array], answer: Answer, truth: oracle.Array, place: Place) -> Iterator[Row]:
    """What the twin gives, by output: front-end, taps, embedding, logits, scores."""
    yield place.row("run", 0.0)
    yield place.compared("front-end", found[FEATURES], truth, SILENT)
    for name, expected in answer.taps.items():
        yield place.compared(f"{TAP}{name}", found[f"{TAP}{name}"], expected, 1.0)
    outputs = Outputs(found["scores"], found["logits"], found["embedding"])
    yield from _output_rows(outputs, answer.outputs, place)


def model_rows(
    found: Outputs, expected: Outputs, checkpoint_card: Card, model_card: Card, place: Place
) -> Iterator[Row]:
    """What the shipped graph gives, and what is decided by it."""
    yield place.row("run", 0.0)
    yield from _output_rows(found, expected, place)
    best = np.sort(expected.scores)[::-1]
    told_apart = len(best) < 2 or best[0] - best[1] > margin_of(place.precision)
    top_equal = int(np.argmax(found.scores)) == int(np.argmax(expected.scores))
    yield place.row("top-1", 0.0 if top_equal or not told_apart else 1.0)
    try:
        theirs = decide(found.scores, model_card)
    except Unusable as error:  # scores that are not finite numbers
        yield place.row("decision", math.inf, str(error))
        return
    yield decision_row((theirs.label, theirs.known), expected, checkpoint_card, place)


def decision_row(theirs: tuple[str | None, bool], expected: Outputs, card: Card, place: Place) -> Row:
    """A decision, label and known, against that of the checkpoint's scores."""
    ours = decide(expected.scores, card)
    best = np.sort(expected.scores)[::-1]
    told_apart = len(best) < 2 or best[0] - best[1] > margin_of(place.precision)
    at_threshold = card.threshold is not None and abs(ours.score - card.threshold) <= margin_of(place.precision)
    label, known = theirs
    same = (label == ours.label or not told_apart) and (known == ours.known or at_threshold)
    note = "" if same else f"{label!r} (known: {known}) instead of {ours.label!r} (known: {ours.known})"
    return place.row("decision", 0.0 if same else 1.0, note)


def _output_rows(found: Outputs, expected: Outputs, place: Place) -> Iterator[Row]:
    yield place.compared("embedding", found.embedding, expected.embedding, 1.0)
    yield place.compared("logits", found.logits, expected.logits, 1.0)
    yield place.compared("scores", found.scores, expected.scores, None)
