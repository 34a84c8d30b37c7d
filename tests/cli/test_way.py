"""The whole way by the command line, as a new user types it: train, export, verify, listen; and how it ends badly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder to work in, with a data set of two classes: low and high tones, a bad file among them."""
    root = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    for label, low in (("low", 200.0), ("high", 2000.0)):
        (root / "data" / label).mkdir(parents=True)
        for i in range(6):
            t = np.arange(11025) / 22050
            wave = 0.3 * np.sin(2 * np.pi * low * rng.uniform(0.9, 1.1) * t) + rng.normal(0, 0.01, len(t))
            soundfile.write(root / "data" / label / f"{i}.wav", wave, 22050)
    (root / "data" / "low" / "broken.wav").write_text("no recording")
    return root


def start(home: Path, *words: object, **more: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "XFER_HOME": str(home / "home"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "xfer.cli", *map(str, words)]
    return subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def xfer(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    process = start(home, *words)
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(words, process.returncode, out, err)


PLAIN = ("--set", "windows.short=tile", "--set", "windows.background=no")
"""Two classes and no third: three epochs are enough."""
TRAIN = ("train", "data", "--task", "sound", "--net", "convnet", "--set", "fit.crops_per_clip=2", *PLAIN)


@pytest.fixture(scope="module")
def way(home):
    """What train and export said."""
    train = xfer(home, *TRAIN, "--epochs", 3)
    export = xfer(home, "export", "--format", "onnx", "--json")
    return train, export


def test_train_names_what_it_leaves_out_and_what_comes_next(way, home):
    train, _ = way
    assert train.returncode == 0, train.stderr
    assert "broken.wav" in train.stderr
    assert "1 of 13 recordings are left out" in train.stderr
    assert "xfer export" in train.stderr
    assert "best.safetensors" in train.stdout
    assert len(list(home.glob("runs/sound-convnet-*"))) == 1


def test_export_takes_the_newest_finished_run(way, home):
    _, export = way
    assert export.returncode == 0, export.stderr
    document = json.loads(export.stdout)
    assert document["path"] == "models/sound.onnx"
    assert (home / "models/sound.onnx").is_file()


@pytest.mark.parametrize("label", ["low", "high"])
def test_the_exported_model_verifies_and_hears(way, home, label):
    assert xfer(home, "verify", "models/sound.onnx").returncode == 0
    listened = xfer(home, "listen", f"data/{label}/0.wav", "--task", "sound", "--jsonl")
    assert [json.loads(line)["label"] for line in listened.stdout.splitlines()] == [label]


def test_models_lists_it(way, home):
    found = json.loads(xfer(home, "models", "--json").stdout)["models"]
    mine = next(entry for entry in found if entry["path"] == "models/sound.onnx")
    assert (mine["task"], mine["net"], mine["classes"]) == ("sound", "convnet", 2)


def test_eval_says_the_same_of_the_checkpoint_and_of_the_file(way, home):
    run = next(home.glob("runs/sound-convnet-*"))
    found = []
    for model in (run, "models/sound.onnx"):
        done = xfer(home, "eval", model, "data", "--task", "sound", "--side", "all", "--json")
        assert done.returncode == 0, done.stderr
        assert "left out" in done.stderr
        found.append(json.loads(done.stdout))
    torch_says, onnx_says = found
    assert "torch" in torch_says["engine"]
    assert "ONNX Runtime" in onnx_says["engine"]
    for key in ("clips", "windows", "classes", "clip_accuracy", "clip_accuracy_interval", "macro_f1", "per_class"):
        assert torch_says[key] == onnx_says[key], key
    assert torch_says["clips"] == 12
    shown = xfer(home, "eval", run, "data", "--task", "sound", "--side", "train")
    assert "clips right" in shown.stdout
    assert xfer(home, "eval", run, "data", "--side", "tset").returncode == 2
    assert xfer(home, "eval", "models/none.onnx", "data").returncode == 3


def test_transfer_takes_the_net_of_its_source(way, home):
    run = next(home.glob("runs/sound-convnet-*"))
    done = xfer(home, "train", "data", "--from", run, "--transfer", "head", "--epochs", 5, "--out", "moved", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["net"] == "convnet"
    other = xfer(home, "train", "data", "--from", run, "--transfer", "head", "--net", "rawnet2")
    assert other.returncode == 2
    assert "convnet" in other.stderr


def test_a_stored_recipe_trains_again_and_gives_the_same_weights(way, home):
    run = next(home.glob("runs/sound-convnet-*"))
    done = xfer(home, "train", "--recipe", run / "recipe.toml", "--out", "again")
    assert done.returncode == 0, done.stderr
    assert (home / "again/best.safetensors").read_bytes() == (run / "best.safetensors").read_bytes()


def test_options_without_effect_are_refused(way, home):
    run = next(home.glob("runs/sound-convnet-*"))
    for words in (("--resume", run, "--epochs", 9), ("--recipe", run / "recipe.toml", "--net", "rawnet2")):
        refused = xfer(home, "train", *words)
        assert refused.returncode == 2
        assert f"leave {words[2]} out" in refused.stderr


def test_two_at_once_make_two_runs(home):
    pair = [start(home, *TRAIN, "--epochs", 1, "--set", "fit.crops_per_clip=1") for _ in range(2)]
    for process in pair:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    finished = [path for path in home.glob("runs/*/run.json") if json.loads(path.read_text())["state"] == "finished"]
    assert len(finished) >= 2


def test_ctrl_c_keeps_the_epoch_and_resume_goes_on(home):
    process = start(home, *TRAIN, "--epochs", 500, "--out", "stopped")
    until = time.monotonic() + 120
    while not (home / "stopped/last.safetensors").exists() and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "xfer train --resume stopped" in err
    assert "Traceback" not in err
    epochs = json.loads((home / "stopped/last.json").read_text())["progress"]["epoch"]
    recipe = home / "stopped/recipe.toml"
    recipe.write_text(recipe.read_text().replace("epochs = 500", f"epochs = {epochs + 1}"))
    assert xfer(home, "train", "--resume", "stopped").returncode == 0
    assert json.loads((home / "stopped/last.json").read_text())["progress"]["epoch"] == epochs + 1


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="a full disk needs root and mount")
def test_a_disk_that_fills_while_training_leaves_no_half_file(home):
    small = home / "small"
    small.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(small)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"mount is refused here: {done.stderr.strip()}")
    try:
        trained = xfer(home, *TRAIN, "--epochs", 1, "--out", "small/run")
        assert trained.returncode == 3
        assert "disk is full" in trained.stderr
        assert not list(small.rglob("*.safetensors*"))
    finally:
        subprocess.run(["umount", str(small)], check=False)


@pytest.mark.parametrize(
    ("tree", "codes"),
    [({}, {2}), ({"a": 4}, {2}), ({"a": 1, "b": 1}, {2})],
    ids=["nothing", "one class", "one clip a class"],
)
def test_hopeless_data(home, tmp_path, tree, codes):
    source = home / "data/low/0.wav"
    for label, count in tree.items():
        (tmp_path / label).mkdir()
        for i in range(count):
            shutil.copy(source, tmp_path / label / f"{i}.wav")
    done = xfer(home, "train", tmp_path, "--task", "sound", "--net", "convnet", "--out", tmp_path / "run")
    assert done.returncode in codes
    assert not (tmp_path / "run").exists()
