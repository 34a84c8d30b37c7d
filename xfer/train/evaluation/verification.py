"""Verification: are two clips of one speaker? By the cosine of their embeddings, plain and normalised by a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.train.evaluation.detection import Detection, detection
from xfer.train.evaluation.trials import Trials

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

TOP = 200
"""Nearest cohort speakers by which a clip's scores are normalised, unless asked otherwise."""
LEAST = 2
"""Fewer cohort speakers have no spread."""
BLOCK = 4096
"""Trials scored at once."""


@dataclass(frozen=True)
class Cohort:
    """Speakers that are in no trial, for AS-norm."""

    embeddings: Floats
    """(speakers, d), one a speaker, each of length 1."""
    name: str
    """Of the data set they are from."""
    top: int
    """The nearest so many of them count, or all where there are fewer."""

    @property
    def nearest(self) -> int:
        """How many count."""
        return min(self.top, len(self.embeddings))


@dataclass(frozen=True)
class Verification:
    """What trials of clips gave; both ways of scoring hear the same trials."""

    cosine: Detection
    asnorm: Detection | None
    """None without a cohort."""
    cohort: Cohort | None
    targets: int
    impostors: int
    listed: bool
    """By a list of trials; otherwise over pairs of clips."""

    def to_json(self) -> dict[str, Any]:
        """As `xfer eval --json` writes it; plain cosine has the plain names."""
        trials = {"trials": self.targets + self.impostors, "targets": self.targets, "impostors": self.impostors}
        found = vars(self.cosine) | trials
        if self.asnorm is not None and self.cohort is not None:
            found |= {
                "eer_asnorm": self.asnorm.eer,
                "eer_asnorm_interval": self.asnorm.eer_interval,
                "min_dcf_asnorm": self.asnorm.min_dcf,
                "min_dcf_asnorm_interval": self.asnorm.min_dcf_interval,
                "cohort": {
                    "data": self.cohort.name,
                    "speakers": len(self.cohort.embeddings),
                    "top": self.cohort.nearest,
                },
            }
        return found


def verify(
    embeddings: Floats, speakers: Integers, trials: Trials, cohort: Cohort | None = None, listed: bool = False
) -> Verification:
    """Score trials of clips by their embeddings (clips, d); speakers (clips,) are drawn anew for the intervals."""
    unit = directions(embeddings)
    scores = cosines(unit, trials)
    normalised = None
    if cohort is not None:
        normalised = detection(asnorm(unit, scores, trials, cohort), trials, speakers)
    plain = detection(scores, trials, speakers)
    return Verification(plain, normalised, cohort, trials.targets, trials.impostors, listed)


def directions(embeddings: Floats) -> Floats:
    """Embeddings (n, d) at length 1; one of length 0 stays."""
    return np.asarray(embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12))


def cosines(unit: Floats, trials: Trials) -> Floats:
    """The cosine of each trial, (trials,)."""
    found = np.empty(len(trials.same))
    for start in range(0, len(found), BLOCK):
        part = slice(start, start + BLOCK)
        found[part] = np.einsum("td,td->t", unit[trials.one[part]], unit[trials.other[part]])
    return found


def asnorm(unit: Floats, scores: Floats, trials: Trials, cohort: Cohort) -> Floats:
    """Adaptive symmetric normalisation of scores (trials,), (trials,).

    The mean of (score - mean) / std as either clip sees it: mean and population std of its cosines with the `top`
    cohort speakers that are nearest to it (Matejka et al. 2017, "Analysis of Score Normalization in Multilingual
    Speaker Recognition", adaptive S-norm 1).
    """
    top = cohort.nearest
    means, spreads = np.empty(len(unit)), np.empty(len(unit))
    for start in range(0, len(unit), BLOCK):
        near = unit[start : start + BLOCK] @ cohort.embeddings.T
        near = np.partition(near, near.shape[1] - top, axis=1)[:, -top:]
        means[start : start + BLOCK] = near.mean(axis=1)
        spreads[start : start + BLOCK] = np.maximum(near.std(axis=1), 1e-9)
    seen = [(scores - means[clips]) / spreads[clips] for clips in (trials.one, trials.other)]
    return (seen[0] + seen[1]) / 2


def cohort_of(embeddings: Floats, speakers: Sequence[str], name: str, top: int = TOP) -> Cohort | None:
    """One mean direction a speaker of clips' embeddings (clips, d); None for too few speakers."""
    _, place = np.unique(np.asarray(speakers, dtype=object), return_inverse=True) if len(speakers) else ((), ())
    count = int(np.max(place)) + 1 if len(speakers) else 0
    if count < LEAST:
        return None
    total = np.zeros((count, embeddings.shape[1]))
    np.add.at(total, place, directions(embeddings))
    return Cohort(directions(total), name, top)
