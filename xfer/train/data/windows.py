"""The windows that a net is fed with: random crops in training, windows over the whole clip in evaluation.

Every random choice derives from (seed, epoch, clip), never from the state of a worker: a training that is resumed sees
what it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples, tile, window_starts
from xfer.train.data.clips import Clip
from xfer.train.data.waves import Waves


@dataclass(frozen=True)
class Crops:
    """How training windows are cut."""

    length: int
    """Samples."""
    per_clip: int
    gain_db: tuple[float, float]
    seed: int


def crop(samples: Samples, crops: Crops, epoch: int, clip: int, which: int) -> Samples:
    """One random training window, (length,): a random place, tiled where the clip is shorter, at a random gain."""
    rng = np.random.default_rng([crops.seed, epoch, clip, which])
    length = crops.length
    if len(samples) < length:
        # Tiled, then rolled: a short clip also begins anywhere.
        window = np.roll(tile(samples, length), int(rng.integers(length)))
    else:
        start = int(rng.integers(len(samples) - length + 1))
        window = samples[start : start + length]
    gain = 10.0 ** (rng.uniform(*crops.gain_db) / 20.0)
    return (window * np.float32(gain)).astype(np.float32)


def training_batches(
    waves: Waves,
    clips: Sequence[Clip],
    targets: npt.NDArray[np.int64],
    crops: Crops,
    epoch: int,
    batch: int,
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """All crops of an epoch in a seeded order: (n, length), (n,).

    A last batch of one is left out: batch statistics of one window say nothing.
    """
    items = [(clip, which) for which in range(crops.per_clip) for clip in range(len(clips))]
    order = np.random.default_rng([crops.seed, epoch]).permutation(len(items))
    for start in range(0, len(order), batch):
        chosen = [items[i] for i in order[start : start + batch]]
        if len(chosen) < 2 and len(items) > 1:
            return
        windows = [crop(waves.samples(clips[clip]), crops, epoch, clip, which) for clip, which in chosen]
        yield np.stack(windows), targets[[clip for clip, _ in chosen]]


def evaluation_windows(
    waves: Waves, clips: Sequence[Clip], window: int, hop: int, batch: int
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """Windows over every whole clip, in order: (n, window) and the index of each one's clip, (n,).

    A clip shorter than a window is tiled; a last window is aligned to the clip's end.
    """
    rows: list[npt.NDArray[Any]] = []
    owners: list[int] = []
    for index, clip in enumerate(clips):
        samples = tile(waves.samples(clip), window)
        for start in window_starts(len(samples), window, hop):
            rows.append(samples[start : start + window])
            owners.append(index)
            if len(rows) == batch:
                yield np.stack(rows), np.array(owners)
                rows, owners = [], []
    if rows:
        yield np.stack(rows), np.array(owners)
