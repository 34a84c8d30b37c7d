"""Clips whose samples are arrays: for what is asked of windows, not of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xfer.train.data.clips import Clip, DataSet, Split


class Held:
    """Samples by file name, as `Waves` gives them, and a count of how many were read."""

    def __init__(self, rate: int, sounds: dict[str, np.ndarray]) -> None:
        self.rate, self.sounds, self.read = rate, sounds, 0

    def length(self, clip: Clip) -> int:
        return len(self.samples(clip, count=False))

    def window(self, clip: Clip, start: int, count: int) -> np.ndarray:
        found = self.samples(clip, count=False)[start : start + count]
        assert len(found) == count, f"{clip.path}: {start} to {start + count} is not within it"
        self.read += count
        return found

    def samples(self, clip: Clip, count: bool = True) -> np.ndarray:
        first = round(clip.offset * self.rate)
        last = None if clip.duration is None else first + round(clip.duration * self.rate)
        found = self.sounds[str(clip.path)][first:last]
        self.read += len(found) if count else 0
        return found


def uniform(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng([9, seed]).uniform(-1, 1, count).astype(np.float32)


def clip(name: str, label: str = "a", split: Split | None = "train") -> Clip:
    return Clip(Path(name), label, name, split)


def data_of(clips: Sequence[Clip], task: str = "command", background: Sequence[str] = ()) -> DataSet:
    paths = tuple(Path(name) for name in background)
    return DataSet("test", Path(), "folders", task, "convnet", tuple(clips), background=paths)
