"""Several processes are one training: the same weights, the same metrics, one writer; and a lost one ends all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed, nn

from tests.train.tones import small
from xfer.train.checkpoint import load
from xfer.train.nets import create
from xfer.train.training import train
from xfer.train.world import ALONE, SharedNorm, World, share_norms

SETTINGS = (
    "options.dropout=0.0",
    "options.batchnorm_body=true",
    "data.validation_share=0.3",
    "windows.short=tile",
    "windows.background=no",
    "fit.batch=5",  # which two processes cannot halve
    "fit.crops_per_clip=1",
    "fit.average=0.5",
    "augment.noise=0.5",  # drawn for each window by itself
)


def in_two(data: Path, out: Path, *more: str, torchrun: bool = False) -> list[str]:
    """The command of a training in two processes."""
    words = ["train", str(data), "--task", "sound", "--net", "convnet", "--out", str(out), "--device", "cpu"]
    words += ["--no-preflight", *(word for setting in SETTINGS for word in ("--set", setting)), *more]
    if torchrun:
        way = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "xfer.cli"]
        return [sys.executable, *way, *words]
    return [sys.executable, "-m", "xfer.cli", *words, "--devices", "2"]


def run(command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | more
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


@pytest.fixture(scope="module")
def both(tones, tmp_path_factory):
    """The same training in one process and, by torchrun, in two."""
    root = tmp_path_factory.mktemp("world")
    alone = train(small(tones, *SETTINGS), out=root / "one", device="cpu")
    told = run(in_two(tones, root / "two", "--epochs", "2", "--json", torchrun=True))
    assert told.returncode == 0, told.stderr
    return alone, json.loads(told.stdout), root


def test_two_processes_learn_what_one_learns(both):
    """Shares of a batch, shared batch statistics and added gradients: only rounding differs."""
    alone, told, root = both
    one, two = load(root / "one").net.state_dict(), load(root / "two").net.state_dict()
    assert one.keys() == two.keys()
    start = small(Path("unused"), *SETTINGS)
    torch.manual_seed(start.seed)
    fresh = create("convnet", 2, **start.options).state_dict()
    moved = sum(float((value.double() - fresh[name].double()).square().sum()) for name, value in one.items()) ** 0.5
    apart = sum(float((two[name].double() - value.double()).square().sum()) for name, value in one.items()) ** 0.5
    # Adam's first steps are signs of gradients, which rounding may turn where a gradient is nearly zero.
    assert 0 < apart < 0.1 * moved
    assert told["validation"]["recall"] == alone.validation["recall"]
    assert told["validation"]["loss"] == pytest.approx(alone.validation["loss"], rel=0.02)


def test_there_is_one_writer_and_one_voice(both):
    root = both[2]
    rows = [json.loads(line) for line in (root / "two" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows if "validation" in row] == [1, 2]
    state = json.loads((root / "two" / "run.json").read_text())
    assert (state["state"], state["environment"]["processes"]) == ("finished", "2")


def test_a_head_transfer_in_two_processes_hears_every_clip_once(both, tones):
    root = both[2]
    more = ("--from", str(root / "one"), "--transfer", "head", "--epochs", "3", "--json")
    told = run(in_two(tones, root / "head2", *more))
    assert told.returncode == 0, told.stderr
    recipe = small(tones, *SETTINGS, "fit.epochs=3")
    recipe = replace(recipe, transfer=replace(recipe.transfer, source=str(root / "one"), method="head"))
    alone = train(recipe, out=root / "head1", device="cpu")
    one, two = load(root / "head1").net.head.state_dict(), load(root / "head2").net.head.state_dict()
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=2e-4), name
    assert json.loads(told.stdout)["validation"]["clips"] == alone.validation["clips"]


def test_a_killed_process_ends_the_job_and_it_goes_on_from_there(tones, tmp_path):
    """kill -9 of the second process within an epoch; then --resume, to the bytes of a job that was never broken."""
    more = ("--epochs", "4", "--set", "fit.save_seconds=0.0")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(in_two(tones, whole, *more)).returncode == 0
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    job = subprocess.Popen(in_two(tones, broken, *more), stderr=subprocess.PIPE, text=True, env=environment)
    until = time.monotonic() + 200
    while not (broken / "best.json").exists() and time.monotonic() < until and job.poll() is None:
        time.sleep(0.01)
    os.kill(second_process(job.pid), signal.SIGKILL)
    said = job.communicate(timeout=100)[1]
    assert job.returncode == 3, said
    assert "process 1 was killed (SIGKILL)" in said
    assert "--resume" in said
    assert "Traceback" not in said
    again = [sys.executable, "-m", "xfer.cli", "train", "--resume", str(broken), "--device", "cpu", "--devices", "2"]
    told = run(again)
    assert told.returncode == 0, told.stderr
    assert (broken / "last.safetensors").read_bytes() == (whole / "last.safetensors").read_bytes()


def second_process(launcher: int) -> int:
    """The pid of rank 1 among the children of a launcher."""
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            variables = (entry / "environ").read_bytes().split(b"\0") if parent == launcher else []
        except (OSError, ValueError, IndexError):
            continue
        if b"RANK=1" in variables:
            return int(entry.name)
    raise AssertionError("the second process is not there")


def test_what_is_wrong_is_said_once(tones, tmp_path):
    told = run(in_two(tones, tmp_path / "run", "--set", "fit.batch=1"))
    assert told.returncode == 2
    lines = [line for line in told.stderr.splitlines() if line.startswith("xfer:")]
    assert lines == ["xfer: 2 processes cannot share a batch of 1: set fit.batch higher"]


@given(st.integers(0, 1000), st.integers(1, 17))
def test_shares_are_everything_once_and_alike(count: int, size: int) -> None:
    shares = [list(range(count))[World(rank, size).share(count)] for rank in range(size)]
    assert [thing for share in shares for thing in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_changed() -> None:
    weights = [nn.Parameter(torch.ones(3))]
    weights[0].grad = torch.arange(3.0)
    ALONE.add_gradients(weights)
    assert torch.equal(weights[0].grad, torch.arange(3.0))
    assert ALONE.total(1.5, 2) == [1.5, 2]


def _small_net() -> tuple[nn.Sequential, torch.Tensor]:
    """A net with a norm inside, in float64, and five windows far from zero."""
    generator = torch.Generator().manual_seed(7)
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(27, 4)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return net, 100.0 + torch.randn(5, 2, 11, generator=generator, dtype=torch.float64)


ANSWERS = torch.tensor([0, 3, 1, 1, 2])


def _shared(rank: int, port: int, queue: torch.multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    world = World(rank, 2)
    net, waves = _small_net()
    share_norms(net, torch.device("cpu"))
    assert isinstance(net[1], SharedNorm)
    mine = world.share(5)
    logits = net(waves[mine])
    (nn.functional.cross_entropy(logits, ANSWERS[mine]) * (len(logits) / 5)).backward()
    world.add_gradients(net.parameters())
    gradients = [parameter.grad.numpy() for parameter in net.parameters() if parameter.grad is not None]
    queue.put((rank, logits.detach().numpy(), gradients, {k: v.numpy() for k, v in net[1].state_dict().items()}))
    distributed.barrier()
    distributed.destroy_process_group()


def test_shared_norms_and_gradients_are_those_of_the_whole_batch() -> None:
    """Two and three of five windows in two processes, against torch's own norm and gradient of all five."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_shared, args=(rank, port, queue)) for rank in range(2)]
    for worker in workers:
        worker.start()
    found = sorted((queue.get(timeout=120) for _ in workers), key=lambda each: each[0])
    for worker in workers:
        worker.join(60)
    net, waves = _small_net()
    logits = net(waves)
    nn.functional.cross_entropy(logits, ANSWERS).backward()
    np.testing.assert_allclose(np.concatenate([each[1] for each in found]), logits.detach().numpy(), atol=1e-8)
    for _, _, gradients, state in found:
        for gradient, parameter in zip(gradients, net.parameters(), strict=True):
            np.testing.assert_allclose(gradient, parameter.grad.numpy(), atol=1e-8)
        for name, value in net[1].state_dict().items():
            np.testing.assert_allclose(state[name], value.numpy(), rtol=1e-10)
