"""Training end to end on small real problems: it learns, it resumes to the same bytes, a head leaves the body alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from tests.train.tones import small
from xfer.runtime.errors import AnswerIsNo, FileNotThere, Unusable
from xfer.train import runs
from xfer.train.checkpoint import load
from xfer.train.fit import Progress, learning_rate
from xfer.train.recipe import FitRecipe, default_recipe, with_settings
from xfer.train.training import Listener, train


@pytest.fixture(scope="module")
def trained(tones, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    return train(small(tones, "fit.epochs=3"), out=out, device="cpu")


def test_it_learns_and_the_run_is_whole(trained):
    assert trained.validation["clip_accuracy"] == 1.0
    folder = trained.run.folder
    tables = ("recipe.toml", "metrics.jsonl", "split.csv")
    for name in (*tables, "best.safetensors", "best.json", "last.safetensors", "last.json"):
        assert (folder / name).is_file(), name
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows if "validation" in row] == [1, 2, 3]
    assert [row["split"] for row in rows if "test" in row] == ["test"]
    assert trained.run.state()["state"] == "finished"
    checkpoint = load(folder)
    assert checkpoint.labels == ("high", "low")
    assert not checkpoint.net.training


def test_killed_and_resumed_is_the_same_to_the_byte(trained, tones, tmp_path):
    """kill -9 after the first epoch, in another process; then --resume."""
    out = tmp_path / "broken"
    code = (
        "from tests.train.tones import small; from xfer.train.training import train; import torch;"
        "from pathlib import Path;"
        f"torch.set_num_threads({torch.get_num_threads()});"  # equality is promised for the same number of threads
        f"train(small({str(tones)!r}, 'fit.epochs=3'), out=Path({str(out)!r}), device='cpu')"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 120
    while not (out / "last.safetensors").exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert runs.newest_unfinished(tmp_path) == out
    train(runs.Run(out).recipe, resume=out, device="cpu")
    for name in ("last.safetensors", "best.safetensors"):
        assert (out / name).read_bytes() == (trained.run.folder / name).read_bytes(), name
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows if "validation" in row] == [1, 2, 3]


def test_ctrl_c_keeps_what_was_finished_and_names_the_way_on(tones, tmp_path):
    def stop(progress: Progress) -> None:
        if progress.epoch == 2 and progress.step == 1:
            raise KeyboardInterrupt

    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        train(small(tones), out=out, device="cpu", listener=Listener(fit=stop))
    assert load(out / "last.safetensors").progress["epoch"] == 1
    assert runs.Run(out).state()["state"] == "stopped"


@pytest.mark.parametrize("net", ["convnet", "rawnet2"])
def test_head_transfer_leaves_the_body_bit_for_bit(net, trained, tones, tmp_path):
    if net == "convnet":
        source = trained.run.best
    else:
        recipe = replace(default_recipe("sound", net), data=small(tones).data)
        recipe = with_settings(recipe, ["fit.batch=4", "fit.epochs=1", "fit.crops_per_clip=1", "fit.crop=6561"])
        source = train(recipe, out=tmp_path / "source", device="cpu").run.best
    recipe = replace(default_recipe("sound", net), data=small(tones).data)
    recipe = with_settings(
        recipe,
        [
            "fit.epochs=5",
            "transfer.method=head",
            f"transfer.source={source}",
            "transfer.augmentations=1",
            "fit.learning_rate=0.01",
        ],
    )
    done = train(recipe, out=tmp_path / "target", device="cpu")
    before, after = load(source).net.state_dict(), load(done.run.best).net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("head.") for name in changed)


def test_a_diverging_loss_is_an_answer_of_no(tones, tmp_path):
    recipe = small(
        tones, "fit.optimizer=adadelta", "fit.learning_rate=1e30", "fit.clip_gradient=0", "fit.schedule=constant"
    )
    with pytest.raises(AnswerIsNo, match="learning rate"):
        train(recipe, out=tmp_path / "nan", device="cpu")


def test_two_trainings_never_share_a_folder(trained, tones, tmp_path, monkeypatch):
    with pytest.raises(Unusable, match="--resume"):
        train(small(tones), out=trained.run.folder, device="cpu")
    monkeypatch.chdir(tmp_path)
    first, second = (runs.start(small(tones), None) for _ in range(2))
    assert first.folder != second.folder
    with pytest.raises(Unusable, match="another training"):
        runs.reopen(first.folder)


@pytest.fixture
def copy_of(trained, tmp_path):
    path = tmp_path / "copy.safetensors"
    path.write_bytes(trained.run.best.read_bytes())
    return path


def test_damaged_checkpoints_are_refused(copy_of):
    whole = copy_of.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-5000] + bytes([whole[-5000] ^ 1]) + whole[-4999:], b"", b"text"):
        copy_of.write_bytes(content)
        with pytest.raises(Unusable):
            load(copy_of)
    with pytest.raises(FileNotThere):
        load(copy_of.with_name("none.safetensors"))


def test_foreign_tensors_and_other_nets_are_refused(copy_of):
    safetensors.torch.save_file({"a": torch.zeros(3)}, copy_of)
    with pytest.raises(Unusable, match="no checkpoint of xfer"):
        load(copy_of)


def test_learning_rate_schedules():
    """FACTS.md section 10: the factor after n steps of the inverse schedule is 1 / (1 + 1e-4 n)."""
    how = replace(FitRecipe(), schedule="inverse", learning_rate=2.0)
    assert learning_rate(how, 5000, 10_000) == pytest.approx(2.0 / 1.5)
    how = replace(how, schedule="cosine", warmup=0.1)
    rates = [learning_rate(how, step, 1000) for step in range(1000)]
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert max(rates) == pytest.approx(2.0, rel=0.02)
    assert rates[-1] < 1e-4
