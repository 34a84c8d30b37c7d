"""One way to run one model file, measured. It runs in a process of its own, so that memory and cold start are its own.

Latency is that of one window, alone, as `listen` runs it. CPU at real-time rate is measured at that rate, a window
every hop, so that what an engine's threads do between two windows counts as well.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xfer.runtime.engines import Array
from xfer.runtime.here import Setting
from xfer.runtime.models import Model, load_model
from xfer.runtime.selftest import formula_inputs, verify

INPUT = "noise at -30 dBFS"
WARM_UP_SECONDS, WARM_UP_RUNS = 0.3, 5
MOST_RUNS, LEAST_RUNS = 1000, 10
LEAST_HOPS = 2


@dataclass(frozen=True)
class Measured:
    """What was found; times in the unit that each name says."""

    engine: str
    """Engine, version, device and threads that were really in use."""
    notes: tuple[str, ...]
    equal: bool
    """Do the golden clips verify?"""
    where: str
    """Where they do not."""
    scores: float | None
    """Largest difference of a score over the golden clips; None where one was no finite number."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    runs: int
    """Windows that these are of, after warm-up."""
    hop_seconds: float
    """The model's own: every so often does listening run a window."""
    real_time_factor: float
    """p50 over the hop: below 1 it keeps up."""
    cpu_percent: float
    """Of one core, at real-time rate: 100 is one core busy."""
    peak_memory_mb: float | None
    """Of the whole process, Python and engine included; None where the system does not tell."""
    cold_start_seconds: float
    """From the start of the process to the first answer: Python, engine, checks and load."""
    load_seconds: float
    """Of that, to check and load the model file, the engine's import included."""


def measure(path: Path, setting: Setting, seconds: float, spawned: float) -> Measured:
    """Measure here and now; `spawned`: when this process was started, in time.monotonic of its parent.

    Raises what `load_model` and `verify` raise.
    """
    began = time.monotonic()
    model = load_model(
        path, setting.threads, setting.device, allow_cpu=setting.allow_cpu, engine=setting.engine, bf16=setting.bf16
    )
    load_seconds = time.monotonic() - began
    card = model.card
    window = formula_inputs(card.window, card.sample_rate)[INPUT][None, :]
    model.run(window)
    cold = time.monotonic() - spawned
    took = _latencies(model, window, seconds)
    memory = peak_memory()
    hop = card.hop / card.sample_rate
    cpu = _cpu_share(model, window, hop, seconds)
    report = verify(model)
    worst = report.worst
    scores = report.largest().get("scores", math.inf)
    p50, p95, p99 = (float(value) for value in np.percentile(took, [50, 95, 99]))
    return Measured(
        engine=model.engine.description,
        notes=model.engine.notes,
        equal=report.equal,
        where="" if report.equal or worst is None else f"{worst.input}: {worst.difference.where}",
        scores=scores if math.isfinite(scores) else None,
        p50_ms=1000 * p50,
        p95_ms=1000 * p95,
        p99_ms=1000 * p99,
        runs=len(took),
        hop_seconds=hop,
        real_time_factor=p50 / hop,
        cpu_percent=100 * cpu,
        peak_memory_mb=None if memory is None else memory / 1e6,
        cold_start_seconds=cold,
        load_seconds=load_seconds,
    )


def _latencies(model: Model, window: Array, seconds: float) -> list[float]:
    """Seconds of each of many runs, after some that do not count."""
    end = time.perf_counter() + min(WARM_UP_SECONDS, seconds)
    for run in range(MOST_RUNS):
        if run >= WARM_UP_RUNS and time.perf_counter() >= end:
            break
        model.run(window)
    took: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < LEAST_RUNS or (len(took) < MOST_RUNS and time.perf_counter() < end):
        start = time.perf_counter()
        model.run(window)
        took.append(time.perf_counter() - start)
    return took


def _cpu_share(model: Model, window: Array, hop: float, seconds: float) -> float:
    """Processor time over time, a window every hop; a model that is too slow for that runs without a pause."""
    count = max(LEAST_HOPS, math.ceil(seconds / hop))
    start, spent = time.perf_counter(), time.process_time()
    for turn in range(1, count + 1):
        model.run(window)
        time.sleep(max(0.0, start + turn * hop - time.perf_counter()))
    return (time.process_time() - spent) / (time.perf_counter() - start)


def peak_memory() -> float | None:
    """Bytes of memory that this process has had at most; None where the system does not tell.

    Not `ru_maxrss` on Linux: a new process inherits there what its parent had.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) if sys.platform == "darwin" else 1024.0 * peak
