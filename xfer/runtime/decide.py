"""From the scores of a window to a decision: the one function that parity, verify and listen call.

Who decides when listening is a `Decider`: the card's own labels (`ByCard`), or whoever else names what the net heard,
such as the people who are enrolled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from xfer.runtime.card import Card
from xfer.runtime.errors import Unusable

if TYPE_CHECKING:
    from xfer.runtime.engines import Outputs


@dataclass(frozen=True)
class Decision:
    """What a window's scores mean."""

    label: str
    """The label with the highest score; the first of equal ones."""
    known: bool
    """False: the best score is below the label's threshold, so nobody should trust the label."""
    score: float
    """The highest score, 0 to 1."""
    top: tuple[tuple[str, float], ...]
    """Every label with its score, best first."""
    threshold: float | None = None
    """What the best label's score was held against; None: nothing, so it is known."""

    def score_of(self, label: str) -> float:
        """The score of a label; 0 for one that was not asked about."""
        return next((score for each, score in self.top if each == label), 0.0)


class Decider(Protocol):
    """Names what a net heard."""

    words: str
    """Whom or what it can name, for a person: "its own 80 labels"."""

    def decide(self, heard: Outputs) -> Decision:
        """What the last windows together mean: their outputs, (n, ...) each, the latest last, n >= 1."""
        ...


class ByCard:
    """The labels of a model's card, with its thresholds: the mean score over the windows."""

    def __init__(self, card: Card, threshold: float | None = None) -> None:
        """`threshold`: for every label, in place of the card's."""
        self.card = card if threshold is None else replace(card, threshold=threshold, thresholds={})
        self.words = f"its own {len(card.labels)} labels"

    def decide(self, heard: Outputs) -> Decision:
        """The decision on the mean of the scores."""
        return decide(np.mean(heard.scores.astype(np.float64), axis=0), self.card)


def decide(scores: npt.NDArray[np.floating], card: Card) -> Decision:
    """Scores, shape (labels,), to a decision. A card without a threshold rejects nothing.

    Raises Unusable where the scores are not one finite number a label.
    """
    values = [float(score) for score in scores]
    if len(values) != len(card.labels):
        raise Unusable(f"{card.name}: {len(values)} scores for {len(card.labels)} labels: export the model again")
    if not np.isfinite(values).all():
        raise Unusable(f"{card.name}: its scores are not finite numbers: check it with xfer verify")
    order = sorted(range(len(values)), key=lambda i: -values[i])  # stable: the first of equal scores stays first
    top = tuple((card.labels[i], values[i]) for i in order)
    label, score = top[0]
    threshold = card.thresholds.get(label, card.threshold)
    return Decision(label, threshold is None or score >= threshold, score, top, threshold)
