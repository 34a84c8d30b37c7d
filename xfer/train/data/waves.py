"""The samples of clips, mono float32 at one rate: from the decoded cache where they are there, else from the files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xfer.runtime.audio import Samples, load, resampled_length
from xfer.train.data.cache.index import Row
from xfer.train.data.cache.store import Store, Values, join, stamp_of
from xfer.train.data.clips import Clip
from xfer.train.data.decoding import on_disk
from xfer.train.data.straight import stretch

RECENT_BYTES = 100_000_000
"""Decoded files that are held where there is no cache: over half an hour of sound."""


@dataclass(frozen=True, slots=True)
class _File:
    """Where a file's samples lie."""

    digest: str
    total: int
    """Samples at the rate that is asked for."""
    rows: tuple[Row, ...]
    """In the cache; none: they are read from the file."""


class Waves:
    """Samples of clips at `rate` Hz.

    What is held in memory is where they lie, and a few decoded files of formats that cannot be sought in.
    """

    def __init__(self, rate: int, store: Store | None = None) -> None:
        """Without a store, every request reads the file."""
        self.rate = rate
        self._store = store
        self._files: dict[tuple[Path, str], _File] = {}
        self._recent: OrderedDict[tuple[Path, str], Samples] = OrderedDict()

    def length(self, clip: Clip) -> int:
        """How many samples a clip has.

        Raises FileNotThere or Unusable as `runtime.audio.load` does where its file was never decoded before.
        """
        first, last = self._span(clip)
        return last - first

    def window(self, clip: Clip, start: int, count: int) -> Samples:
        """Samples `start` to `start + count` of a clip, (count,), or fewer at its end; the rest is not decoded.

        Raises FileNotThere or Unusable where it must be read from a file that is gone or damaged.
        """
        first, last = self._span(clip)
        begin = first + start
        count = max(0, min(count, last - begin))
        file = self._file(clip)
        if file.rows and self._store is not None:
            found = _read(self._store, file.rows, begin, count)
            if found is not None:
                return found
            self._store.forget(file.digest, self.rate)
            self._files[clip.path, clip.member] = replace(file, rows=())
        return self._straight(clip, begin, count)

    def samples(self, clip: Clip) -> Samples:
        """All samples of a clip, (n,). Raises as `window` does."""
        return self.window(clip, 0, self.length(clip))

    def _straight(self, clip: Clip, begin: int, count: int) -> Samples:
        """Samples from the file itself; what had to be decoded whole is held for a while, since neighbours follow."""
        key = (clip.path, clip.member)
        if key not in self._recent:
            with on_disk(clip.path, clip.member) as path:
                found = stretch(path, self.rate, begin, count)
                if found is not None:
                    return found
                self._recent[key] = load(path, self.rate).samples
        self._recent.move_to_end(key)
        while len(self._recent) > 1 and sum(samples.nbytes for samples in self._recent.values()) > RECENT_BYTES:
            self._recent.popitem(last=False)
        return self._recent[key][begin : begin + count].copy()

    def _span(self, clip: Clip) -> tuple[int, int]:
        """First and one past the last sample of the clip in its file."""
        total = self._file(clip).total
        first = min(round(clip.offset * self.rate), total)
        last = total if clip.duration is None else min(total, first + round(clip.duration * self.rate))
        return first, last

    def _file(self, clip: Clip) -> _File:
        key = (clip.path, clip.member)
        if key not in self._files:
            self._files[key] = self._look_up(clip)
        return self._files[key]

    def _look_up(self, clip: Clip) -> _File:
        if self._store is not None:
            try:
                holds = self._store.file(clip.path, clip.member, stamp_of(clip.path))
            except OSError:  # gone: reading it says so
                holds = None
            if holds is not None:
                total = resampled_length(holds.frames, holds.rate, self.rate)
                return _File(holds.digest, total, self._store.rows(holds.digest, self.rate) or ())
        with on_disk(clip.path, clip.member) as path:
            return _File("", len(load(path, self.rate).samples), ())


def _read(store: Store, rows: tuple[Row, ...], start: int, count: int) -> Samples | None:
    """Samples `start` to `start + count` of a file from its pieces; None where one is gone or damaged."""
    parts: list[tuple[Values, float]] = []
    at = 0
    for row in rows:
        begin, end = max(start - at, 0), min(start + count - at, row.count)
        if begin < end:
            values = store.values(row)
            if values is None:
                return None
            parts.append((values[begin:end], row.scale))
        at += row.count
    return join(parts)


def seconds(waves: Waves, clips: Sequence[Clip]) -> float:
    """Total length of clips."""
    return sum(waves.length(clip) for clip in clips) / waves.rate
