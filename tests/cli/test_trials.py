"""Speakers by the command line: some held out, a list of trials made, taken and refused, AS-norm beside the cosine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.test_way import xfer
from xfer.cli.app import app
from xfer.runtime.errors import Unusable

LEARN = ("--epochs", 1, "--set", "fit.batch=8", "--set", "fit.crops_per_clip=1", "--no-preflight")
HOW = ("--set", "data.held_out=2", "--set", "options.head=cosine", "--set", "fit.margin=0.2")


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """Six 'speakers' who differ in pitch, four clips each, and a run that never heard two of them."""
    root = tmp_path_factory.mktemp("voices")
    rng = np.random.default_rng(0)
    for k in range(6):
        (root / "data" / f"voice{k}").mkdir(parents=True)
        for i in range(4):
            t = np.arange(11025) / 22050
            wave = 0.3 * np.sin(2 * np.pi * 150 * 1.6**k * rng.uniform(0.97, 1.03) * t)
            soundfile.write(root / "data" / f"voice{k}" / f"{i}.wav", wave + rng.normal(0, 0.01, len(t)), 22050)
    shown = xfer(root, "train", "data", "--task", "speaker", "--net", "convnet", "--out", "run", *HOW, *LEARN)
    assert shown.returncode == 0, shown.stderr
    assert "held out of training: 2 of 6 classes" in shown.stderr
    return root


def evaluate(root: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return xfer(root, "eval", "run", "data", "--task", "speaker", *words)


def test_a_list_is_made_of_whom_it_never_heard_and_gives_the_same_when_it_is_taken(voices):
    made = evaluate(voices, "--write-trials", "list.txt", "--json")
    assert made.returncode == 0, made.stderr
    lines = (voices / "list.txt").read_text().splitlines()
    names = {word for line in lines for word in line.split()[1:]}
    table = (voices / "run" / "split.csv").read_text().splitlines()[1:]
    held = {line.split(",")[0] for line in table if line.endswith(",")}
    assert len(held) == 8
    assert names <= held
    taken = evaluate(voices, "--trials", "list.txt", "--json")
    first, second = (json.loads(each.stdout) for each in (made, taken))
    for key in (
        "eer",
        "eer_interval",
        "min_dcf",
        "min_dcf_interval",
        "eer_asnorm",
        "min_dcf_asnorm",
        "trials",
        "cohort",
    ):
        assert first[key] == second[key], key
    assert first["trials"] == len(lines) == 2 * first["targets"]
    assert first["cohort"] == {"data": "data", "speakers": 4, "top": 4}
    assert "clip_accuracy" not in second


def test_both_ways_of_scoring_stand_in_the_table(voices):
    shown = evaluate(voices)
    assert "EER " in shown.stdout
    assert "with AS-norm" in shown.stdout
    assert "clips right" in shown.stdout
    assert "2 speakers that it never heard" in shown.stderr


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("no.txt", 3, "--write-trials FILE makes one"),
        ("bad.txt", 2, "bad.txt, line 1: the data set has no usable clip"),
    ],
)
def test_a_list_that_is_none_is_refused(voices, name, code, says):
    (voices / "bad.txt").write_text("1 voice0/0.wav voice0/99.wav\n")
    done = evaluate(voices, "--trials", name)
    assert (done.returncode, says in " ".join(done.stderr.split())) == (code, True), done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--trials", "a.txt", "--side", "test"), "leave --side out"),
        (("--trials", "a.txt", "--write-trials", "b.txt"), "leave one of them out"),
        (("--trials", "a.txt", "--stream"), "leave --trials"),
        (("--cohort", "others", "--stream"), "--cohort out"),
    ],
)
def test_options_without_effect_are_refused(words, says, capsys):
    with pytest.raises(Unusable, match=says):
        app(["eval", "run", "data", *words], standalone_mode=False)
