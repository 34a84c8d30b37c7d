"""Everything that is wrong with a data set, from one look at every recording.

`xfer data` shows it, training leaves out what cannot be learned from and keeps copies of one sound on one side.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples, decode
from xfer.runtime.errors import Unusable, XferError
from xfer.train.data.cache import Store, fill
from xfer.train.data.cache.store import stamp_of
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.copies import find_copies
from xfer.train.data.decoding import Inspected, on_disk
from xfer.train.data.facts import Facts
from xfer.train.data.problems import Problem, Severity
from xfer.train.data.splits import leaks, merge_groups
from xfer.train.data.waves import Waves

CLIPPED_SHARE = 2e-3
"""More flat tops than this are clipping; a loud recording has a few."""
FEW_CLIPS = 5
"""A class with fewer clips can hardly be learned and not be validated."""

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is."""


@dataclass(frozen=True)
class Checked:
    """A data set after a look at every recording."""

    data: DataSet
    """As found, copies of one sound merged into one group."""
    facts: Sequence[Facts]
    """One a clip; read from the store as they are asked for, so iterate and do not copy."""
    problems: tuple[Problem, ...]
    """Errors first."""
    good: npt.NDArray[np.bool_]
    """Which clips can be learned from, (clips,)."""

    def usable(self) -> DataSet:
        """The data set without the clips that cannot be learned from.

        Raises Unusable where nothing is left.
        """
        if not self.good.any():
            first = next(problem.message for problem in self.problems if problem.left_out)
            raise Unusable(
                f"{self.data.name}: none of its {len(self.data.clips)} recordings can be used; the first: {first}"
            )
        return self.data.with_clips(tuple(clip for clip, good in zip(self.data.clips, self.good, strict=True) if good))


def check(
    data: DataSet,
    store: Store,
    rates: tuple[int, ...] = (),
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Look at every recording, once: what is in the store is not decoded again.

    With `rates`, the samples at these rates (Hz) come into the store in the same pass.
    """
    tell = progress or (lambda what, done, of: None)
    faults = fill(store, data.clips, rates, workers=workers, progress=lambda done, of: tell("decoding", done, of))
    facts = KnownFacts(store, data.clips, faults)
    problems = list(data.problems)
    good = np.zeros(len(data.clips), dtype=np.bool_)
    prints: list[bytes] = []
    same: dict[tuple[str, float, float | None], list[int]] = defaultdict(list)
    for index, (clip, seen) in enumerate(zip(data.clips, facts, strict=True)):
        good[index] = seen.fault is None
        if seen.fault is None:
            prints.append(seen.print)
            same[seen.digest, clip.offset, clip.duration].append(index)
        problems += _of_recording(clip, seen)
    copies = _copies(data.clips, np.flatnonzero(good), prints, _samples(store, rates), tell)
    # Equal bytes are copies whatever they sound like; a pure tone, say, is never one by its sound.
    copies = _joined([*copies, *(tuple(group) for group in same.values() if len(group) > 1)])
    problems += [_duplicate(data.clips, group) for group in copies]
    merged = merge_groups(data, copies)
    problems += leaks(merged)
    problems += _of_classes(merged)
    problems.sort(key=lambda problem: problem.severity != "error")
    return Checked(merged, facts, tuple(problems), good)


class KnownFacts(Sequence[Facts]):
    """The facts of clips, read from the store one by one: a hundred thousand take no room."""

    def __init__(self, store: Store, clips: Sequence[Clip], faults: Sequence[Inspected]) -> None:
        self._store = store
        self._clips = clips
        self._faults = {(found.job.path, found.job.member): found.facts[0] for found in faults}

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Facts]:
        with self._store.reading():
            for index in range(len(self)):
                yield self[index]

    @overload
    def __getitem__(self, index: int) -> Facts: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Facts]: ...
    def __getitem__(self, index: int | slice) -> Facts | Sequence[Facts]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        clip = self._clips[index]
        lost = self._faults.get((clip.path, clip.member))
        if lost is not None:
            return lost
        try:
            holds = self._store.file(clip.path, clip.member, stamp_of(clip.path))
        except OSError:
            holds = None
        facts = self._store.facts(holds.digest, clip.offset, clip.duration) if holds else None
        if facts is None:
            message = "{path} changed or vanished while it was looked at"
            return Facts("", 0.0, 0, 0, 0.0, -math.inf, 0.0, fault="unreadable", message=message)
        return facts


def name_of(clip: Clip) -> str:
    """A clip as messages name it."""
    inside = f"{clip.path}/{clip.member}" if clip.member else str(clip.path)
    return f"{inside} from {clip.offset:g} s" if clip.offset else inside


def _of_recording(clip: Clip, seen: Facts) -> Iterator[Problem]:
    name, paths = name_of(clip), (_path(clip),)
    if seen.fault is not None:
        severity: Severity = "warning" if seen.fault == "short" else "error"
        yield Problem(seen.fault, severity, paths, seen.message.replace("{path}", name))
        return
    for note in seen.notes:
        yield Problem("truncated", "warning", paths, f"{name}: {note}")
    if seen.clipped > CLIPPED_SHARE:
        yield Problem("clipped", "warning", paths, f"{name} is clipped: {seen.clipped:.1%} of it is flat tops")


def _samples(store: Store, rates: tuple[int, ...]) -> Callable[[Clip], tuple[Samples, int]]:
    """How the samples of a clip come to be compared: from the store where they are in it, else decoded."""
    waves = Waves(rates[0], store) if rates else None

    def samples(clip: Clip) -> tuple[Samples, int]:
        try:
            if waves is not None:
                return waves.samples(clip), waves.rate
            with on_disk(clip.path, clip.member) as path:
                whole = decode(path)
        except (XferError, OSError):  # it vanished since it was decoded; who needs it next says so
            return np.zeros(1, dtype=np.float32), 8000
        first = round(clip.offset * whole.rate)
        last = None if clip.duration is None else first + round(clip.duration * whole.rate)
        return whole.samples[first:last], whole.rate

    return samples


def _copies(
    clips: Sequence[Clip],
    usable: npt.NDArray[np.intp],
    prints: Sequence[bytes],
    samples: Callable[[Clip], tuple[Samples, int]],
    tell: Progress,
) -> list[tuple[int, ...]]:
    """Clips that hold one sound, as indices into `clips`."""
    found = find_copies(
        prints,
        lambda which: samples(clips[usable[which]]),
        progress=lambda done, of: tell("comparing", done, of),
    )
    return [tuple(int(usable[which]) for which in group) for group in found]


def _joined(groups: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Groups that share a member as one, sorted."""
    member_of: dict[int, set[int]] = {}
    for group in groups:
        mine = set(group).union(*(member_of[index] for index in group if index in member_of))
        member_of |= dict.fromkeys(mine, mine)
    return sorted({tuple(sorted(group)) for group in member_of.values()})


def _duplicate(clips: Sequence[Clip], group: tuple[int, ...]) -> Problem:
    first = clips[group[0]]
    labels = sorted({clips[index].label for index in group})
    others = ", ".join(name_of(clips[index]) for index in group[1:4]) + (" ..." if len(group) > 4 else "")
    told = f"{name_of(first)} and {others} are one sound"
    if len(labels) > 1:
        told += f" under {len(labels)} labels ({', '.join(labels)}): one of them is wrong"
    else:
        told += ": they count as one group"
    return Problem("duplicate", "error", tuple(_path(clips[index]) for index in group), told)


def _of_classes(data: DataSet) -> Iterator[Problem]:
    examples: dict[str, Clip] = {}
    origins: dict[str, set[str]] = defaultdict(set)
    sides: dict[str, set[str | None]] = defaultdict(set)
    for clip in data.clips:
        examples.setdefault(clip.label, clip)
        sides[clip.label].add(clip.split)
        if len(origins[clip.label]) < 2:
            origins[clip.label].add(clip.group)
    counts = data.counts()
    for label in data.labels:
        path = (_path(examples[label]),)
        if {"train", "validation"} <= sides[label] and counts[label] >= FEW_CLIPS:
            continue  # the publisher's split validates it
        if len(origins[label]) < 2 and not {"train", "validation"} <= sides[label]:
            held = "one clip" if counts[label] == 1 else f"{counts[label]} clips of one origin"
            yield Problem("few", "error", path, f"class {label!r} has {held}: nothing is left to validate it with")
        elif counts[label] < FEW_CLIPS:
            yield Problem("few", "warning", path, f"class {label!r} has only {counts[label]} clips: record more")
    alike: dict[str, list[str]] = defaultdict(list)
    for label in data.labels:
        alike["".join(unicodedata.normalize("NFKC", label).casefold().replace("_", " ").split())].append(label)
    for labels in alike.values():
        if len(labels) > 1:
            yield Problem(
                "label",
                "error",
                tuple(_path(examples[label]) for label in labels),
                f"the labels {', '.join(map(repr, labels))} differ in case or spaces only: rename all but one",
            )


def _path(clip: Clip) -> Path:
    return clip.path / clip.member if clip.member else clip.path
