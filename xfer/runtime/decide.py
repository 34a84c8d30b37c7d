"""From the scores of a window to a decision: the one function that parity, verify and listen call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer.runtime.card import Card
from xfer.runtime.errors import Unusable


@dataclass(frozen=True)
class Decision:
    """What a window's scores mean."""

    label: str
    """The label with the highest score; the first of equal ones."""
    known: bool
    """False: the best score is below the card's threshold, so nobody should trust the label."""
    score: float
    """The highest score, 0 to 1."""
    top: tuple[tuple[str, float], ...]
    """Every label with its score, best first."""


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
    return Decision(label, card.threshold is None or score >= card.threshold, score, top)
