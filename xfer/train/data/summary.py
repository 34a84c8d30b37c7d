"""The numbers of a data set: what `xfer data` shows, counted in one pass over its facts.

Memory grows by one float64 a clip (its length) and by the tables of labels and groups, not by what the facts hold.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xfer.train.data.clips import SPLITS, DataSet
from xfer.train.data.facts import Facts
from xfer.train.data.problems import Problem

BINS = 24
"""About how many bars a histogram has."""
UNSPLIT = "unused"
"""The side of clips that stand on none."""


class HasFacts(Protocol):
    """What is summed up: a checked data set (`check.Checked`)."""

    @property
    def data(self) -> DataSet:
        """The clips, as found."""

    @property
    def facts(self) -> Sequence[Facts]:
        """Parallel to the clips; read once, in order."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, errors first."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Some of the clips."""

    clips: int = 0
    seconds: float = 0.0
    """Of those that can be decoded."""

    def to_json(self) -> dict[str, Any]:
        """Clips and hours."""
        return {"clips": self.clips, "hours": hours(self.seconds)}


@dataclass(frozen=True, slots=True)
class OfClass:
    """One label's share."""

    total: Amount
    sides: Mapping[str, int]
    """Clips on each side of the split."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often values fall between edges."""

    edges: tuple[float, ...]
    """One more than counts, rising; a single value has the same edge twice."""
    counts: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Edges and counts."""
        return {"edges": list(self.edges), "counts": list(self.counts)}


@dataclass(frozen=True, slots=True)
class Spread:
    """Where values lie: lowest, quartiles, highest, and a histogram."""

    lowest: float
    quartiles: tuple[float, float, float]
    highest: float
    histogram: Histogram

    def to_json(self) -> dict[str, Any]:
        """All numbers by name."""
        low, median, high = self.quartiles
        named = {"lowest": self.lowest, "quartile": low, "median": median, "upper_quartile": high}
        return {name: round(value, 6) for name, value in {**named, "highest": self.highest}.items()} | {
            "histogram": self.histogram.to_json()
        }


@dataclass(frozen=True, slots=True)
class Groups:
    """What must not be separated by a split."""

    number: int
    largest: str
    """Its name; empty where there is no clip."""
    largest_clips: int

    def to_json(self) -> dict[str, Any]:
        """The number of groups, and the largest."""
        return {"number": self.number, "largest": {"group": self.largest, "clips": self.largest_clips}}


@dataclass(frozen=True)
class Summary:
    """A data set in numbers."""

    name: str
    root: Path
    layout: str
    task: str
    net: str
    synthetic: bool
    licence: str
    attribution: str
    notes: tuple[str, ...]
    total: Amount
    usable: int
    """Clips that can be decoded and learned from."""
    classes: Mapping[str, OfClass]
    """By label, sorted."""
    durations: Spread | None
    """Seconds of the usable clips; None where there is none."""
    levels: Spread | None
    """Loudness of the usable clips, root mean square in dB re full scale."""
    sample_rates: Mapping[int, int]
    """Hz: clips, the most frequent first."""
    channels: Mapping[int, int]
    """Channels of the file: clips, the most frequent first."""
    splits: Mapping[str, Amount]
    """train, validation, test (and "unused"), those that have clips."""
    groups: Groups
    values: Mapping[str, Spread]
    """For regression: each number to predict."""
    background: int
    """Recordings of no class, over which short clips can be placed."""
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        """Problems that make training wrong."""
        return sum(problem.severity == "error" for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """The document of `xfer data --json`."""
        return {
            "name": self.name,
            "path": str(self.root),
            "layout": self.layout,
            "task": self.task,
            "net": self.net,
            "synthetic": self.synthetic,
            "licence": self.licence,
            "attribution": self.attribution,
            "notes": list(self.notes),
            "clips": self.total.clips,
            "usable_clips": self.usable,
            "hours": hours(self.total.seconds),
            "classes": {
                label: each.total.to_json() | {"splits": dict(each.sides)} for label, each in self.classes.items()
            },
            "durations": self.durations and self.durations.to_json(),
            "levels_dbfs": self.levels and self.levels.to_json(),
            "sample_rates": {str(rate): clips for rate, clips in self.sample_rates.items()},
            "channels": {str(channels): clips for channels, clips in self.channels.items()},
            "splits": {side: amount.to_json() for side, amount in self.splits.items()},
            "groups": self.groups.to_json(),
            "values": {name: spread.to_json() for name, spread in self.values.items()},
            "background": self.background,
            "errors": self.errors,
            "warnings": len(self.problems) - self.errors,
            "problems": [problem.to_json() for problem in self.problems],
        }


class _Tally:
    """Clips and seconds by a key."""

    def __init__(self) -> None:
        self.clips: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()

    def add(self, key: str, seconds: float) -> None:
        self.clips[key] += 1
        self.seconds[key] += seconds  # type: ignore[assignment]  # a Counter counts floats as well

    def amount(self, key: str) -> Amount:
        return Amount(self.clips[key], float(self.seconds[key]))


def summarise(checked: HasFacts) -> Summary:
    """Count a checked data set; reads the facts once, in order, and keeps none of them."""
    data = checked.data
    labels, sides, groups = _Tally(), _Tally(), Counter[str]()
    label_sides: Counter[tuple[str, str]] = Counter()
    rates, channels = Counter[int](), Counter[int]()
    lengths, levels = array("d"), array("d")
    values = [array("d") for _ in data.value_names]
    for clip, fact in zip(data.clips, checked.facts, strict=True):
        side = clip.split or UNSPLIT
        usable = fact.fault is None
        seconds = fact.seconds if usable else 0.0
        labels.add(clip.label, seconds)
        sides.add(side, seconds)
        label_sides[clip.label, side] += 1
        groups[clip.group] += 1
        if fact.rate:
            rates[fact.rate] += 1
            channels[fact.channels] += 1
        if usable:
            lengths.append(seconds)
            if math.isfinite(fact.level_dbfs):
                levels.append(fact.level_dbfs)
        for column, value in zip(values, clip.values, strict=False):
            column.append(value)
    present = [side for side in (*SPLITS, UNSPLIT) if sides.clips[side]]
    largest = max(groups.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    return Summary(
        name=data.name,
        root=data.root,
        layout=data.layout,
        task=data.task,
        net=data.net,
        synthetic=data.synthetic,
        licence=data.licence,
        attribution=data.attribution,
        notes=data.notes,
        total=Amount(len(data.clips), math.fsum(lengths)),
        usable=len(lengths),
        classes={
            label: OfClass(
                labels.amount(label),
                {side: label_sides[label, side] for side in present if label_sides[label, side]},
            )
            for label in sorted(labels.clips)
        },
        durations=spread(lengths),
        levels=spread(levels),
        sample_rates=dict(rates.most_common()),
        channels=dict(channels.most_common()),
        splits={side: sides.amount(side) for side in present},
        groups=Groups(len(groups), *largest),
        values={
            name: found for name, column in zip(data.value_names, values, strict=True) if (found := spread(column))
        },
        background=len(data.background),
        problems=checked.problems,
    )


def spread(values: Sequence[float]) -> Spread | None:
    """Lowest, quartiles (linear between values, as numpy), highest and a histogram; None where there is no value."""
    if not len(values):
        return None
    sorted_values = np.sort(np.asarray(values, dtype=np.float64))
    quartiles = np.quantile(sorted_values, [0.25, 0.5, 0.75])
    low, middle, high = (float(value) for value in quartiles)
    return Spread(
        float(sorted_values[0]), (low, middle, high), float(sorted_values[-1]), histogram(sorted_values, middle)
    )


def histogram(values: npt.NDArray[np.float64], median: float) -> Histogram:
    """About `BINS` bars over sorted values, (n,), with edges that read well: 1, 2 or 5 times a power of ten apart.

    Where a few values lie far above the rest (ten times the median) the edges rise by a factor instead.
    """
    low, high = float(values[0]), float(values[-1])
    if high - low <= 1e-3 * max(abs(low), abs(high)):
        return Histogram((low, high), (len(values),))
    if low > 0 and high > 10 * median:
        edges = np.geomspace(low, high, BINS + 1)
    else:
        width = nice_step((high - low) / BINS)
        first, last = math.floor(low / width), math.ceil(high / width)
        edges = np.round(np.arange(first, max(last, first + 1) + 1) * width, 12)
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    counts, _ = np.histogram(values, edges)
    return Histogram(tuple(float(f"{edge:.12g}") for edge in edges), tuple(int(count) for count in counts))


def nice_step(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten, at or above `step` > 0."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= step * (1 - 1e-9))


def hours(seconds: float) -> float:
    """Seconds as hours, to a hundredth of a second."""
    return round(seconds / 3600, 6)
