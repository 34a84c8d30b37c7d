"""What listening costs: real-time factor of each model on 1 and 2 threads; time and memory of the whole program.

    python benchmarks/listen.py MODEL... [--seconds 120]      writes docs/benchmarks.md between its markers

The rival in the same run is the usual way: the checkpoint's net in torch, a window at a time, on as many threads.
The real-time factor is processing time over the sound's length: below 1 keeps up. Wall time and peak memory are those
of `xfer listen FILE` as a process of its own, imports and all, on a 10 s file.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import soundfile

from xfer.runtime.listening import EACH_WINDOW, Listener
from xfer.runtime.models import load_model
from xfer.runtime.selftest import processor_name
from xfer.runtime.sources import FileSource

REPORT = Path("docs/benchmarks.md")
MARKER = "<!-- listen -->"


def sound(path: Path, seconds: float, rate: int = 16000) -> Path:
    """Noise that comes and goes like syllables: no window is silent."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.1, len(t)) * (0.2 + np.square(np.sin(2 * np.pi * 2 * t)))
    soundfile.write(path, noise, rate)
    return path


def real_time_factor(model: Path, recording: Path, threads: int) -> tuple[float, int]:
    """Processing time of `xfer.runtime`'s own stream over the length of the recording; and its windows."""
    listener = Listener(load_model(model, threads=threads), EACH_WINDOW)
    with closing(FileSource(recording)) as source:
        began = time.perf_counter()
        windows = sum(event.kind == "event" for event in listener.events(source))
        return (time.perf_counter() - began) / soundfile.info(recording).duration, windows


def torch_factor(model: Path, recording: Path, threads: int) -> float | None:
    """The same windows through a fresh net of the same kind in eager torch; None without torch."""
    try:
        import torch

        from xfer.train.nets import create
    except ImportError:
        return None
    from xfer.runtime.audio import load, window_starts

    card = load_model(model).card
    torch.set_num_threads(threads)
    net = create(card.net, len(card.labels)).eval()
    with torch.no_grad():
        began = time.perf_counter()
        samples = load(recording, card.sample_rate).samples
        for start in window_starts(len(samples), card.window, card.hop):
            net(torch.from_numpy(samples[None, start : start + card.window])).logits.softmax(dim=1)
        return (time.perf_counter() - began) / soundfile.info(recording).duration


WATCHER = """
import os, resource, subprocess, sys, time
began = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode)
"""
"""Runs a command from a small process: a child's peak memory counts that of its parent at the fork."""


def whole_program(model: Path, recording: Path) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of `xfer listen FILE`, the fastest of three."""
    command = [sys.executable, "-m", "xfer.cli", "listen", str(recording), "--model", str(model), "--jsonl"]
    runs = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", WATCHER, *command], capture_output=True, text=True, check=True)
        wall, peak, code = done.stdout.split()
        if int(code):
            raise SystemExit(f"xfer listen ended with {code}")
        runs.append((float(wall), int(peak) / (1e6 if sys.platform == "darwin" else 1e3)))
    return min(runs)


def main() -> None:
    """Measure, print and write the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("models", type=Path, nargs="+")
    options.add_argument("--seconds", type=float, default=120.0)
    chosen = options.parse_args()
    lines = [
        f"{processor_name()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{chosen.seconds:.0f} s of sound, the hop of the card.",
        "",
        "| model | engine | real-time factor, 1 thread | 2 threads | torch eager, 1 thread | 2 threads "
        "| `xfer listen` of 10 s: wall | peak memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        long, short = sound(Path(folder) / "long.wav", chosen.seconds), sound(Path(folder) / "short.wav", 10.0)
        for model in chosen.models:
            engine = load_model(model)
            ours = [real_time_factor(model, long, threads)[0] for threads in (1, 2)]
            rival = [torch_factor(model, long, threads) for threads in (1, 2)]
            wall, memory = whole_program(model, short)
            shown = " | ".join(f"{value:.3f}" for value in ours)
            theirs = " | ".join("-" if value is None else f"{value:.3f}" for value in rival)
            lines.append(
                f"| {engine.card.net} {engine.card.precision} | {engine.card.format} | {shown} | {theirs} "
                f"| {wall:.2f} s | {memory:.0f} MB |"
            )
    print("\n".join(lines))
    before, _, rest = REPORT.read_text(encoding="utf-8").partition(MARKER)
    _, _, after = rest.partition(MARKER)
    REPORT.write_text("\n".join([before + MARKER, *lines, MARKER + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
