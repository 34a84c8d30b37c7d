"""Each model file with each way to run it, one after another, each in a new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xfer
from xfer.runtime.bench.measure import Measured
from xfer.runtime.card import Card
from xfer.runtime.engines import check_whole
from xfer.runtime.errors import NotThere, Unusable, XferError
from xfer.runtime.here import Setting, settings_for
from xfer.runtime.models import Found, model_path

LONGEST_SECONDS = 600.0
"""One way to run a model that takes longer is given up."""


@dataclass(frozen=True)
class Row:
    """One model file run in one way."""

    path: Path
    card: Card
    bytes: int
    """Of the file, or of all files of the folder."""
    setting: Setting
    measured: Measured | None
    problem: str = ""
    """Why nothing was measured."""

    @property
    def parity(self) -> str:
        """What the card says of parity at export: `ok`, `failed` or `not measured`."""
        return {True: "ok", False: "failed"}.get(self.card.parity.get("ok"), "not measured")  # type: ignore[arg-type]

    def document(self) -> dict[str, Any]:
        """The row, ready for JSON."""
        return {
            "path": str(self.path),
            "name": self.card.name,
            "task": self.card.task,
            "net": self.card.net,
            "format": self.card.format,
            "precision": self.card.precision,
            "bytes": self.bytes,
            "parity": self.parity,
            "engine": self.setting.engine,
            "device": self.setting.device,
            "threads": self.setting.threads,
            **({"problem": self.problem} if self.problem else {}),
            **({} if self.measured is None else {"measured": asdict(self.measured)}),
        }


def bench(
    paths: Sequence[str | Path],
    engine: str = "",
    device: str = "",
    threads: int = 0,
    seconds: float = 3.0,
    allow_cpu: bool = False,
    bf16: bool = False,
) -> Iterator[Row]:
    """Measure model files one way after another, each as it is done.

    All files are checked before the first is measured. Raises what `check_whole` and `settings_for` raise, and what
    the first way of a file raises; a further way that does not work is a row with its problem.
    """
    work = []
    for each in paths:
        path = model_path(each)
        work.append((path, check_whole(path), settings_for(path, engine, device, threads, allow_cpu, bf16)))
    for path, card, settings in work:
        size = Found(path, card).size
        for setting in settings:
            try:
                yield Row(path, card, size, setting, in_a_process(path, setting, seconds))
            except XferError as error:
                if setting is settings[0]:
                    raise
                yield Row(path, card, size, setting, None, str(error))


def in_a_process(path: Path, setting: Setting, seconds: float) -> Measured:
    """Measure one way in a new process. Raises what that raises, and Unusable where it dies or does not end."""
    request = {"path": str(path), "setting": asdict(setting), "seconds": seconds, "spawned": time.monotonic()}
    # -P: a file in the user's folder that is called like a module is not taken for it.
    command = [sys.executable, "-P", "-m", "xfer.runtime.bench.worker"]
    environment = dict(os.environ)
    own = str(Path(xfer.__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([own, *filter(None, [environment.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, env=environment, timeout=LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise Unusable(
            f"{path} with {setting.words} was not done in {LONGEST_SECONDS:.0f} s: leave this way out with --engine, "
            "--device or --threads"
        ) from error
    if done.returncode != 0 or not done.stdout:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise Unusable(f"{path} with {setting.words} ended with {done.returncode}: {last[:200]}")
    found = json.loads(done.stdout)
    if "error" in found:
        raise (NotThere if found["exit_code"] == NotThere.exit_code else Unusable)(found["error"])
    return Measured(**found | {"notes": tuple(found["notes"])})
