"""Real windows for parity and golden clips, from the data that the checkpoint was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from xfer.export.describe import short_of
from xfer.runtime.audio import fill
from xfer.runtime.engines import Array
from xfer.runtime.errors import XferError
from xfer.train.checkpoint import Checkpoint
from xfer.train.data.clips import Clip, DataSet, Split
from xfer.train.data.open import read_data
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.splits import listed_in, split
from xfer.train.data.waves import Waves

COUNT = 32
"""Each costs RawNet2 a second on one core."""

_STRIDE = 8
"""Of `count` windows the first few, which golden clips take, come from far apart."""


@dataclass(frozen=True)
class Recordings:
    """What a checkpoint was trained on, at the net's rate, on the sides that the run gave it."""

    data: DataSet
    waves: Waves

    def spread(self, side: Split, count: int) -> list[Clip]:
        """Up to `count` clips of a side, in equal steps."""
        return _spread(self.data.of(side), count)


def recordings_of(checkpoint: Checkpoint) -> Recordings | None:
    """The recordings of a checkpoint's own run; None where they are no longer where it was trained from."""
    net = checkpoint.net
    place = checkpoint.recipe.get("data")
    if not isinstance(place, dict):
        return None
    try:
        how = _told(place)
        # No download and no command because a checkpoint names one: a folder, or a manifest, that lies here.
        if how.path and not (Path(how.path).is_dir() or Path(how.path).is_file()):
            return None
        data = read_data(how.path, how.layout, checkpoint.task, net.name)
        table = checkpoint.path.parent / "split.csv"
        sides = listed_in(data, table) if table.is_file() else split(data, how)
    except (XferError, OSError):  # moved, changed, or on a disk that is not here
        return None
    return Recordings(sides, Waves(net.sample_rate))


def real_windows(checkpoint: Checkpoint, count: int = COUNT, recordings: Recordings | None = None) -> dict[str, Array]:
    """Up to `count` windows, (window,) each, by class folder and file name: the beginnings of clips spread over the
    validation side, and where that has fewer over the training side too. Never of the test side.

    Empty where the data is no longer where it was trained from: parity then has its formula inputs alone.
    """
    recordings = recordings or recordings_of(checkpoint)
    windows: dict[str, Array] = {}
    if recordings is None:
        return windows
    sides_in_turn: tuple[Split, ...] = ("validation", "train")
    for side in sides_in_turn:
        windows |= windows_of(checkpoint, recordings, side, count - len(windows))
    return windows


def windows_of(
    checkpoint: Checkpoint, recordings: Recordings, side: Split, count: int, most: int = 1
) -> dict[str, Array]:
    """Up to `count` windows, (window,) each, by name: the beginnings of clips spread over one side; where these are too
    few, what follows in each, up to `most` windows of a clip."""
    length, windows = checkpoint.net.window, dict[str, Array]()
    clips = recordings.spread(side, count)
    for turn in range(most):
        for clip in clips:
            if len(windows) == count:
                return windows
            try:
                heard = recordings.waves.window(clip, turn * length, length)
            except XferError:  # a bad file; training left it out too
                continue
            if len(heard) >= (1 if turn == 0 else length):
                at = clip.offset + turn * length / checkpoint.net.sample_rate
                name = f"{clip.path.parent.name}/{clip.path.name} at {at:g} s"
                windows[name] = fill(heard, length, short_of(checkpoint))
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
