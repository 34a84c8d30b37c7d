"""Tests on a card: skipped where there is none, refused by `make test-cuda`, and written down where there is one.

`XFER_CUDA_REHEARSAL=1` runs on the CPU what does not ask the card itself: so a test can be tried before one is at hand.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
REHEARSAL = os.environ.get("XFER_CUDA_REHEARSAL") == "1"
NO_CARD = "no CUDA device that torch can use; on a machine with one: make test-cuda (docs/cuda.md)"
MEASURED: list[tuple[str, str]] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if HERE in item.path.parents]
    for item in mine:
        item.add_marker(pytest.mark.cuda)
    if not mine or torch.cuda.is_available():
        return
    if os.environ.get("XFER_CUDA") == "required":
        raise pytest.UsageError(NO_CARD)
    for item in mine:
        if not REHEARSAL or "card" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=NO_CARD))


@pytest.fixture
def device() -> torch.device:
    """Where nets are tried."""
    return torch.device("cpu" if REHEARSAL and not torch.cuda.is_available() else "cuda")


@pytest.fixture
def card() -> torch.device:
    """The card itself, for what no CPU can show."""
    return torch.device("cuda")


@pytest.fixture(autouse=True)
def plain_fp32() -> Iterator[None]:
    """No TF32 behind float32: it keeps 10 bits of a product, and what is compared here holds to 1e-4."""
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    before = [switch.fp32_precision for switch in switches]
    for switch in switches:
        switch.fp32_precision = "ieee"
    deterministic, benchmark = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    yield
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, benchmark
    for switch, value in zip(switches, before, strict=True):
        switch.fp32_precision = value


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache and no kept measurement of another run."""
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def measured() -> Callable[[str, str], None]:
    """measured(what, value): a line of the result."""
    return lambda what, value: MEASURED.append((what, value))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    """Say on what it ran, and write the same as Markdown to $XFER_CUDA_RESULT."""
    if not torch.cuda.is_available():
        return
    counts = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    lines = [
        "| what | value |",
        "| --- | --- |",
        f"| date | {time.strftime('%Y-%m-%d %H:%M %Z')} |",
        f"| card | {torch.cuda.get_device_name()} |",
        f"| torch | {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()} |",
        f"| python | {platform.python_version()} |",
        f"| commit | {_commit()} |",
        f"| tests | {told} |",
        *(f"| {what} | {value} |" for what, value in MEASURED),
    ]
    for line in lines:
        terminalreporter.write_line(line)
    if target := os.environ.get("XFER_CUDA_RESULT"):
        Path(target).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _commit() -> str:
    """Of the tree that was tested; a tree that was carried to the card's machine has no git, and is told it."""
    if told := os.environ.get("XFER_COMMIT"):
        return told
    try:
        found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"
