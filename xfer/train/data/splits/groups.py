"""Groups across a split: copies of one sound become one group, and a group on both sides is a leak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from xfer.train.data.clips import SPLITS, Clip, DataSet
from xfer.train.data.problems import Problem


def merge_groups(data: DataSet, copies: Iterable[Sequence[int]]) -> DataSet:
    """The data set in which the groups of clips that are copies of one sound are one group.

    Each of `copies` holds the places in `data.clips` of one sound's copies. Groups that share a copy merge whole, also
    through a third one; the merged group takes the first of their names, whatever the order of the clips.
    """
    above: dict[str, str] = {}

    def top(group: str) -> str:
        while (next_up := above.get(group, group)) != group:
            above[group] = above.get(next_up, next_up)  # halves the way for the next who asks
            group = next_up
        return group

    for places in copies:
        tops = sorted({top(data.clips[place].group) for place in places})
        for other in tops[1:]:
            above[other] = tops[0]
    if not above:
        return data
    return data.with_clips(tuple(replace(clip, group=top(clip.group)) for clip in data.clips))


def leaks(data: DataSet) -> list[Problem]:
    """Groups that stand on two sides of the split, or in two of the publisher's folds where nothing else is given."""
    by_group: dict[str, list[Clip]] = defaultdict(list)
    for clip in data.clips:
        by_group[clip.group].append(clip)
    by_split = any(clip.split for clip in data.clips)
    found: list[Problem] = []
    for group in sorted(by_group):
        sides: dict[str, list[Clip]] = defaultdict(list)
        for clip in by_group[group]:
            if by_split and clip.split:
                sides[clip.split].append(clip)
            elif not by_split and clip.fold is not None:
                sides[f"fold {clip.fold}"].append(clip)
        if len(sides) > 1:
            found.append(_leak(group, sides))
    return found


def _leak(group: str, sides: dict[str, list[Clip]]) -> Problem:
    names = sorted(sides, key=lambda side: (SPLITS.index(side) if side in SPLITS else len(SPLITS), side))
    paths = sorted({clip.path for clips in sides.values() for clip in clips})
    where = " and ".join(f"{name} ({len(sides[name])} clips, {min(map(_name, sides[name]))})" for name in names)
    return Problem(
        "leak",
        "error",
        tuple(paths),
        f"group {group!r} stands in {where}",
    )


def _name(clip: Clip) -> str:
    return f"{clip.path}/{clip.member}" if clip.member else str(clip.path)
