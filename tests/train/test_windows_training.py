"""A net learns words amid background: the class `background` reaches head, metrics, checkpoint and card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from xfer.export.describe import card_of
from xfer.export.formats import FORMS
from xfer.train.checkpoint import load
from xfer.train.recipe import default_recipe, with_settings
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


@pytest.mark.parametrize("method", ["scratch", "head"])
def test_background_is_learned_as_a_class(method: str, commands: Path, tmp_path: Path) -> None:
    recipe = default_recipe("command", "convnet")
    recipe = replace(recipe, data=replace(recipe.data, path=str(commands)))
    settings = ["fit.batch=4", "fit.epochs=5", "fit.crops_per_clip=2", "fit.gain_db=[-6, 6]", *EASY]
    if method == "head":
        source = train(with_settings(recipe, [*settings, "fit.epochs=1"]), out=tmp_path / "source", device="cpu")
        settings += ["transfer.method=head", f"transfer.source={source.run.best}", "fit.epochs=3"]
    done = train(with_settings(recipe, settings), out=tmp_path / "run", device="cpu")
    assert done.run.recipe.windows.short == "place"
    assert done.run.recipe.windows.background == "yes"
    checkpoint = load(done.run.folder)
    assert checkpoint.labels == ("background", "high", "low")
    assert checkpoint.net.classes == 3
    assert set(done.validation["recall"]) == set(checkpoint.labels)
    card = card_of(checkpoint, "command", FORMS[0])
    assert (card.labels, card.short) == (checkpoint.labels, "place")
    if method == "scratch":
        assert done.test is not None
        assert done.test["clip_accuracy"] == 1.0
        with torch.no_grad():
            scores = checkpoint.net(torch.zeros(1, checkpoint.net.window)).logits.softmax(1)[0]
        assert int(scores.argmax()) == 0, "silence is background"


def test_a_run_that_is_resumed_keeps_its_windows(commands: Path, tmp_path: Path) -> None:
    """Whatever `auto` meant when it began is in the run's recipe."""
    recipe = default_recipe("command", "convnet")
    recipe = replace(recipe, data=replace(recipe.data, path=str(commands)))
    settings = ["fit.batch=8", "fit.crops_per_clip=1", "fit.schedule=constant"]
    first = train(with_settings(recipe, [*settings, "fit.epochs=1"]), out=tmp_path / "a", device="cpu")
    text = (tmp_path / "a" / "recipe.toml").read_text()
    (tmp_path / "a" / "recipe.toml").write_text(text.replace("epochs = 1", "epochs = 2"))
    resumed = train(first.run.recipe, resume=tmp_path / "a", device="cpu")
    whole = train(with_settings(recipe, [*settings, "fit.epochs=2"]), out=tmp_path / "b", device="cpu")
    assert torch.equal(*(load(run.run.last).net.head[-1].weight for run in (resumed, whole)))
