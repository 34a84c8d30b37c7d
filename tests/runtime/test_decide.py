"""From scores to a decision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.tiny import tiny_card
from xfer.runtime.decide import decide
from xfer.runtime.errors import Unusable


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3))
def test_the_best_score_wins_and_the_first_of_equal_ones(values: list[float]) -> None:
    card = tiny_card()
    decision = decide(np.array(values, np.float32), card)
    assert decision.score == max(values)
    assert decision.label == card.labels[values.index(max(values))]
    assert decision.known
    assert [score for _, score in decision.top] == sorted(values, reverse=True)
    assert {label for label, _ in decision.top} == set(card.labels)


@pytest.mark.parametrize(("threshold", "known"), [(None, True), (0.0, True), (0.6, True), (0.61, False), (1.0, False)])
def test_below_the_threshold_is_unknown(threshold: float | None, known: bool) -> None:
    decision = decide(np.array([0.3, 0.6, 0.1]), tiny_card(threshold=threshold))
    assert (decision.label, decision.known) == ("middle", known)


@pytest.mark.parametrize("scores", [[0.5, 0.5], [0.2, np.nan, 0.3], [np.inf, 0, 0]])
def test_scores_that_are_none_are_refused(scores: list[float]) -> None:
    with pytest.raises(Unusable, match="tiny"):
        decide(np.array(scores), tiny_card())
