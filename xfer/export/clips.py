"""Real windows for parity and golden clips, from the data that the checkpoint was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from xfer.export.describe import short_of
from xfer.runtime.audio import fill
from xfer.runtime.engines import Array
from xfer.runtime.errors import XferError
from xfer.train.checkpoint import Checkpoint
from xfer.train.data.clips import Clip, Split
from xfer.train.data.open import read_data
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.splits import listed_in, split
from xfer.train.data.waves import Waves

COUNT = 32
"""Each costs RawNet2 a second on one core."""

_STRIDE = 8
"""Of `count` windows the first few, which golden clips take, come from far apart."""


def real_windows(checkpoint: Checkpoint, count: int = COUNT) -> dict[str, Array]:
    """Up to `count` windows, (window,) each, by class folder and file name: the beginnings of clips spread over the
    validation side, and where that has fewer over the training side too. Never of the test side.

    Empty where the data is no longer where it was trained from: parity then has its formula inputs alone.
    """
    net = checkpoint.net
    place = checkpoint.recipe.get("data")
    if not isinstance(place, dict):
        return {}
    try:
        how = _told(place)
        if how.path and not Path(how.path).is_dir():  # no download, no command, because a checkpoint names one
            return {}
        data = read_data(how.path, how.layout, checkpoint.task, net.name)
        table = checkpoint.path.parent / "split.csv"
        sides = listed_in(data, table) if table.is_file() else split(data, how)
    except (XferError, OSError):  # moved, changed, or on a disk that is not here
        return {}
    waves, windows = Waves(net.sample_rate), dict[str, Array]()
    sides_in_turn: tuple[Split, ...] = ("validation", "train")
    for side in sides_in_turn:
        for clip in _spread(sides.of(side), count - len(windows)):
            try:
                heard = waves.window(clip, 0, net.window)
            except XferError:  # a bad file; training left it out too
                continue
            if len(heard):
                name = f"{clip.path.parent.name}/{clip.path.name} at {clip.offset:g} s"
                windows[name] = fill(heard, net.window, short_of(checkpoint))
    return windows


def _spread(clips: Sequence[Clip], count: int) -> list[Clip]:
    """Up to `count` clips in equal steps, a step of steps at a time."""
    if count <= 0 or not clips:
        return []
    chosen = np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int)
    return [clips[at] for first in range(_STRIDE) for at in chosen[first::_STRIDE]]


def _told(place: Mapping[str, Any]) -> DataRecipe:
    """The data's part of a stored recipe; what is missing or of another type stays at its default."""
    known = fields(DataRecipe)
    return DataRecipe(
        **{each.name: place[each.name] for each in known if type(place.get(each.name)) is type(each.default)}
    )
