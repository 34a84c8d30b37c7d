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


RATE = 16_000
LENGTH = 8_000


def word(seconds: float, hertz: float, pause: float = 0.0) -> np.ndarray:
    """A sine of amplitude 0.4 between two pauses of zeros."""
    sounding = 0.4 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return np.pad(sounding, round(pause * RATE)).astype(np.float32)


SOUNDS = {
    "up": word(0.1, 300),
    "down": word(0.1, 800, pause=0.05),
    "left": word(0.2, 1500),
    "room": uniform(200_000, 1),
}
CLIPS = tuple(clip(name, name) for name in ("up", "down", "left"))
WAVES = Held(RATE, SOUNDS)
DATA = data_of(CLIPS, background=["room"])


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
