"""Metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score

from xfer.train.metrics import measure


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(3, 30))
@settings(max_examples=40, deadline=None)
def test_agrees_with_scikit_learn(seed, classes, clips):
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=clips)
    owners = np.repeat(np.arange(clips), rng.integers(1, 4, size=clips))
    scores = rng.dirichlet(np.ones(classes), size=len(owners))
    labels = tuple(f"class {k}" for k in range(classes))
    found = measure(scores, owners, truth, labels)
    by_clip = np.array([scores[owners == clip].mean(axis=0).argmax() for clip in range(clips)])
    assert found.clip_accuracy == pytest.approx(accuracy_score(truth, by_clip))
    assert found.window_accuracy == pytest.approx(accuracy_score(truth[owners], scores.argmax(axis=1)))
    present = np.unique(truth)
    f1 = f1_score(truth, by_clip, labels=present, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(f1)
    recall = recall_score(truth, by_clip, labels=present, average=None, zero_division=0)
    assert list(found.recall.values()) == pytest.approx(list(recall))
    assert found.loss == pytest.approx(log_loss(truth[owners], scores, labels=range(classes)))


def test_a_clip_is_the_mean_of_its_windows():
    """One window is very sure and wrong, two are mildly right: the mean decides, not the vote."""
    scores = np.array([[0.05, 0.95], [0.6, 0.4], [0.6, 0.4]])
    found = measure(scores, np.zeros(3, int), np.array([0]), ("a", "b"))
    assert found.clip_accuracy == 0.0
    assert found.window_accuracy == pytest.approx(2 / 3)
