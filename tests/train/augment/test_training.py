"""Augmentation within a training: the same bytes after a kill, soft targets in the loss, and both ways of transfer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.train.tones import small
from xfer.runtime.errors import Unusable
from xfer.train import runs
from xfer.train.augment import Augment, Masked
from xfer.train.augment.recipe import PROBABILITIES
from xfer.train.checkpoint import load
from xfer.train.fit.losses import Loss
from xfer.train.recipe import FitRecipe, default_recipe, with_settings
from xfer.train.training import Listener, train
from xfer.train.transfer import whole

ALL = tuple(f"augment.{name}=0.6" for name in PROBABILITIES)
RICH = ("fit.epochs=2", "fit.crops_per_clip=2", "fit.accumulate=2", "fit.save_seconds=0", "fit.label_smoothing=0.1")


def test_killed_within_an_epoch_and_resumed_is_the_same_to_the_byte(tones, tmp_path):
    """kill -9 after the second step of the second epoch, every effect in use."""
    whole_run, broken = tmp_path / "whole", tmp_path / "broken"
    train(small(tones, *ALL, *RICH), out=whole_run, device="cpu")
    code = (
        "import os, signal, torch; from pathlib import Path; from tests.train.tones import small;"
        "from xfer.train.training import Listener, train;"
        f"torch.set_num_threads({torch.get_num_threads()});"
        "die = lambda told: os.kill(os.getpid(), signal.SIGKILL) if (told.epoch, told.step) == (2, 3) else None;"
        f"train(small({str(tones)!r}, *{(*ALL, *RICH)!r}), out=Path({str(broken)!r}), device='cpu',"
        " listener=Listener(fit=die))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=200).returncode == -9
    stood = load(broken / "last.safetensors").progress
    assert (stood["epoch"], stood["step"]) == (1, 2)
    train(runs.Run(broken).recipe, resume=broken, device="cpu")
    for name in ("last.safetensors", "best.safetensors"):
        assert (broken / name).read_bytes() == (whole_run / name).read_bytes(), name


def test_a_run_is_not_gone_on_with_by_another_augmentation(tones, tmp_path):
    out = tmp_path / "run"
    train(small(tones, "augment.noise=0.5", "fit.epochs=1"), out=out, device="cpu")
    text = (out / "recipe.toml").read_text()
    (out / "recipe.toml").write_text(text.replace("epochs = 1", "epochs = 2").replace("noise = 0.5", "noise = 0.25"))
    with pytest.raises(Unusable, match=r"augment\.noise"):
        train(runs.Run(out).recipe, resume=out, device="cpu")


def test_a_run_from_before_there_was_augmentation_goes_on(tones, tmp_path):
    """Neither its recipe nor its checkpoint knows the section."""
    out = tmp_path / "run"
    train(small(tones, "fit.epochs=1"), out=out, device="cpu")
    text = (out / "recipe.toml").read_text().replace("epochs = 1", "epochs = 2")
    (out / "recipe.toml").write_text(text[: text.index("[augment]")] + text[text.index("[transfer]") :])
    last = load(out / "last.safetensors")
    from xfer.train.checkpoint import save_checkpoint

    old = {name: value for name, value in last.recipe.items() if name != "augment"}
    save_checkpoint(
        last.path, last.net, task=last.task, labels=last.labels, recipe=old, metrics=last.metrics, data=last.data,
        extra=last.extra, progress=last.progress,
    )  # fmt: skip
    train(runs.Run(out).recipe, resume=out, device="cpu")
    assert load(out / "last.safetensors").progress["epoch"] == 2


def test_the_net_hears_what_was_drawn_for_epoch_and_step(tones, tmp_path, monkeypatch):
    """The very windows and answers that reach the net, against the same ones augmented here; also from within."""
    seen: list[whole.WholeNet] = []
    made = whole.WholeNet.__init__

    def remember(self, job):
        made(self, job)
        seen.append(self)

    monkeypatch.setattr(whole.WholeNet, "__init__", remember)
    recipe = small(tones, *ALL, "fit.epochs=1", "fit.crop=0")
    plain = small(tones, "fit.epochs=1", "fit.crop=0")
    for index, each in enumerate((recipe, plain)):
        train(each, out=tmp_path / str(index), device="cpu")
    augmented, bare = seen
    own = Augment(recipe.augment, recipe.seed, 22_050, 2)
    batches = list(augmented.batches(3))
    for step, (waves, targets) in enumerate(bare.batches(3)):
        expected, answers = own(waves, targets, 3, step)
        heard, told = batches[step]
        assert isinstance(heard, Masked)
        assert torch.equal(heard.waves, expected.waves)
        assert all(torch.equal(a, b) for a, b in zip(heard.masks, expected.masks, strict=True))
        assert torch.equal(told, answers)
        assert told.shape == (len(waves), 2)
    for (heard, told), (again, answers) in zip(batches[1:], augmented.batches(3, 1), strict=True):
        assert torch.equal(heard.waves, again.waves)
        assert torch.equal(told, answers)
    # Evaluation hears nothing of it.
    first, second = augmented.hear("validation"), augmented.hear("validation")
    assert (first.scores == second.scores).all()


def test_crops_of_another_length_than_the_window(tones, tmp_path):
    recipe = replace(default_recipe("sound", "rawnet2"), data=small(tones).data)
    plain = ["windows.short=tile", "windows.background=no"]
    recipe = with_settings(
        recipe, ["fit.batch=4", "fit.epochs=1", "fit.crops_per_clip=1", "fit.crop=2187", *plain, *ALL]
    )
    done = train(recipe, out=tmp_path / "run", device="cpu")
    assert np.isfinite(load(done.run.best).metrics["train_loss"])


def test_a_head_hears_augmented_windows_beside_the_fixed_ones(tones, tmp_path):
    source = train(small(tones, "fit.epochs=1"), out=tmp_path / "source", device="cpu").run.best
    heads = {}
    for name, more in (("plain", ()), ("augmented", ALL), ("again", ALL)):
        settings = ["fit.epochs=2", "transfer.method=head", f"transfer.source={source}", "transfer.augmentations=1"]
        done = train(small(tones, *settings, *more), out=tmp_path / name, device="cpu")
        heads[name] = load(done.run.last).net.state_dict()
    before = load(source).net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], heads["augmented"][name])}
    assert changed
    assert all(name.startswith("head.") for name in changed)
    assert all(torch.equal(heads["augmented"][name], heads["again"][name]) for name in before)
    assert not all(torch.equal(heads["augmented"][name], heads["plain"][name]) for name in changed)


def test_real_recordings_are_learned_under_all_effects(tmp_path, digits):
    recipe = default_recipe("command", "convnet")
    recipe = replace(recipe, data=replace(recipe.data, path=str(digits)))
    recipe = with_settings(recipe, ["fit.epochs=2", "fit.crops_per_clip=1", "fit.batch=8", *ALL])
    losses = []
    done = train(
        recipe, out=tmp_path / "run", device="cpu", listener=Listener(fit=lambda told: losses.append(told.loss))
    )
    assert np.isfinite(losses).all()
    assert 0 < done.validation["loss"] < 10


@given(
    st.integers(0, 2**31),
    st.integers(2, 6),
    st.sampled_from(["cross_entropy", "focal"]),
    st.sampled_from(["none", "balanced"]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([0.0, 0.7]),
)
@settings(max_examples=60, deadline=None)
def test_soft_targets_are_their_formula_and_hard_ones_where_they_are_hard(
    seed, classes, kind, weighting, smoothing, adjustment
):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 1000, classes)
    logits, targets = rng.normal(0, 2, (9, classes)), rng.integers(classes, size=9)
    shares = rng.dirichlet(np.ones(classes), 9)
    how = replace(
        FitRecipe(),
        loss=kind,
        class_weights=weighting,
        label_smoothing=smoothing,
        logit_adjustment=adjustment,
        focal_gamma=1.5,
    )
    loss = Loss(how, counts, torch.device("cpu"))
    x = torch.tensor(logits)
    hard = float(loss(x, torch.tensor(targets)))
    assert float(loss(x, F.one_hot(torch.tensor(targets), classes).float())) == pytest.approx(hard, rel=1e-5)

    prior = counts / counts.sum()
    moved = logits + adjustment * np.log(prior)
    scores = np.exp(moved) / np.exp(moved).sum(axis=1, keepdims=True)
    weights = 1 / (classes * prior) if weighting == "balanced" else np.ones(classes)
    total = 0.0
    for row in range(9):
        for label in range(classes):
            share = shares[row, label]
            if kind == "cross_entropy":
                share = (1 - smoothing) * share + smoothing / classes
                total -= weights[label] * share * np.log(scores[row, label])
            else:
                score = scores[row, label]
                total -= weights[label] * share * (1 - score) ** 1.5 * np.log(score)
    expected = total / (shares @ weights).sum()
    assert float(loss(x, torch.tensor(shares))) == pytest.approx(expected, rel=1e-5)
