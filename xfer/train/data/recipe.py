"""The part of a recipe that says what is trained on; it knows no net, so it needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DataRecipe:
    """What is trained on."""

    path: str = ""
    """The data set's folder; empty: the embedded synthetic voices."""
    layout: str = ""
    """The layout that was recognised or forced."""
    scheme: Literal["auto", "group", "folds", "paper"] = "auto"
    """auto: the published split where there is one, otherwise by group; group: by group whatever is published; folds:
    cross-validation; paper: 90:10 as in the paper, which lets groups stand on both sides."""
    validation_share: float = 0.1
    """Share of a label's clips that validates where the publisher set none aside."""
    test_share: float = 0.1
    """Share that tests, where no split is published and every class has groups enough for three sides; 0: none."""
    folds: int = 0
    """How many folds; 0: the publisher's, or 5 made by group where there are none."""
    fold: int = 1
    """The fold that tests; the next one validates."""
    split_seed: int = 0
    """Seed of the split; not the training's, so that runs over seeds share one split."""
    split_file: str = ""
    """A split to use as it stands: a `split.csv`, or the run that wrote it."""
    clips_per_class: int = 0
    """At most so many training clips of each class, for learning curves; 0: all."""
    held_out: int = 0
    """So many classes, drawn by `split_seed`, are on no side at all: speakers to measure verification on."""
    licence: str = ""
    """Under which the recordings are, and so what is learned from them; it goes into the card."""
    attribution: str = ""
    """Who must be named, as the licence asks; it goes into the card."""
