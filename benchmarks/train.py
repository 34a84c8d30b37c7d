"""How fast a training is: against the bare step, against the paper's ways of loading, and in its forms.

    python benchmarks/train.py --data ../shared/data [--only loading head processes forms cuda] [--device auto]

Writes its tables into docs/benchmarks.md. Rivals run in the same call, in turns, so that what else the machine does
falls on all. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xfer.runtime.selftest import processor_name
from xfer.train.data.cache import Store
from xfer.train.fit import forms, keep_freed_memory
from xfer.train.fit.loop import _Work
from xfer.train.framing import grid_of
from xfer.train.nets import create
from xfer.train.preparing import prepare
from xfer.train.recipe import default_recipe
from xfer.train.training import about, build, pick_device
from xfer.train.transfer import HeadOnly, Job, WholeNet
from xfer.train.transfer.whole import EVALUATION_BATCH, evaluation_windows
from xfer.train.world import ALONE

REPORT = Path("docs/benchmarks.md")
THEIRS = ("arrays on disk, the STFT an item (the paper)", "`librosa.load` of the file an item, the STFT")
ROUNDS, STEPS = 3, {"convnet": 8, "rawnet2": 3}


def job_of(data: Path, task: str, net: str, store: Store, device: torch.device) -> Job:
    """A training of that net on real recordings, ready to begin."""
    folder = {"genre": "music_fma_layout", "speaker": "libri_vctk_layout"}[task]
    recipe = default_recipe(task, net)
    recipe = replace(recipe, data=replace(recipe.data, path=str(data / folder)))
    ready = prepare(recipe, store, lambda line: None, lambda line: None, lambda *_: None)
    told = about(ready.data, ready.waves, ready.recipe)
    return Job(build(ready.recipe, ready.data), ready.data, ready.waves, ready.recipe, told, device, lambda line: None)


def synchronised(device: torch.device) -> float:
    """The time, once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def loading(data: Path, device: torch.device) -> Iterator[str]:
    """Whole training steps, fed in four ways, in turns."""
    yield "| net | fed by | windows/s | of the bare step |"
    yield "| --- | --- | --- | --- |"
    for net in ("convnet", "rawnet2"):
        with Store() as store, tempfile.TemporaryDirectory() as folder:
            job = job_of(data, "genre", net, store, device)
            problem = WholeNet(job)
            work = _Work(problem, job.recipe, None, lambda told: None, forms.PLAIN, ALONE)  # type: ignore[arg-type]
            ways, frontend = _ways(job, problem, Path(folder)), job.net.frontend
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(1 + ROUNDS):
                for name, way in ways.items():
                    problem.trained()
                    batches = way()
                    spectra = net == "convnet" and name in THEIRS
                    job.net.frontend = nn.Identity() if spectra else frontend  # type: ignore[assignment]
                    began = synchronised(device)
                    for batch in itertools.islice(batches, STEPS[net]):
                        work.gradients(batch)
                        work.learn()
                    seconds[name].append(synchronised(device) - began)
                    batches.close()
            best = {name: min(found[1:]) for name, found in seconds.items()}  # the first round warms up
            for name, spent in best.items():
                windows = STEPS[net] * job.recipe.fit.batch
                yield f"| {net} | {name} | {windows / spent:.1f} | {best['a ready tensor'] / spent:.2f} |"


def _ways(job: Job, problem: WholeNet, folder: Path) -> dict[str, Callable[[], Iterator[tuple[Tensor, Tensor]]]]:
    """The bare step's batches, ours, and those of the two scripts behind the paper."""
    size, length, rate = job.recipe.fit.batch, job.recipe.fit.crop or job.net.window, job.net.sample_rate
    clips = job.data.of("train")
    ready = next(problem.batches(1))
    rng = np.random.default_rng(0)
    arrays = []
    for index, clip in enumerate(clips):
        arrays.append(folder / f"{index}.npy")
        np.save(arrays[-1], job.waves.window(clip, 0, job.waves.length(clip)))

    def cut(samples: np.ndarray) -> np.ndarray:
        start = int(rng.integers(max(1, len(samples) - length)))
        return np.resize(samples[start : start + length], length)

    def batch_of(read: Callable[[int], np.ndarray]) -> tuple[Tensor, Tensor]:
        rows = [cut(read(int(rng.integers(len(clips))))) for _ in range(size)]
        if job.net.name == "convnet":  # their net is fed with spectra
            rows = [np.abs(librosa.stft(row, n_fft=1024, hop_length=512)).T[None, :128] for row in rows]
        return torch.from_numpy(np.stack(rows)).to(job.device), ready[1][torch.arange(size) % len(ready[1])]

    def forever(make: Callable[[], tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield make()

    return {
        "a ready tensor": lambda: forever(lambda: ready),
        "xfer: crops from the cache, made ahead": lambda: problem.batches(1),
        THEIRS[0]: lambda: forever(lambda: batch_of(lambda i: np.load(arrays[i]))),
        THEIRS[1]: lambda: forever(lambda: batch_of(lambda i: librosa.load(clips[i].path, sr=rate)[0])),
    }


def head(data: Path, device: torch.device) -> Iterator[str]:
    """An epoch of `head` after the first, against hearing every window again with the frozen body."""
    yield "| net | windows an epoch | epoch on stored embeddings | the frozen body again | faster by |"
    yield "| --- | --- | --- | --- | --- |"
    for net in ("convnet", "rawnet2"):
        with Store() as store:
            job = job_of(data, "genre", net, store, device)
            few = {label: [c for c in job.data.of("train") if c.label == label][:2] for label in job.data.labels}
            held = [clip for clips in few.values() for clip in clips]
            kept = job.data.with_clips((*held, *job.data.of("validation")[:4]))
            recipe = replace(job.recipe, transfer=replace(job.recipe.transfer, method="head", augmentations=1))
            job = replace(job, data=kept, recipe=recipe)
            problem = HeadOnly(job)
            work = _Work(problem, job.recipe, None, lambda told: None, forms.PLAIN, ALONE)  # type: ignore[arg-type]
            stored, again = [], []
            for epoch in range(1, 4):
                problem.trained()
                began = synchronised(device)
                windows = 0
                for batch in problem.batches(epoch):
                    work.gradients(batch)
                    work.learn()
                    windows += len(batch[1])
                stored.append(synchronised(device) - began)
            began, heard = synchronised(device), 0
            job.net.eval()
            with torch.no_grad():
                for waves, _ in evaluation_windows(job.waves, held, grid_of(job.recipe), EVALUATION_BATCH):
                    job.net(torch.from_numpy(waves).to(device))
                    heard += len(waves)
            again.append((synchronised(device) - began) * windows / heard)
            fast, slow = min(stored), min(again)
            yield f"| {net} | {windows} | {1000 * fast:.1f} ms | {slow:.2f} s | {slow / fast:.0f} |"


def processes(data: Path, device: torch.device) -> Iterator[str]:
    """The same training in one process with one thread, in one with two, and in two with one each; on the CPU."""
    del device
    yield "| net | one process, 1 thread | one process, 2 threads | two processes, 1 thread each | two to one |"
    yield "| --- | --- | --- | --- | --- |"
    for net, crops in (("convnet", 1), ("rawnet2", 1)):
        pace = {}
        for name, threads, more in (("one", 1, ()), ("threads", 2, ()), ("two", 1, ("--devices", "2"))):
            pace[name] = _windows_per_second(data, net, crops, threads, more)
        one, threads, two = (f"{pace[name]:.1f} windows/s" for name in ("one", "threads", "two"))
        yield f"| {net} | {one} | {threads} | {two} | {pace['two'] / pace['one']:.2f} |"


def _windows_per_second(data: Path, net: str, crops: int, threads: int, more: tuple[str, ...]) -> float:
    import json

    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "xfer.cli",
            "train",
            str(data / "music_fma_layout"),
            "--net",
            net,
            "--epochs",
            "2",
        ]
        command += ["--out", f"{folder}/run", "--quiet", "--no-preflight", "--device", "cpu"]
        command += ["--set", f"fit.crops_per_clip={crops}", *more]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, check=True, env=environment, capture_output=True)
        rows = [json.loads(line) for line in Path(folder, "run", "metrics.jsonl").read_text().splitlines()]
    return max(float(row["windows_per_second"]) for row in rows if "windows_per_second" in row)


def in_forms(data: Path, device: torch.device) -> Iterator[str]:
    """A training step in each form that comes into question on this device."""
    del data
    units = "yes" if forms.has_bf16(device) else "no"
    yield f"Units for bf16: {units}."
    yield ""
    yield "| net | form | windows/s | of plain |"
    yield "| --- | --- | --- | --- |"
    for name, length in (("convnet", 66_150), ("rawnet2", 19_683)):
        net = create(name, 80)
        known = forms.candidates(net, "auto", device)
        if device.type == "cuda":
            known += forms.candidates(net, "fp16", device)
        seconds = forms.measure(net, known, device, length)
        for form in known:
            pace = forms.WINDOWS / seconds[form.name]
            yield f"| {name} | {form.name} | {pace:.1f} | {seconds['plain'] / seconds[form.name]:.2f} |"


def cuda(data: Path, device: torch.device) -> Iterator[str]:
    """On a card: windows/s, memory, and the share of its own measured matrix rate."""
    del data
    if device.type != "cuda":
        yield "No CUDA device was there."
        return
    yield f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}."
    yield ""
    yield "| net | precision | compiled | batch | windows/s | memory | of the card's matrix rate |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, length, batch in (("convnet", 66_150, 256), ("rawnet2", 59_049, 64)):
        for form in (forms.PLAIN, forms.BY_NAME["bf16"], forms.BY_NAME["fp16"]):
            for compiled in (False, True):
                yield _on_card(name, length, batch, form, compiled, device)


def _on_card(name: str, length: int, batch: int, form: forms.Form, compiled: bool, device: torch.device) -> str:
    from torch.utils.flop_counter import FlopCounterMode

    net = create(name, 80).to(device).train()
    form.apply(net)
    if compiled:
        net.compile()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    wave, targets = torch.randn(batch, length, device=device), torch.zeros(batch, dtype=torch.long, device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with form.autocast(device):
            logits = net(wave).logits
        F.cross_entropy(logits.float(), targets).backward()
        optimizer.step()

    for _ in range(3):
        step()
    torch.cuda.reset_peak_memory_stats(device)
    began = synchronised(device)
    for _ in range(10):
        step()
    spent = (synchronised(device) - began) / 10
    plain = create(name, 80).to(device).train()
    with FlopCounterMode(display=False) as counted:
        F.cross_entropy(plain(wave).logits, targets).backward()
    share = counted.get_total_flops() / spent / _matrix_rate(form, device)
    memory = torch.cuda.max_memory_allocated(device) / 2**30
    words = f"{form.precision} | {'yes' if compiled else 'no'} | {batch} | {batch / spent:.0f} | {memory:.1f} GiB"
    return f"| {name} | {words} | {share:.0%} |"


def _matrix_rate(form: forms.Form, device: torch.device) -> float:
    """Operations a second of a large matrix product in this number format."""
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[form.precision]
    one = torch.randn(8192, 8192, device=device, dtype=kind)
    one @ one
    began = synchronised(device)
    for _ in range(10):
        one @ one
    return 10 * 2 * 8192**3 / (synchronised(device) - began)


PARTS: dict[str, Callable[[Path, torch.device], Iterator[str]]] = {
    "loading": loading,
    "head": head,
    "processes": processes,
    "forms": in_forms,
    "cuda": cuda,
}


def put(marker: str, lines: list[str]) -> None:
    """Replace what stands between the marker's two lines in docs/benchmarks.md."""
    text = REPORT.read_text(encoding="utf-8")
    edge = f"<!-- train {marker} -->"
    before, _, rest = text.partition(edge)
    _, _, after = rest.partition(edge)
    REPORT.write_text(f"{before}{edge}\n" + "\n".join(lines) + f"\n{edge}{after}", encoding="utf-8")


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--only", choices=list(PARTS), nargs="*")
    options.add_argument("--device", default="auto")
    chosen = options.parse_args()
    device = pick_device(chosen.device)
    keep_freed_memory()
    for name in chosen.only or PARTS:
        lines = [f"{processor_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, on {device}.", ""]
        for line in PARTS[name](chosen.data, device):
            print(line, flush=True)
            lines.append(line)
        put(name, lines)


if __name__ == "__main__":
    main()
