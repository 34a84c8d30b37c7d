"""The loop: killed within an epoch, averaged, in pieces, balanced; and what it says when it cannot go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.train.tones import small
from xfer.runtime.errors import AnswerIsNo, Unusable
from xfer.train import runs
from xfer.train.checkpoint import load
from xfer.train.data.windows import balanced
from xfer.train.fit.losses import Loss
from xfer.train.recipe import FitRecipe, with_settings
from xfer.train.training import Listener, train

RICH = ("fit.epochs=2", "fit.average=0.9", "fit.accumulate=2", "fit.sampling=balanced", "fit.crops_per_clip=3")


def test_killed_within_an_epoch_and_resumed_is_the_same_to_the_byte(tones, tmp_path):
    """kill -9 in the middle of the first and of the second epoch, with everything that a run remembers in use."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(small(tones, *RICH, "fit.save_seconds=0"), out=whole, device="cpu")
    code = (
        "from tests.train.tones import small; from xfer.train.training import train; import torch;"
        "from pathlib import Path;"
        f"torch.set_num_threads({torch.get_num_threads()}); out = Path({str(broken)!r});"
        f"recipe = small({str(tones)!r}, *{RICH!r}, 'fit.save_seconds=0');"
        "train(recipe, out=None if out.exists() else out, resume=out if out.exists() else None, device='cpu')"
    )
    places = []
    for epoch in (0, 1):
        process = subprocess.Popen([sys.executable, "-c", code])
        until = time.monotonic() + 200
        while time.monotonic() < until and process.poll() is None:
            try:
                seen = load(broken / "last.safetensors").progress
            except Exception:  # noqa: BLE001  not there yet
                seen = {"epoch": -1, "step": 0}
            if seen["epoch"] == epoch and seen["step"] >= 2:
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        places.append({key: load(broken / "last.safetensors").progress[key] for key in ("epoch", "step")})
    assert [place["epoch"] for place in places] == [0, 1]
    assert all(place["step"] >= 2 for place in places)
    train(runs.Run(broken).recipe, resume=broken, device="cpu")
    for name in ("last.safetensors", "best.safetensors"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_run_is_not_gone_on_with_by_another_recipe(tones, tmp_path):
    def stop(progress):
        raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(small(tones, "fit.save_seconds=0"), out=out, device="cpu", listener=Listener(fit=stop))
    text = (out / "recipe.toml").read_text()
    # The first step is told before it is saved, so nothing was kept: finish one epoch first.
    train(runs.Run(out).recipe, resume=out, device="cpu")
    (out / "recipe.toml").write_text(text.replace("learning_rate = 0.001", "learning_rate = 0.002"))
    assert (out / "recipe.toml").read_text() != text
    with pytest.raises(Unusable, match=r"fit\.learning_rate"):
        train(runs.Run(out).recipe, resume=out, device="cpu")


def test_another_environment_is_told(tones, tmp_path):
    out = tmp_path / "run"
    train(small(tones, "fit.epochs=1"), out=out, device="cpu")
    run = runs.Run(out)
    run.write_state("stopped", environment=run.state()["environment"] | {"threads": "77"})
    told = []
    train(run.recipe, resume=out, device="cpu", listener=Listener(warn=told.append))
    assert any("threads 77 then" in line for line in told)


def test_a_bad_batch_is_named(tones, tmp_path):
    recipe = small(
        tones, "fit.optimizer=adadelta", "fit.learning_rate=1e30", "fit.clip_gradient=0", "fit.schedule=constant"
    )
    with pytest.raises(AnswerIsNo, match=r"on .*(low|high)/\d\.wav, .*\.wav"):
        train(recipe, out=tmp_path / "nan", device="cpu")


def test_the_average_is_what_is_measured_and_kept(tones, tmp_path):
    """With a decay so near 1 that the average hardly leaves the first weights, the best net is not the last one."""
    done = train(small(tones, "fit.average=0.999", "fit.epochs=1"), out=tmp_path / "run", device="cpu")
    best, last = load(done.run.best), load(done.run.last)
    own, kept = last.net.state_dict(), best.net.state_dict()
    stored = {name.removeprefix("average.module."): value for name, value in last.extra.items() if "module." in name}
    assert all(torch.equal(kept[name], stored[name]) for name in kept)
    assert not all(torch.equal(kept[name], own[name]) for name in kept)


class Memory(nn.Module):
    """A net that runs out of memory on more than `most` windows at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.seen = most, []
        self.linear = nn.Linear(4, 3)

    def forward(self, inputs):
        if len(inputs) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seen.append(len(inputs))
        return self.linear(inputs)


def work_on(module: nn.Module, **how):
    """The loop's inner part around a module."""
    from types import SimpleNamespace

    from xfer.train.fit.forms import PLAIN
    from xfer.train.fit.loop import _Work
    from xfer.train.recipe import Recipe
    from xfer.train.world import ALONE

    problem = SimpleNamespace(
        net=module, trained=lambda: module, counts=lambda: np.array([5, 3, 2]), logits=lambda inputs: module(inputs)
    )
    return _Work(problem, Recipe(fit=replace(FitRecipe(), **how)), None, lambda told: None, PLAIN, ALONE)


def test_a_batch_that_does_not_fit_goes_through_in_halves_with_the_same_gradient():
    torch.manual_seed(0)
    batch = torch.randn(8, 4), torch.randint(3, (8,))
    module = Memory(4)
    work = work_on(module)
    value, note = work.gradients(batch)
    assert "2 pieces" in note
    assert module.seen == [4, 4]
    loss = nn.functional.cross_entropy(module.linear(batch[0]), batch[1])
    expected = torch.autograd.grad(loss, list(module.linear.parameters()))
    assert value == pytest.approx(float(loss))
    for parameter, gradient in zip(module.linear.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)
    assert work.gradients(batch)[1] == ""
    with pytest.raises(torch.OutOfMemoryError):
        work_on(Memory(3)).gradients(batch)  # halves are too large too: once is enough


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_pieces_of_a_batch_add_up(pieces):
    torch.manual_seed(1)
    batch = torch.randn(7, 4), torch.randint(3, (7,))
    gradients = []
    for count in (1, pieces):
        torch.manual_seed(2)
        module = Memory(99)
        work_on(module, accumulate=count).gradients(batch)
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in module.parameters()]))
    assert torch.allclose(*gradients, atol=1e-6)


@given(st.integers(0, 2**31), st.integers(2, 6))
@settings(max_examples=30, deadline=None)
def test_losses_are_their_formulas(seed, classes):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 1000, classes)
    logits, targets = rng.normal(0, 2, (9, classes)), rng.integers(classes, size=9)
    share = counts / counts.sum()
    x, y = torch.tensor(logits), torch.tensor(targets)

    def loss(**how):
        return float(Loss(replace(FitRecipe(), **how), counts, torch.device("cpu"))(x, y))

    def minus_log(values):
        return (np.log(np.exp(values).sum(axis=1)) - values[np.arange(9), targets]).astype(np.float64)

    plain = minus_log(logits)
    weights = (1 / (classes * share))[targets]
    adjusted = minus_log(logits + 0.7 * np.log(share))
    focal = (1 - np.exp(-plain)) ** 3 * plain
    assert loss() == pytest.approx(plain.mean(), rel=1e-5)
    assert loss(class_weights="balanced") == pytest.approx((weights * plain).sum() / weights.sum(), rel=1e-5)
    assert loss(logit_adjustment=0.7) == pytest.approx(adjusted.mean(), rel=1e-5)
    assert loss(loss="focal", focal_gamma=3.0) == pytest.approx(focal.mean(), rel=1e-5)
    both = loss(loss="focal", focal_gamma=3.0, class_weights="balanced")
    assert both == pytest.approx((weights * focal).sum() / weights.sum(), rel=1e-5)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.integers(0, 2**31))
def test_a_balanced_epoch_has_every_class_as_often(answers, seed):
    answers = np.array(answers)
    chosen = balanced(answers, np.random.default_rng(seed))
    assert len(chosen) == len(answers)
    counts = Counter(answers[chosen].tolist())
    assert set(counts) == set(answers.tolist()) or len(set(answers.tolist())) > len(answers)
    assert max(counts.values()) - min(counts.values()) <= 1
    for label in counts:
        again = Counter(chosen[answers[chosen] == label].tolist())
        there = int((answers == label).sum())
        assert max(again.values()) - (min(again.values()) if len(again) == there else 0) <= 1


def test_bf16_computes_nearly_the_same_and_keeps_its_weights_in_float32(tones, tmp_path):
    losses = {}
    for precision in ("fp32", "bf16"):
        done = train(small(tones, f"fit.precision={precision}", "fit.epochs=1"), out=tmp_path / precision, device="cpu")
        losses[precision] = load(done.run.best).metrics["train_loss"]
        assert all(value.dtype != torch.bfloat16 for value in load(done.run.best).net.state_dict().values())
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.1)


def test_unknown_words_are_refused(tones):
    for setting in ("fit.loss=focall", "fit.sampling=balance", "fit.precision=fp8", "fit.class_weights=yes"):
        with pytest.raises(Unusable):
            with_settings(small(tones), [setting])
