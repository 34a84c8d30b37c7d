"""The windows that a net is fed with: random crops in training, a grid over the whole clip in evaluation.

Every random choice derives from (seed, epoch, clip), never from the state of a worker: a training that is resumed sees
what it would have seen. A window is read without the rest of its clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples, Short, fill, tile, window_starts
from xfer.train.data.background import Background
from xfer.train.data.clips import Clip

if TYPE_CHECKING:
    from xfer.train.data.waves import Waves

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Grid:
    """How evaluation windows lie over a clip."""

    window: int
    """Samples."""
    hop: int
    """Samples from window to window; the last one is aligned to the end."""
    clip: int = 0
    """Samples to which every clip is brought, by zeros at its end or by a cut; 0: it stays as it is."""
    short: Short = "tile"
    """What becomes of a clip that is shorter than a window."""


@dataclass(frozen=True)
class Crops:
    """How training windows are cut."""

    length: int
    """Samples."""
    per_clip: int
    gain_db: tuple[float, float]
    seed: int
    clip: int = 0
    """Samples to which every clip is brought; 0: it stays as it is."""
    background: Background | None = None
    """What the class `background` is made of, and what short clips are placed over."""
    short: Short = "tile"
    """A clip shorter than `length` is repeated, or placed over background, which must be there then."""
    grid: Grid | None = None
    """Cut the windows of this grid instead of random ones."""
    balanced: bool = False
    """Equally many windows of each class, as many in all as without."""


def crop(waves: Waves, clip: Clip, crops: Crops, epoch: int, index: int, which: int) -> Samples:
    """One random training window, (length,): a random place in the clip (or of a short clip), at a random gain."""
    rng = np.random.default_rng([crops.seed, epoch, index, which])
    length, held = crops.length, waves.length(clip)
    total = crops.clip or held
    if total >= length:
        # Where the clip was brought to a length, a window still begins within what was recorded.
        start = int(rng.integers(min(total - length + 1, held)))
        window = _stretch(waves, clip, start, length, held)
    elif crops.short == "place" and crops.background is not None:
        window = crops.background.place(rng, _stretch(waves, clip, 0, total, held), length, clip.label)
    else:
        # Tiled, then rolled: a short clip also begins anywhere.
        window = np.roll(tile(_stretch(waves, clip, 0, total, held), length), int(rng.integers(length)))
    return _at_random_gain(window, crops, rng)


def training_batches(
    waves: Waves,
    clips: Sequence[Clip],
    targets: npt.NDArray[np.int64],
    crops: Crops,
    epoch: int,
    batch: int,
    first: int = 0,
    processes: int = 1,
    share: Callable[[int], slice] = slice,
) -> Iterator[Batch]:
    """The windows of an epoch in a seeded order, from the batch `first` on: (n, length), (n,).

    A last batch of one is left out: batch statistics of one window say nothing. Where several processes share a batch,
    `share(n)` is this one's part of its n windows.
    """
    for chosen in training_items(waves, clips, targets, crops, epoch, batch, processes)[first:]:
        windows, answers = [], []
        for owner, turn in chosen[share(len(chosen))]:
            if owner < len(clips):
                windows.append(_training_window(waves, clips[owner], crops, epoch, owner, turn))
                answers.append(targets[owner])
            else:
                windows.append(background_window(crops, epoch, owner, turn))
                answers.append(np.int64(_background(crops).target))
        yield np.stack(windows), np.array(answers, dtype=np.int64)


def training_items(
    waves: Waves,
    clips: Sequence[Clip],
    targets: npt.NDArray[np.int64],
    crops: Crops,
    epoch: int,
    batch: int,
    processes: int = 1,
) -> list[list[tuple[int, int]]]:
    """What each batch of an epoch is made of: the clip (beyond the last: background only), and which window of it."""
    owners, which = _items(waves, clips, crops)
    rng = np.random.default_rng([crops.seed, epoch])
    if crops.balanced:
        answers = np.append(targets, -1)[np.minimum(owners, len(targets))]
        chosen = balanced(answers, rng)
        owners, which = owners[chosen], which[chosen] + len(which) * _repeats(chosen)
    else:
        chosen = rng.permutation(len(owners))
        owners, which = owners[chosen], which[chosen]
    items = list(zip(owners.tolist(), which.tolist(), strict=True))
    batches = [items[start : start + batch] for start in range(0, len(items), batch)]
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) < max(2, processes) else batches


def balanced(answers: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """As many places of `answers` (n,) as there are, in random order, each class as often as any other: (n,).

    Of a large class some are left out, those of a small one come several times, all as equally often as can be.
    """
    classes = np.unique(answers)
    quota = np.full(len(classes), len(answers) // len(classes))
    quota[rng.permutation(len(classes))[: len(answers) % len(classes)]] += 1
    drawn = []
    for label, wanted in zip(classes, quota, strict=True):
        places = np.flatnonzero(answers == label)
        rounds = [rng.permutation(places) for _ in range(-(-int(wanted) // len(places)))]
        drawn.append(np.concatenate([*rounds, places[:0]])[:wanted])
    return np.asarray(rng.permutation(np.concatenate(drawn)))


def _repeats(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How often each place came before, (n,): a window that comes again is cut elsewhere."""
    order = np.argsort(chosen, kind="stable")
    _, starts, counts = np.unique(chosen[order], return_index=True, return_counts=True)
    found = np.empty(len(chosen), dtype=np.int64)
    found[order] = np.arange(len(chosen)) - np.repeat(starts, counts)
    return found


def training_steps(waves: Waves, clips: Sequence[Clip], crops: Crops, batch: int, processes: int = 1) -> int:
    """How many batches `training_batches` gives, one at least."""
    windows = len(_items(waves, clips, crops)[0])
    return max(1, -(-windows // batch) - (0 < windows % batch < max(2, processes)))


def background_window(crops: Crops, epoch: int, index: int, which: int) -> Samples:
    """One training window that holds background only, (length,), at a random gain; `index` is that of no clip."""
    rng = np.random.default_rng([crops.seed, epoch, index, which])
    return _at_random_gain(_background(crops).window(rng, crops.length), crops, rng)


def evaluation_windows(waves: Waves, clips: Sequence[Clip], grid: Grid, batch: int) -> Iterator[Batch]:
    """Windows over every whole clip, in order: (n, window) and the index of each one's clip, (n,)."""
    rows: list[npt.NDArray[Any]] = []
    owners: list[int] = []
    for index, clip in enumerate(clips):
        for start in grid_starts(waves.length(clip), grid):
            rows.append(grid_window(waves, clip, start, grid))
            owners.append(index)
            if len(rows) == batch:
                yield np.stack(rows), np.array(owners)
                rows, owners = [], []
    if rows:
        yield np.stack(rows), np.array(owners)


def grid_starts(held: int, grid: Grid) -> list[int]:
    """Where the windows of a clip of `held` samples begin; a window beyond all that was recorded is none."""
    starts = window_starts(grid.clip or held, grid.window, grid.hop)
    return [start for start in starts if start < max(held, 1)]


def grid_window(waves: Waves, clip: Clip, start: int, grid: Grid) -> Samples:
    """The window of a clip that begins at `start`, (window,)."""
    held = waves.length(clip)
    total = grid.clip or held
    if total < grid.window:
        return fill(_stretch(waves, clip, 0, total, held), grid.window, grid.short)
    return _stretch(waves, clip, start, grid.window, held)


def _items(waves: Waves, clips: Sequence[Clip], crops: Crops) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The windows of an epoch: each one's clip (beyond the last clip: background only), and which of it, (windows,)."""
    every = np.arange(len(clips))
    if crops.grid is None:
        owners, which = np.tile(every, crops.per_clip), np.repeat(np.arange(crops.per_clip), len(clips))
    else:
        grid = crops.grid
        counts = [len(grid_starts(waves.length(clip), grid)) for clip in clips]
        owners, which = np.repeat(every, counts), np.concatenate([np.arange(count) for count in counts])
    extra = crops.background.count(len(owners)) if crops.background else 0
    more = np.arange(len(clips), len(clips) + extra)
    return np.concatenate([owners, more]), np.concatenate([which, np.zeros(extra, dtype=np.int64)])


def _training_window(waves: Waves, clip: Clip, crops: Crops, epoch: int, index: int, which: int) -> Samples:
    if crops.grid is None:
        return crop(waves, clip, crops, epoch, index, which)
    starts = grid_starts(waves.length(clip), crops.grid)
    start = starts[which % len(starts)]
    rng = np.random.default_rng([crops.seed, epoch, index, which])
    return _at_random_gain(grid_window(waves, clip, start, crops.grid), crops, rng)


def _stretch(waves: Waves, clip: Clip, start: int, count: int, held: int) -> Samples:
    """`count` samples of a clip from `start` on, (count,); beyond the `held` ones there are zeros."""
    there = min(count, held - start)
    samples = waves.window(clip, start, there)
    return samples if there == count else np.pad(samples, (0, count - there))


def _at_random_gain(window: Samples, crops: Crops, rng: np.random.Generator) -> Samples:
    gain = 10.0 ** (rng.uniform(*crops.gain_db) / 20.0)
    return (window * np.float32(gain)).astype(np.float32)


def _background(crops: Crops) -> Background:
    if crops.background is None:
        raise ValueError("these crops have no background")
    return crops.background
