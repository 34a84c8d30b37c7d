"""Real windows for parity: from the validation side of the data that the checkpoint was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from xfer.export.describe import short_of
from xfer.runtime.audio import fill, window_starts
from xfer.runtime.engines import Array
from xfer.runtime.errors import XferError
from xfer.train.checkpoint import Checkpoint
from xfer.train.data.open import read_data
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.splits import listed_in, split
from xfer.train.data.waves import Waves

COUNT = 4
"""Each costs RawNet2 three seconds on one core."""


def validation_windows(checkpoint: Checkpoint, count: int = COUNT) -> dict[str, Array]:
    """Up to `count` windows, (window,) each, from clips spread over the validation side, by class folder and file name.

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
        clips = (listed_in(data, table) if table.is_file() else split(data, how)).of("validation")
    except (XferError, OSError):  # moved, changed, or on a disk that is not here
        return {}
    waves, windows = Waves(net.sample_rate), dict[str, Array]()
    for at in np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int) if clips else []:
        try:
            samples = fill(waves.samples(clips[at]), net.window, short_of(checkpoint))
        except XferError:  # a bad file; training left it out too
            continue
        start = window_starts(len(samples), net.window, net.window)[0]
        path = clips[at].path
        windows[f"{path.parent.name}/{path.name} at {clips[at].offset:g} s"] = samples[start : start + net.window]
    return windows


def _told(place: Mapping[str, Any]) -> DataRecipe:
    """The data's part of a stored recipe; what is missing or of another type stays at its default."""
    known = fields(DataRecipe)
    return DataRecipe(
        **{each.name: place[each.name] for each in known if type(place.get(each.name)) is type(each.default)}
    )
