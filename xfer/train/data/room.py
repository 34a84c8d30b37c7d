"""Whether a training has a class `background`, and which recordings of background stand on which side of the split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xfer.runtime.errors import Unusable, XferError, nearest
from xfer.train.data.clips import Clip, DataSet, Split
from xfer.train.data.problems import Problem

if TYPE_CHECKING:  # the recipe knows the nets, and so torch
    from xfer.train.data.waves import Waves
    from xfer.train.recipe import WindowRecipe

BACKGROUND = "background"
"""The label of windows that hold background only."""
SOURCES = ("recordings", "noise", "silence", "others")
PLACED_TASKS = ("command", "sound")
"""Tasks whose clips are events that will be heard amid something else."""
HELD_SHARE = 0.1
"""Share of the background that validates, and that tests."""
LONG_WINDOWS = 10
"""A recording of so many windows is cut by time; a shorter one stands whole on one side."""


def own_class(labels: Sequence[str]) -> str | None:
    """The label under which a data set has background itself, if it has."""
    names = {BACKGROUND, "background noise", "background_noise"}
    return next((label for label in labels if label.strip("_ ").casefold() in names), None)


def settle(how: WindowRecipe, data: DataSet, waves: Waves, window: int) -> WindowRecipe:
    """The recipe with every `auto` decided for this data, which is split and checked; `window` in samples.

    Raises Unusable for values that make no windows.
    """
    _check(how, data)
    short, background = how.short, how.background
    if short == "auto":
        clip = round(how.clip_seconds * waves.rate)
        placed = data.task == "command" or (
            data.task == "sound" and any((clip or waves.length(each)) < window for each in data.of("train"))
        )
        short = "place" if placed else "tile"
    if background == "auto":
        wanted = data.task == "command" or (data.task == "sound" and short == "place")
        background = "yes" if wanted and not data.value_names and own_class(data.labels) is None else "no"
    return replace(how, short=short, background=background)


def with_background(
    data: DataSet, waves: Waves, how: WindowRecipe, window: int, seed: int
) -> tuple[DataSet, list[Problem]]:
    """The data set with the class `background` where a settled recipe wants it, and what is wrong with its recordings.

    Its training windows are made by `background.Background`; the sides that measure get clips of one window each from
    recordings that the training side never hears, where there are such recordings.
    """
    if how.background == "no" and how.short == "tile":
        return data, []
    good: list[Path] = []
    problems: list[Problem] = []
    for path in data.background:
        try:
            if waves.length(_whole(path)) > 0:
                good.append(path)
        except XferError as error:
            problems.append(Problem("unreadable", "warning", (path,), str(error)))
    data = replace(data, background=tuple(good))
    if how.background == "no":
        return data, problems
    label = own_class(data.labels) or BACKGROUND
    held = [
        replace(piece, label=label)
        for side, clips in stretches(data, waves, window, seed).items()
        if side != "train"
        for clip in clips
        for piece in _pieces(clip, waves, window)
    ]
    return replace(data, clips=(*data.clips, *held), extra_labels=(label,)), problems


def stretches(data: DataSet, waves: Waves, window: int, seed: int) -> dict[Split, tuple[Clip, ...]]:
    """The recordings of background by the side on which they are heard; no sample is on two sides.

    A long recording is cut by time, so that few recordings still give every side every kind of noise; short ones go
    whole to a side, by a seeded order.
    """
    sides: list[Split] = [side for side in ("validation", "test") if any(clip.split == side for clip in data.clips)]
    found: dict[Split, list[Clip]] = {"train": [], "validation": [], "test": []}
    clips = [_whole(path) for path in data.background]
    lengths = [waves.length(clip) for clip in clips]
    short = [clip for clip, length in zip(clips, lengths, strict=True) if length < LONG_WINDOWS * window]
    order = [short[place] for place in np.random.default_rng([seed, len(short)]).permutation(len(short))]
    each = max(1, round(HELD_SHARE * len(order))) if len(order) > len(sides) else 0
    for side in sides:
        found[side] += order[:each]
        order = order[each:]
    found["train"] += order
    for clip, length in zip(clips, lengths, strict=True):
        if length < LONG_WINDOWS * window:
            continue
        end = length
        for side in sides:
            start = end - max(window, round(HELD_SHARE * length))
            found[side].append(_part(clip, start, end - start, waves.rate))
            end = start
        found["train"].append(_part(clip, 0, end, waves.rate))
    return {
        side: tuple(replace(clip, split=side, group=f"{clip.group} {side}") for clip in clips)
        for side, clips in found.items()
        if clips
    }


def _check(how: WindowRecipe, data: DataSet) -> None:
    for source in how.sources:
        if source not in SOURCES:
            raise Unusable(f"windows.sources has no {source!r}: {nearest(source, SOURCES)}")
    if how.hop < 0 or how.clip_seconds < 0:
        raise Unusable("windows.hop and windows.clip_seconds cannot be below 0")
    if not 0 <= how.background_share < 1:
        raise Unusable(f"windows.background_share is a share from 0 to below 1, not {how.background_share:g}")
    if how.snr_db[0] > how.snr_db[1]:
        raise Unusable(f"windows.snr_db goes from the lower to the higher value, not {list(how.snr_db)}")
    if how.background == "yes" and data.value_names:
        raise Unusable(f"{data.name} has numbers to predict, so a class has no place: --set windows.background=no")


def _whole(path: Path) -> Clip:
    return Clip(path, BACKGROUND, f"{BACKGROUND} {path.name}")


def _part(clip: Clip, start: int, count: int, rate: int) -> Clip:
    return replace(clip, offset=clip.offset + start / rate, duration=count / rate)


def _pieces(clip: Clip, waves: Waves, window: int) -> list[Clip]:
    """A clip cut into windows; the rest at its end is left, unless it is all."""
    length = waves.length(clip)
    return [_part(clip, start, window, waves.rate) for start in range(0, length - window + 1, window)] or [clip]
