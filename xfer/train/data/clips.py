"""The manifest: which recordings there are, what they show, and on which side of the split they stand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xfer.train.data.problems import Problem

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled recording, or a stretch of one."""

    path: Path
    label: str
    group: str
    """What must not stand on both sides of a split: speaker, artist, session, source recording."""
    split: Split | None = None
    """None until a split is made."""
    offset: float = 0.0
    """Where it begins in the file, seconds."""
    duration: float | None = None
    """Seconds; None: to the end of the file."""
    fold: int | None = None
    """The publisher's fold."""
    values: tuple[float, ...] = ()
    """Numbers to predict, in the order of `DataSet.value_names`."""
    member: str = ""
    """The recording's name inside `path` where that is a tar shard."""


@dataclass(frozen=True)
class DataSet:
    """A data set as its layout found it."""

    name: str
    root: Path
    layout: str
    task: str
    net: str
    """The net that this layout trains unless the user says otherwise."""
    clips: tuple[Clip, ...]
    synthetic: bool = False
    """Generated, not recorded: said wherever it is shown."""
    licence: str = "unknown"
    attribution: str = ""
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read."""
    background: tuple[Path, ...] = ()
    """Recordings of no class (room, noise) over which short clips can be placed."""
    value_names: tuple[str, ...] = ()
    """What the clips' `values` are: ("arousal", "valence")."""
    extra_labels: tuple[str, ...] = ()
    """Labels that no clip need have: `background`, whose training windows are made."""
    problems: tuple[Problem, ...] = ()
    """What the layout found wrong with the metadata."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, sorted; this order is the net's."""
        return tuple(sorted({clip.label for clip in self.clips} | set(self.extra_labels)))

    def of(self, split: Split) -> tuple[Clip, ...]:
        """The clips on one side of the split."""
        return tuple(clip for clip in self.clips if clip.split == split)

    def counts(self) -> Counter[str]:
        """How many clips a label has."""
        return Counter(clip.label for clip in self.clips)

    def with_clips(self, clips: tuple[Clip, ...]) -> DataSet:
        """The same data set with other clips."""
        return replace(self, clips=clips)
