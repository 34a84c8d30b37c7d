"""Embeddings in, a match out: the formula, against one written in plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.speakers.people import crowd
from xfer.runtime.errors import Unusable
from xfer.runtime.speakers import decided, gallery, heard


def plain_cosine(one: list[float], other: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))


def plain_mean(rows: np.ndarray) -> list[float]:
    """The mean of the directions, in loops."""
    total = [0.0] * rows.shape[1]
    for row in rows.tolist():
        length = math.sqrt(sum(value * value for value in row))
        total = [t + value / length for t, value in zip(total, row, strict=True)]
    return total


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(2, 6))
def test_the_match_is_the_cosine_to_the_nearest_centroid_with_the_margin_to_the_second(
    seed: int, windows: int, people: int
) -> None:
    rng = np.random.default_rng(seed)
    enrolled = [(f"p{k}", rng.standard_normal((3, 8)).astype(np.float32)) for k in range(people)]
    here = rng.standard_normal((windows, 8)).astype(np.float32)
    found = gallery(enrolled, threshold=0.2).match(here)
    wanted = {name: plain_cosine(plain_mean(here), plain_mean(rows)) for name, rows in enrolled}
    ranked = sorted(wanted.items(), key=lambda pair: -pair[1])
    assert [name for name, _ in found.top] == [name for name, _ in ranked]
    assert [score for _, score in found.top] == pytest.approx([score for _, score in ranked], abs=1e-6)
    assert found.label == ranked[0][0]
    assert found.score == pytest.approx(ranked[0][1], abs=1e-6)
    assert found.margin == pytest.approx(ranked[0][1] - ranked[1][1], abs=1e-6)
    assert found.known == (found.score >= 0.2)


@given(st.lists(st.floats(0.01, 100), min_size=4, max_size=4))
def test_loudness_of_a_window_does_not_weigh(gains: list[float]) -> None:
    rng = np.random.default_rng(1)
    windows = rng.standard_normal((4, 8))
    loud = windows * np.array(gains)[:, None]
    assert heard(loud) == pytest.approx(heard(windows))


def test_one_person_alone_has_no_second() -> None:
    found = gallery([("ann", np.eye(3, dtype=np.float32)[:1])], 0.5).match(np.array([[1.0, 0.1, 0]]))
    assert (found.label, found.known, found.margin) == ("ann", True, None)


def test_a_stranger_and_silence_are_nobody() -> None:
    people = gallery([("ann", np.eye(3)[:1]), ("bob", np.eye(3)[1:2])], 0.5)
    assert not people.match(np.array([[0.0, 0, 1]])).known
    assert not people.match(np.zeros((2, 3))).known
    close = gallery([("ann", np.eye(3)[:1]), ("bob", np.eye(3)[1:2])], 0.5, least_margin=0.1)
    assert not close.match(np.array([[1.0, 0.95, 0]])).known


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.zeros(3), np.full((1, 3), np.nan)])
def test_what_is_no_embedding_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(Unusable):
        gallery([("ann", np.eye(3)[:1])], 0.5).match(bad)


def test_nobody_is_no_gallery() -> None:
    with pytest.raises(Unusable, match="speakers add"):
        gallery([], 0.5)


def test_decisions_hear_the_windows_before_them() -> None:
    rows = crowd(1)[0].embeddings[:5]
    found = decided(rows, averaged=3)
    for k in range(5):
        assert found[k] == pytest.approx(heard(rows[max(0, k - 2) : k + 1]))
