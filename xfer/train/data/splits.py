"""Splits: the published one where there is one, otherwise by group, stratified by class, with a seed."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip, DataSet, Split

WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""How data sets write the three sides."""


def listed_split(root: Path, name: str = "files.csv") -> dict[str, Split]:
    """The split that a data set gives in a table `files.csv` with the columns path and split; empty without one.

    Keys are paths relative to `root`, with forward slashes.
    """
    table = root / name
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as rows:
        reader = csv.DictReader(rows)
        if not {"path", "split"} <= set(reader.fieldnames or ()):
            return {}
        found: dict[str, Split] = {}
        for line, row in enumerate(reader, start=2):
            if row["split"] not in WORDS:
                raise Unusable(f"{table}, line {line}: split {row['split']!r} is none of {', '.join(WORDS)}")
            found[row["path"]] = WORDS[row["split"]]
        return found


def split(data: DataSet, validation_share: float, seed: int) -> DataSet:
    """Put every clip on a side.

    Clips that the publisher placed stay there. Of each label without a published validation clip, about
    `validation_share` of its training clips goes there, whole groups at a time, at least one group where it has two.
    Raises Unusable where no label can be validated.
    """
    placed = [clip if clip.split else replace(clip, split="train") for clip in data.clips]
    validated = {clip.label for clip in placed if clip.split == "validation"}
    training = [clip for clip in placed if clip.split == "train" and clip.label not in validated]
    chosen = _choose_groups(training, validation_share, seed)
    if not chosen and not validated:
        raise Unusable(
            f"{data.name}: no class has two clips of different origin, so nothing is left to validate with: record more"
        )
    return data.with_clips(
        tuple(
            replace(clip, split="validation") if clip.split == "train" and clip.group in chosen else clip
            for clip in placed
        )
    )


def _choose_groups(clips: Sequence[Clip], share: float, seed: int) -> set[str]:
    """Groups for the held-out side: for each label the next group of a seeded order until its share is reached."""
    by_label: dict[str, list[Clip]] = defaultdict(list)
    group_labels: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        by_label[clip.label].append(clip)
        group_labels[clip.group].add(clip.label)
    chosen: set[str] = set()
    for label in sorted(by_label):
        mine = by_label[label]
        groups = sorted({clip.group for clip in mine})
        wanted = max(1, round(share * len(mine)))
        held = sum(clip.group in chosen for clip in mine)
        order = np.random.default_rng([seed, len(mine)]).permutation(len(groups))
        for index in order:
            group = groups[index]
            left = {clip.group for clip in mine} - chosen
            if held >= wanted or len(left) < 2:
                break
            # A group of several labels may empty another label's training side: leave it there.
            if group in chosen or any(
                len({c.group for c in by_label[other]} - chosen - {group}) < 1 for other in group_labels[group]
            ):
                continue
            chosen.add(group)
            held += sum(clip.group == group for clip in mine)
    return chosen
