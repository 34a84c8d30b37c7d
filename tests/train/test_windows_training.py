"""A net learns words amid background: the class `background` reaches head, metrics, checkpoint and card."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from xfer.export.describe import card_of
from xfer.export.formats import FORMS
from xfer.train.checkpoint import load
from xfer.train.recipe import Recipe, default_recipe, with_settings
from xfer.train.runs import Run
from xfer.train.training import train

EASY = ("windows.snr_db=[15, 30]", 'windows.sources=["recordings", "silence"]', "windows.background_share=0.4")
"""So that a few epochs are enough."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two words of 0.4 s that differ in pitch, and two rooms, in the form of Speech Commands."""
    root = tmp_path_factory.mktemp("commands")
    rng = np.random.default_rng(0)
    sides: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for word, pitch in (("low", 250.0), ("high", 2500.0)):
        (root / word).mkdir()
        for i in range(8):
            name = f"{word}/{i:08x}_nohash_0.wav"
            t = np.arange(6400) / 16000
            wave = 0.3 * np.sin(2 * np.pi * pitch * rng.uniform(0.9, 1.1) * t) + rng.normal(0, 0.001, 6400)
            soundfile.write(root / name, wave, 16000)
            if i >= 4:
                sides["validation_list.txt" if i < 6 else "testing_list.txt"].append(name)
    (root / "_background_noise_").mkdir()
    for name in ("fan", "street"):
        soundfile.write(root / "_background_noise_" / f"{name}.wav", rng.normal(0, 0.02, 480_000), 16000)
    for name, lines in sides.items():
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def recipe_of(commands: Path, *settings: str) -> Recipe:
    recipe = default_recipe("command", "convnet")
    recipe = replace(recipe, data=replace(recipe.data, path=str(commands)))
    return with_settings(recipe, ["fit.batch=4", "fit.gain_db=[-6, 6]", "fit.crops_per_clip=1", *EASY, *settings])


@pytest.mark.slow
def test_xfer_train_learns_background_as_a_class(commands: Path, tmp_path: Path) -> None:
    words = [word for setting in ("fit.batch=4", "fit.gain_db=[-6, 6]", *EASY) for word in ("--set", setting)]
    words += [
        "--set",
        "fit.crops_per_clip=2",
        "--epochs",
        "5",
        "--device",
        "cpu",
        "--json",
        "--out",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "xfer.cli", "train", str(commands), *words],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"XFER_HOME": str(tmp_path / "home")},
    )
    result = json.loads(done.stdout)
    checkpoint = load(result["checkpoint"])
    assert checkpoint.labels == ("background", "high", "low")
    assert checkpoint.recipe["windows"]["short"] == "place"
    assert checkpoint.recipe["windows"]["background"] == "yes"
    assert set(result["validation"]["recall"]) == set(checkpoint.labels)
    assert result["test"]["clip_accuracy"] == 1.0
    with torch.no_grad():
        scores = checkpoint.net(torch.zeros(1, checkpoint.net.window)).logits.softmax(1)[0]
    assert int(scores.argmax()) == 0, "silence is background"
    card = card_of(checkpoint, "command", FORMS[0])
    assert (card.labels, card.short) == (checkpoint.labels, "place")


def test_a_new_head_learns_background_too(commands: Path, tmp_path: Path) -> None:
    source = train(recipe_of(commands, "fit.crops_per_clip=1", "fit.epochs=1"), out=tmp_path / "source", device="cpu")
    transfer = ["transfer.method=head", f"transfer.source={source.run.best}", "transfer.augmentations=1"]
    done = train(recipe_of(commands, *transfer, "fit.epochs=2"), out=tmp_path / "run", device="cpu")
    assert load(done.run.folder).labels == ("background", "high", "low")
    assert set(done.validation["recall"]) == {"background", "high", "low"}


def test_a_run_that_is_resumed_keeps_its_windows(commands: Path, tmp_path: Path) -> None:
    """Whatever `auto` meant when it began is in the run's recipe."""
    first = train(recipe_of(commands, "fit.schedule=constant", "fit.epochs=1"), out=tmp_path / "first", device="cpu")
    shutil.copytree(first.run.folder, tmp_path / "a", ignore=shutil.ignore_patterns(".lock"))
    stored = tmp_path / "a" / "recipe.toml"
    assert 'short = "place"' in stored.read_text()
    stored.write_text(stored.read_text().replace("epochs = 1", "epochs = 2"))
    resumed = train(Run(tmp_path / "a").recipe, resume=tmp_path / "a", device="cpu")
    whole = train(recipe_of(commands, "fit.schedule=constant", "fit.epochs=2"), out=tmp_path / "b", device="cpu")
    assert resumed.run.last.read_bytes() == whole.run.last.read_bytes()
