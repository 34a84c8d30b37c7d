"""Decoded clips: each is decoded once by the runtime's own functions, and kept while there is room.

Bad files are found here, named, counted and left out; training goes on without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xfer.runtime.audio import Samples, load
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.data.clips import Clip, DataSet

ROOM_BYTES = 6_000_000_000
"""Decoded samples kept in memory; what is beyond is decoded again at each use."""
SHORTEST_SECONDS = 0.1
"""A recording below this holds nothing to learn from."""


@dataclass(frozen=True)
class Problem:
    """A recording that cannot be used, or only in part."""

    clip: Clip
    message: str
    left_out: bool
    """False: used all the same (cut off, but long enough)."""


class Waves:
    """The samples of clips, mono float32 at one rate."""

    def __init__(self, rate: int, room_bytes: int = ROOM_BYTES) -> None:
        self.rate = rate
        self._room = room_bytes
        self._kept: dict[Clip, Samples] = {}

    def samples(self, clip: Clip) -> Samples:
        """All samples of a clip, shape (n,).

        Raises FileNotThere or Unusable as `runtime.audio.load` does.
        """
        return self._read(clip)[0]

    def check(self, data: DataSet, progress: Callable[[int, int], None] | None = None) -> tuple[DataSet, list[Problem]]:
        """Decode every clip once: the data set without what cannot be used, and what is wrong.

        `progress(done, all)` is told after each clip. Raises Unusable where nothing is left.
        """
        good: list[Clip] = []
        problems: list[Problem] = []
        for done, clip in enumerate(data.clips, start=1):
            try:
                samples, notes = self._read(clip)
                # That a file announces no length is so of many whole ones.
                told = [note for note in notes if "announces no length" not in note]
                problems += [Problem(clip, f"{clip.path}: {note}", False) for note in told]
                if len(samples) < SHORTEST_SECONDS * self.rate:
                    raise Unusable(f"{clip.path} lasts {len(samples) / self.rate:.3f} s, too short to learn from")
                if not samples.any():
                    raise Unusable(f"{clip.path} is silent: every sample is zero")
                good.append(clip)
            except (Unusable, FileNotThere) as error:
                problems.append(Problem(clip, str(error), True))
            if progress:
                progress(done, len(data.clips))
        if not good:
            raise Unusable(
                f"{data.name}: none of its {len(data.clips)} recordings can be used; the first: {problems[0].message}"
            )
        return data.with_clips(tuple(good)), problems

    def _read(self, clip: Clip) -> tuple[Samples, tuple[str, ...]]:
        if clip in self._kept:
            return self._kept[clip], ()
        recording = load(clip.path, self.rate)
        first = round(clip.offset * self.rate)
        last = None if clip.duration is None else first + round(clip.duration * self.rate)
        samples = recording.samples[first:last]
        if self._room >= samples.nbytes:
            self._room -= samples.nbytes
            self._kept[clip] = np.ascontiguousarray(samples)
        return samples, recording.notes


def seconds(waves: Waves, clips: Sequence[Clip]) -> float:
    """Total length of clips."""
    return sum(len(waves.samples(clip)) for clip in clips) / waves.rate
