"""Two machines train one net: two network namespaces, joined by one cable, each with its own torchrun."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.train.test_world import SETTINGS

FIRST, SECOND = "10.213.7.1", "10.213.7.2"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def machines() -> Iterator[tuple[str, str]]:
    """Names of two network namespaces that see each other and nothing else."""
    if shutil.which("ip") is None:
        pytest.skip("two machines are played by network namespaces: install iproute2")
    one, other = (f"xfer{os.getpid()}{end}" for end in "ab")
    try:
        ip("netns", "add", one)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here, which takes root: {error.stderr.strip()}")
    try:
        ip("netns", "add", other)
        ip("link", "add", "cable", "netns", one, "type", "veth", "peer", "name", "cable", "netns", other)
        for name, address in ((one, FIRST), (other, SECOND)):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "cable", "up")
        yield one, other
    finally:
        for name in (one, other):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def torchrun(machine: str, place: int, home: Path, data: Path, out: Path) -> subprocess.Popen[str]:
    """What docs/training.md tells to type on each machine."""
    way = ["torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(place)]
    way += ["--master-addr", FIRST, "--master-port", "29400"]
    words = ["train", str(data), "--task", "sound", "--net", "convnet", "--out", str(out), "--device", "cpu", "--json"]
    words += ["--no-preflight", "--epochs", "1", *(word for setting in SETTINGS for word in ("--set", setting))]
    own = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "cable", "XFER_HOME": str(home)}
    return subprocess.Popen(
        ["ip", "netns", "exec", machine, sys.executable, "-m", *way, "-m", "xfer.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | own,
    )


@pytest.mark.slow
def test_two_machines_train_one_net(machines: tuple[str, str], tones: Path, tmp_path: Path) -> None:
    """Each with its own cache and its own place for runs; only the first writes one."""
    homes = [tmp_path / name for name in ("first", "second")]
    jobs = [
        torchrun(machine, place, home / "home", tones, home / "run")
        for place, (machine, home) in enumerate(zip(machines, homes, strict=True))
    ]
    told = [job.communicate(timeout=400) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], told
    results = [json.loads(out) for out, _ in told if out.strip()]
    assert len(results) == 1
    assert [(home / "run").exists() for home in homes] == [True, False]
    state = json.loads((homes[0] / "run" / "run.json").read_text())
    assert (state["state"], state["environment"]["processes"]) == ("finished", "2")
