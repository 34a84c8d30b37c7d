"""The numbers of a report: what a finished run learned, and where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.train.data.clips import Clip
from xfer.train.data.problems import Problem
from xfer.train.evaluation.rates import Interval, wilson
from xfer.train.metrics import Heard, Metrics, PerClass, clip_scores, measure, per_class

BINS = 10
"""Of the calibration curve, equally wide in confidence."""
WORST = 6
"""Clips that are shown with what they were taken for."""


@dataclass(frozen=True)
class Epoch:
    """One line of `metrics.jsonl`."""

    epoch: int
    train_loss: float
    loss: float
    """Of validation, nats."""
    clip_accuracy: float
    """Of validation."""


@dataclass(frozen=True)
class Bin:
    """Clips whose best score lies in one tenth."""

    clips: int
    confidence: float
    """Mean best score."""
    accuracy: float


@dataclass(frozen=True)
class Mistake:
    """A clip that was surely taken for something else."""

    clip: Clip
    label: str
    taken_for: str
    score: float
    """Of what it was taken for."""
    own_score: float
    """Of its label."""


@dataclass(frozen=True)
class Bands:
    """The sinc filters' pass bands, Hz, (filters, 2) each."""

    before: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Report:
    """Everything that the page, the Markdown and the JSON say."""

    title: str
    synthetic: bool
    about: Mapping[str, str]
    """What was trained on what, where, for how long: words and their values."""
    side: str
    """The side of the split that everything below is measured on."""
    metrics: Metrics
    interval: Interval
    """95 % of the clip accuracy (Wilson)."""
    labels: tuple[str, ...]
    """Those that occur, in the order of the matrix."""
    confusion: npt.NDArray[np.int64]
    """(truth, answer), clips."""
    per_class: Mapping[str, PerClass]
    calibration: tuple[Bin, ...]
    calibration_error: float
    """Expected calibration error: mean difference of confidence and accuracy, by clips."""
    mistakes: tuple[Mistake, ...]
    epochs: tuple[Epoch, ...]
    best_epoch: int
    bands: Bands | None
    problems: tuple[Problem, ...]
    recipe: str
    """As TOML."""

    def to_json(self) -> dict[str, Any]:
        """All numbers as plain values."""
        return {
            "title": self.title,
            "synthetic": self.synthetic,
            "about": dict(self.about),
            "side": self.side,
            "metrics": self.metrics.to_json(),
            "clip_accuracy_interval": self.interval,
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
            "per_class": {label: asdict(each) for label, each in self.per_class.items()},
            "calibration": [asdict(each) for each in self.calibration],
            "calibration_error": self.calibration_error,
            "mistakes": [
                {
                    "path": str(each.clip.path),
                    "offset": each.clip.offset,
                    "label": each.label,
                    "taken_for": each.taken_for,
                    "score": each.score,
                    "own_score": each.own_score,
                }
                for each in self.mistakes
            ],
            "epochs": [asdict(each) for each in self.epochs],
            "best_epoch": self.best_epoch,
            "sinc_bands": None
            if self.bands is None
            else {"before": self.bands.before.tolist(), "after": self.bands.after.tolist()},
            "problems": [problem.to_json() for problem in self.problems],
            "recipe": self.recipe,
        }


def gather(
    heard: Heard,
    clips: Sequence[Clip],
    labels: tuple[str, ...],
    rows: Sequence[Mapping[str, Any]],
    **more: Any,
) -> Report:
    """A report of what was heard of `clips`.

    `rows` are the lines of `metrics.jsonl`, `more` the report's own fields that are not computed here.
    """
    scores = clip_scores(heard.scores, heard.owners, len(heard.truth))
    answer = scores.argmax(axis=1)
    there = np.unique(np.concatenate([heard.truth, answer]))
    place = {int(label): index for index, label in enumerate(there)}
    confusion = np.zeros((len(there), len(there)), dtype=np.int64)
    for truth, found in zip(heard.truth.tolist(), answer.tolist(), strict=True):
        confusion[place[truth], place[found]] += 1
    bins = _bins(scores.max(axis=1), answer == heard.truth)
    right = int((answer == heard.truth).sum())
    return Report(
        metrics=measure(heard.scores, heard.owners, heard.truth, labels),
        interval=wilson(right, len(answer)),
        labels=tuple(labels[label] for label in there),
        confusion=confusion,
        per_class=per_class(answer, heard.truth, labels),
        calibration=tuple(bins),
        calibration_error=sum(each.clips * abs(each.confidence - each.accuracy) for each in bins) / len(answer),
        mistakes=tuple(_mistakes(scores, answer, heard.truth, clips, labels)),
        epochs=tuple(
            Epoch(row["epoch"], row["train_loss"], row["validation"]["loss"], row["validation"]["clip_accuracy"])
            for row in rows
            if "validation" in row
        ),
        **more,
    )


def _bins(confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> list[Bin]:
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        Bin(int(mine.sum()), float(confidence[mine].mean()), float(right[mine].mean()))
        for mine in (which == each for each in range(BINS))
        if mine.any()
    ]


def _mistakes(
    scores: npt.NDArray[np.float64],
    answer: npt.NDArray[np.int64],
    truth: npt.NDArray[np.int64],
    clips: Sequence[Clip],
    labels: tuple[str, ...],
) -> list[Mistake]:
    """The surest mistakes, one of each pair of labels first."""
    wrong = np.flatnonzero(answer != truth)
    order = wrong[np.argsort(-scores[wrong, answer[wrong]], kind="stable")].tolist()
    surest: dict[tuple[int, int], int] = {}
    for at in order:
        surest.setdefault((int(truth[at]), int(answer[at])), at)
    first = set(surest.values())
    chosen = [*surest.values(), *(at for at in order if at not in first)][:WORST]
    return [
        Mistake(
            clips[at],
            labels[truth[at]],
            labels[answer[at]],
            float(scores[at, answer[at]]),
            float(scores[at, truth[at]]),
        )
        for at in chosen
    ]
