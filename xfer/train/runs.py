"""Runs: the folder of one training, `runs/<task>-<net>-<time>/`."""

from __future__ import annotations

import fcntl
import json
import platform
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from xfer.runtime.atomic import write_atomically
from xfer.runtime.errors import FileNotThere, NotThere, Unusable
from xfer.runtime.selftest import processor_name
from xfer.train.recipe import Recipe, from_toml

STATES = ("running", "stopped", "finished")


class Run:
    """A run's folder: recipe.toml, metrics.jsonl, run.json, best and last checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: IO[str] | None = None

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation."""
        return self.folder / "best.safetensors"

    @property
    def last(self) -> Path:
        """The newest checkpoint, with all that is needed to go on."""
        return self.folder / "last.safetensors"

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe. Raises Unusable where it is broken."""
        return from_toml((self.folder / "recipe.toml").read_text(encoding="utf-8"))

    def state(self) -> dict[str, Any]:
        """What `run.json` says; empty where it is missing or broken."""
        try:
            found = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_state(self, state: str, **more: Any) -> None:
        """Say in `run.json` where the run stands; earlier entries stay."""
        document = self.state() | {"state": state} | more
        write_atomically(self.folder / "run.json", (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())

    def log(self, row: dict[str, Any]) -> None:
        """Add a line to `metrics.jsonl`."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """The lines of whole epochs in `metrics.jsonl`."""
        lines = (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [row for row in map(json.loads, lines) if "validation" in row]

    def keep_log_until(self, epoch: int) -> None:
        """Drop lines of epochs after `epoch`: they are about to be trained again."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut off by a kill in the middle of the line
            if row.get("epoch", 0) <= epoch and row.get("split") != "test":
                kept.append(line)
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode())

    def lock(self) -> None:
        """Keep other trainings out of this folder until this process ends.

        Raises Unusable where another one is at work in it.
        """
        self._lock = (self.folder / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(
                f"another training is at work in {self.folder}: wait for it, or choose another --out"
            ) from None


def environment(device: torch.device, processes: int = 1) -> dict[str, str]:
    """What the weights depend on to the last bit, beside recipe and data."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": processor_name(),
        "threads": str(torch.get_num_threads()),
        "processes": str(processes),
    }


def start(recipe: Recipe, out: Path | None) -> Run:
    """Make a new run's folder and write the resolved recipe.

    Raises Unusable where `out` already holds a run.
    """
    if out is not None:
        if (out / "recipe.toml").exists():
            raise Unusable(f"{out} already holds a run: go on with it (--resume {out}), or choose another --out")
        out.mkdir(parents=True, exist_ok=True)
        folder = out
    else:
        folder = _fresh(Path("runs"), f"{recipe.task}-{recipe.net}-{time.strftime('%Y%m%d-%H%M%S')}")
    run = Run(folder)
    run.lock()
    write_atomically(folder / "recipe.toml", recipe.to_toml().encode())
    run.write_state("running", task=recipe.task, net=recipe.net, started=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    return run


def reopen(folder: Path) -> Run:
    """Go on with a run.

    Raises FileNotThere where the folder is no run, Unusable where another process is at work in it.
    """
    if not (folder / "recipe.toml").exists():
        raise FileNotThere(f"no run at {folder}: a run is a folder with a recipe.toml, such as those in runs/")
    run = Run(folder)
    run.lock()
    return run


def newest(root: Path, *, finished: bool) -> Path:
    """The newest run in `root` that is (or is not) finished.

    Raises NotThere where there is none.
    """
    found = [
        (path.stat().st_mtime, path.parent)
        for path in root.glob("*/run.json")
        if (Run(path.parent).state().get("state") == "finished") == finished
    ]
    if not found:
        kind = "finished" if finished else "unfinished"
        raise NotThere(f"no {kind} run in {root}: start one with `xfer train`")
    return max(found)[1]


def newest_finished(root: Path = Path("runs")) -> Path:
    """The newest finished run. Raises NotThere where there is none."""
    return newest(root, finished=True)


def newest_unfinished(root: Path = Path("runs")) -> Path:
    """The newest run that was stopped or killed. Raises NotThere where there is none."""
    return newest(root, finished=False)


def _fresh(root: Path, name: str) -> Path:
    """A new folder of that name; a number is added where another training took the same second."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
    raise Unusable(f"{root} holds a thousand runs called {name}: choose another --out")
