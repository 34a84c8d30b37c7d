"""What runs on what. The full product of inputs, batches, engines and threads would take minutes and show no more.

Every input runs alone on the engine that the format is for, on one thread: that is where values can differ by the
sound. Batch, threads and another engine change how sums are split, which any sound with a wide spectrum shows, so these
run on a few inputs that lie far apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from xfer.export.inputs import REAL
from xfer.runtime.engines import Engine, able, open_engine

BATCHES = (1, 2, 7)
"""Alone; the batch that the graph was traced with; a batch that nothing in the graph has as its size."""

THREADS = (1, 2)

FEW = ("impulse", "square", "chirp", "clipped speech", "noise at -60 dBFS", "silence")
"""With the first real clip (else speech by formula), what stands for all: loud and quiet, short and long, all bands."""


class Pair(NamedTuple):
    """The two graphs of an export in one engine."""

    model: Engine
    """The graph that is shipped."""
    twin: Engine
    """The same with the front-end's features and every tap as further outputs."""


@dataclass(frozen=True)
class Way:
    """How both graphs run: an engine on a number of threads."""

    name: str
    """As in rows: `ONNX Runtime, 1 thread`."""
    open: Callable[[], Pair]
    """Raises Unusable where the engine cannot take the graph."""
    threads: int = 1
    main: bool = False
    """The engine that the format is for, on one thread: it hears every input."""


def ways_of(model: Path, twin: Path) -> tuple[list[Way], list[str]]:
    """How these files can run on the CPU here, the main way first, and sentences about engines that are not here."""
    kinds = able(model)
    here = [kind for kind in kinds if kind.here]
    missing = [
        f"{kind.title}, which can run this file too, is not installed here: it was not compared"
        for kind in kinds
        if not kind.here
    ]
    return [
        Way(
            f"{kind.title}, {threads} thread{'s' * (threads > 1)}",
            partial(_open, model, twin, kind.name, threads),
            threads,
            main=kind is here[0] and threads == 1,
        )
        for kind in here
        for threads in THREADS
    ], missing


def few_of(names: Sequence[str]) -> tuple[str, ...]:
    """Up to seven inputs that stand for all."""
    real = next((name for name in names if name.startswith(REAL)), "speech by formula")
    chosen = [name for name in (real, *FEW) if name in names]
    rest = [name for name in names if name not in chosen]
    return tuple([*chosen, *rest][: max(BATCHES)])


def batches_of(names: Sequence[str], size: int) -> Iterable[tuple[str, ...]]:
    """The names in batches of exactly `size`; the last one begins again at the first name."""
    for start in range(0, len(names), size):
        yield tuple(names[(start + k) % len(names)] for k in range(size))


def runs_of(way: Way, few: Sequence[str]) -> Iterable[tuple[str, ...]]:
    """The batches of the few inputs that run in a way, beside every input alone on the main one."""
    if way.main:
        for size in BATCHES[1:]:
            yield from batches_of(few[:size], size)
    elif way.threads == 1:
        yield from batches_of(few[:1], 1)
        yield from batches_of(few, max(BATCHES))
    else:
        yield from batches_of(few[:1], 1)
        yield from batches_of(few[1:3], 2)


def _open(model: Path, twin: Path, engine: str, threads: int) -> Pair:
    return Pair(*(open_engine(path, threads, "cpu", engine=engine) for path in (model, twin)))
