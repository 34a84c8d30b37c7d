"""One evaluation: which clips are asked, what is answered, and what the answers are worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.errors import Unusable, nearest
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.waves import Waves
from xfer.train.data.windows import Grid, evaluation_windows
from xfer.train.evaluation.rates import Interval, by_groups, wilson
from xfer.train.evaluation.subject import Floats, Subject
from xfer.train.evaluation.trials import Trials, some_pairs
from xfer.train.evaluation.verification import LEAST, Cohort, Verification, cohort_of, verify
from xfer.train.metrics import PerClass, clip_scores, measure, per_class

BATCH = 8
TOP = 5


@dataclass(frozen=True)
class Evaluation:
    """What was found; rates are fractions of one, and None where they mean nothing."""

    subject: Subject
    data: str
    side: str
    """Which clips were asked: a side of the split, or all."""
    clips: int
    windows: int
    classes: int
    unknown: tuple[str, ...]
    """Labels of the data that the net does not know; nothing about labels was asked of their clips."""
    clip_accuracy: float | None = None
    clip_accuracy_interval: Interval | None = None
    """95 %, Wilson."""
    group_interval: Interval | None = None
    """95 % of the clip accuracy, by drawing groups (speakers, artists, sessions) anew: wider where groups differ."""
    group_accuracy: float | None = None
    """Right by the mean score of all clips of a group and label."""
    window_accuracy: float | None = None
    top_accuracy: float | None = None
    """The right label is among the best five."""
    macro_f1: float | None = None
    per_class: dict[str, PerClass] | None = None
    verification: Verification | None = None
    """By a list of trials, or over pairs of clips of speakers that the net was not trained on."""
    right: tuple[bool, ...] = ()
    """Of each clip whose label the net knows, in their order."""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As `xfer eval --json` writes it: what means nothing is left out."""
        found: dict[str, Any] = {
            "model": str(self.subject.path),
            "data": self.data,
            "side": self.side,
            "task": self.subject.task,
            "clips": self.clips,
            "windows": self.windows,
            "classes": self.classes,
            "unknown_labels": list(self.unknown) or None,
            "clip_accuracy": self.clip_accuracy,
            "clip_accuracy_interval": self.clip_accuracy_interval,
            "clip_accuracy_interval_by_group": self.group_interval,
            "group_accuracy": self.group_accuracy,
            "window_accuracy": self.window_accuracy,
            f"top_{TOP}_accuracy": self.top_accuracy,
            "macro_f1": self.macro_f1,
            "per_class": {label: vars(each) for label, each in self.per_class.items()} if self.per_class else None,
            "engine": self.subject.engine,
            "precision": self.subject.precision,
            "seconds": round(self.seconds, 2),
        }
        if self.verification is not None:
            found |= self.verification.to_json()
        return {key: value for key, value in found.items() if value is not None}


def evaluate(
    subject: Subject,
    data: DataSet,
    clips: Sequence[Clip],
    waves: Waves,
    side: str,
    progress: Callable[[int, int], None] | None = None,
    *,
    trials: Trials | None = None,
    cohort: Cohort | None = None,
) -> Evaluation:
    """Ask the net about clips of a data set, at its own sample rate.

    Clips whose label it does not know say nothing about its labels; speakers it does not know are told apart by their
    embeddings, by the cosine and, with a `cohort`, also normalised by it. With `trials` of these clips nothing but
    they is asked. `progress(done, all)` counts clips.
    Raises Unusable where there is nothing that it could be asked.
    """
    began = time.monotonic()
    known = set(subject.labels)
    unknown = tuple(sorted({clip.label for clip in clips} - known))
    speakers = subject.task == "speaker" and data.task == "speaker"
    heard = [clip for clip in clips if speakers or trials or clip.label in known]
    if not heard:
        hint = f" ({unknown[0]!r}: {nearest(unknown[0], subject.labels)})" if unknown else ""
        way = "; if its classes are speakers, say so: --task speaker" if subject.task == "speaker" else ""
        raise Unusable(f"{data.name} has no clip of a class that {subject.path.name} knows{hint}{way}")
    grid = Grid(subject.window, subject.window, short=subject.short)
    scores, embeddings, owners = _answers(subject, waves, heard, grid, progress)
    found: dict[str, Any] = {}
    if trials is None and any(clip.label in known for clip in heard):
        found |= _rates(subject, heard, scores, owners)
    asked = [index for index, clip in enumerate(heard) if trials or clip.label not in known]
    if asked:
        means = clip_scores(embeddings, owners, len(heard))[asked]
        _, people = np.unique([heard[index].label for index in asked], return_inverse=True)
        pairs = trials or some_pairs(people)
        found["verification"] = verify(means, people, pairs, cohort, trials is not None) if pairs else None
    return Evaluation(
        subject,
        data.name,
        side,
        len(heard),
        len(owners),
        len({clip.label for clip in heard}),
        unknown,
        seconds=time.monotonic() - began,
        **found,
    )


def hear_cohort(
    subject: Subject,
    clips: Sequence[Clip],
    waves: Waves,
    name: str,
    top: int,
    progress: Callable[[int, int], None] | None = None,
) -> Cohort | None:
    """The net's cohort for AS-norm from clips of speakers who are in no trial; None for too few speakers."""
    if len({clip.label for clip in clips}) < LEAST:
        return None
    grid = Grid(subject.window, subject.window, short=subject.short)
    _, embeddings, owners = _answers(subject, waves, clips, grid, progress)
    return cohort_of(clip_scores(embeddings, owners, len(clips)), [clip.label for clip in clips], name, top)


def _answers(
    subject: Subject, waves: Waves, clips: Sequence[Clip], grid: Grid, progress: Callable[[int, int], None] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    scores: list[Floats] = []
    embeddings: list[Floats] = []
    owners: list[npt.NDArray[np.int64]] = []
    for windows, owner in evaluation_windows(waves, clips, grid, BATCH):
        answer = subject.answer(windows)
        scores.append(answer.scores)
        embeddings.append(answer.embedding)
        owners.append(owner)
        if progress:
            progress(int(owner[-1]) + 1, len(clips))
    return (
        np.concatenate(scores).astype(np.float64),
        np.concatenate(embeddings).astype(np.float64),
        np.concatenate(owners),
    )


def _rates(
    subject: Subject, clips: Sequence[Clip], scores: npt.NDArray[np.float64], owners: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Everything about labels, over the clips whose label the net knows."""
    place = {label: index for index, label in enumerate(subject.labels)}
    asked = np.array([clip.label in place for clip in clips])
    renumbered = np.cumsum(asked) - 1
    mine = asked[owners]
    scores, owners = scores[mine], renumbered[owners[mine]]
    clips = [clip for clip, wanted in zip(clips, asked, strict=True) if wanted]
    truth = np.array([place[clip.label] for clip in clips], dtype=np.int64)
    metrics = measure(scores, owners, truth, subject.labels)
    by_clip = clip_scores(scores, owners, len(clips))
    right = by_clip.argmax(axis=1) == truth
    _, groups = np.unique([clip.group for clip in clips], return_inverse=True)
    _, pairs = np.unique(np.stack([groups, truth]), axis=1, return_inverse=True)
    by_pair = clip_scores(by_clip, pairs.astype(np.int64), int(pairs.max()) + 1)
    pair_truth = np.zeros(len(by_pair), dtype=np.int64)
    pair_truth[pairs] = truth
    best = np.argsort(-by_clip, axis=1, kind="stable")[:, :TOP]
    return {
        "right": tuple(right.tolist()),
        "clip_accuracy": metrics.clip_accuracy,
        "clip_accuracy_interval": wilson(int(right.sum()), len(right)),
        "group_interval": by_groups(right, groups.astype(np.int64)),
        "group_accuracy": float((by_pair.argmax(axis=1) == pair_truth).mean()),
        "window_accuracy": metrics.window_accuracy,
        "top_accuracy": float((best == truth[:, None]).any(axis=1).mean()) if len(subject.labels) > TOP else None,
        "macro_f1": metrics.macro_f1,
        "per_class": per_class(by_clip.argmax(axis=1), truth, subject.labels),
    }
