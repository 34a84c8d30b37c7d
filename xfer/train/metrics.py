"""How good a classifier is: by window, by clip (mean score of its windows), and by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Heard:
    """What a net answered to the windows of clips."""

    scores: Scores
    """(windows, k), rows sum to 1."""
    owners: Integers
    """Each window's clip, (windows,)."""
    truth: Integers
    """Each clip's label, (clips,)."""


@dataclass(frozen=True)
class Metrics:
    """Rates are fractions of one."""

    clips: int
    windows: int
    clip_accuracy: float
    window_accuracy: float
    macro_f1: float
    """Mean F1 over the labels that occur, by clip."""
    loss: float
    """Mean cross-entropy by window, nats."""
    recall: dict[str, float]
    """By clip, for each label that occurs."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dict(vars(self))


@dataclass(frozen=True)
class PerClass:
    """One label, by clip."""

    recall: float
    precision: float
    """0 where the label was never answered."""
    f1: float
    clips: int
    """That have this label."""


def per_class(answer: Integers, truth: Integers, labels: tuple[str, ...]) -> dict[str, PerClass]:
    """Recall, precision and F1 of each label that occurs in `truth`; both (clips,)."""
    found: dict[str, PerClass] = {}
    for k in np.unique(truth):
        hits = float(((answer == k) & (truth == k)).sum())
        there, answered = float((truth == k).sum()), float((answer == k).sum())
        precision = hits / answered if answered else 0.0
        found[labels[k]] = PerClass(hits / there, precision, 2 * hits / (there + answered), int(there))
    return found


def clip_scores(window_scores: Scores, clip_of_window: Integers, clips: int) -> Scores:
    """Mean score of each clip's windows: (windows, k), (windows,) -> (clips, k)."""
    total = np.zeros((clips, window_scores.shape[1]))
    np.add.at(total, clip_of_window, window_scores)
    return np.asarray(total / np.bincount(clip_of_window, minlength=clips)[:, None])


def measure(window_scores: Scores, clip_of_window: Integers, truth: Integers, labels: tuple[str, ...]) -> Metrics:
    """All metrics from the scores of all windows.

    window_scores: (windows, k), rows sum to 1; clip_of_window: (windows,), each clip has one at least; truth: (clips,).
    """
    by_clip = clip_scores(window_scores, clip_of_window, len(truth))
    answer = by_clip.argmax(axis=1)
    window_truth = truth[clip_of_window]
    classes = per_class(answer, truth, labels)
    picked = window_scores[np.arange(len(window_truth)), window_truth]
    return Metrics(
        clips=len(truth),
        windows=len(window_truth),
        clip_accuracy=float((answer == truth).mean()),
        window_accuracy=float((window_scores.argmax(axis=1) == window_truth).mean()),
        macro_f1=float(np.mean([each.f1 for each in classes.values()])),
        loss=float(-np.log(np.maximum(picked, 1e-12)).mean()),
        recall={label: each.recall for label, each in classes.items()},
    )
