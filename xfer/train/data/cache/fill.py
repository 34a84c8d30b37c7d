"""Filling the cache: every file that is not known yet is decoded once, in as many processes as there are cores."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from xfer.runtime.errors import NotThere
from xfer.train.data.cache.index import Stamp
from xfer.train.data.cache.store import Store, stamp_of
from xfer.train.data.clips import Clip
from xfer.train.data.decoding import Inspected, Job, inspect

FEW = 64
"""So many files are decoded sooner than other processes have started."""
AHEAD = 4
"""Files that wait for each worker: it is never idle, and memory stays bounded."""
COMMIT_SECONDS = 2.0
"""A kill loses at most this much work."""

ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A worker is a process for each core already; threads of its own would wait for each other."""

Stretch = tuple[float, float | None]


@dataclass(frozen=True)
class _Wanted:
    job: Job
    stamp: Stamp


def fill(
    store: Store,
    clips: Iterable[Clip],
    rates: tuple[int, ...] = (),
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Inspected]:
    """Bring the facts of all clips, and their samples at `rates` Hz, into the store.

    What cannot be kept, since it says nothing of a file's bytes (a file that vanished or may not be read), is
    returned. `progress(done, all)` counts files. Stopped or killed, it goes on from where it was.
    Raises NotThere where the store cannot be written.
    """
    files = _files(clips)
    faults: list[Inspected] = []
    wanted: list[_Wanted] = []
    with store.reading():
        for (path, member), stretches in files.items():
            job = Job(path, member, tuple(stretches), rates)
            try:
                stamp = stamp_of(path)
            except OSError:
                faults.append(inspect(job))  # says what is wrong with it
                continue
            if (missing := _missing(store, job, stamp)) is not None:
                wanted.append(_Wanted(missing, stamp))
    done = len(files) - len(wanted)
    if progress:
        progress(done, len(files))
    committed = time.monotonic()
    for each, found in _inspected(wanted, workers):
        if found.digest:
            store.keep(found, each.stamp)
        else:
            faults.append(found)
        done += 1
        if time.monotonic() - committed > COMMIT_SECONDS:
            store.commit()
            committed = time.monotonic()
        if progress:
            progress(done, len(files))
    store.commit()
    return faults


def _files(clips: Iterable[Clip]) -> dict[tuple[Path, str], list[Stretch]]:
    files: dict[tuple[Path, str], list[Stretch]] = {}
    for clip in clips:
        stretches = files.setdefault((clip.path, clip.member), [])
        if (clip.offset, clip.duration) not in stretches:
            stretches.append((clip.offset, clip.duration))
    return files


def _missing(store: Store, job: Job, stamp: Stamp) -> Job | None:
    """The job without what the store has; None: it has everything."""
    holds = store.file(job.path, job.member, stamp)
    if holds is None:
        return job
    known = [store.facts(holds.digest, *stretch) for stretch in job.stretches]
    usable = any(facts is None or facts.fault is None for facts in known)
    lacking = () if store.full or not usable else tuple(r for r in job.rates if store.rows(holds.digest, r) is None)
    if lacking or None in known:
        return Job(job.path, job.member, job.stretches, lacking)
    return None


def _inspected(wanted: list[_Wanted], workers: int | None) -> Iterator[tuple[_Wanted, Inspected]]:
    """Everything that is wanted, inspected, in order."""
    count = min(workers or _cores(), len(wanted))
    if count < 2 or len(wanted) < FEW:
        for each in wanted:
            yield each, inspect(each.job)
        return
    # Not multiprocessing's pools: a fork of a process with torch's threads in it may hang, and a spawned worker runs
    # the caller's main script again, which fails where that has no guard.
    from loky import ProcessPoolExecutor

    with ProcessPoolExecutor(count, initializer=_quiet, env=ALONE) as pool:
        waiting: deque[tuple[_Wanted, Future[Inspected]]] = deque()
        try:
            for each in wanted:
                waiting.append((each, pool.submit(inspect, each.job)))
                if len(waiting) >= AHEAD * count:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        except BrokenProcessPool as error:
            raise NotThere(
                "a process that decodes was killed, most likely for want of memory: use fewer (--workers 1); "
                "what was decoded before is kept"
            ) from error
        finally:
            for _, future in waiting:
                future.cancel()


def _quiet() -> None:
    """Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
