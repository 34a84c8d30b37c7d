"""The report of a training: its numbers against scikit-learn and by hand, its page safe and whole."""

from __future__ import annotations

import base64
import io
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from tests.train.tones import small
from xfer.train.checkpoint import load
from xfer.train.data.clips import Clip
from xfer.train.data.problems import Problem
from xfer.train.metrics import Heard
from xfer.train.report import gather, write_report
from xfer.train.report.document import document
from xfer.train.training import train

WICKED = "<script>alert('x')</script>"
ROWS = [
    {"epoch": n, "train_loss": 2.0 / n, "validation": {"loss": 1.5 / n, "clip_accuracy": 1 - 0.5 / n}}
    for n in (1, 2, 3)
]


def heard_of(scores: np.ndarray, truth: list[int]) -> Heard:
    return Heard(scores, np.arange(len(scores)), np.array(truth))


def report_of(heard: Heard, clips: list[Clip], labels: tuple[str, ...], **more):
    fields = {
        "title": f"sound: convnet on {WICKED}",
        "synthetic": True,
        "about": {"data": WICKED, "nothing": ""},
        "side": "test",
        "best_epoch": 2,
        "bands": None,
        "problems": (Problem("clipped", "warning", (Path("x.wav"),), f"{WICKED} is clipped"),),
        "recipe": "task = 'sound'",
    }
    return gather(heard, clips, labels, ROWS, **fields | more)


@pytest.fixture
def clips(tmp_path):
    found = []
    for number in range(6):
        path = tmp_path / f"{WICKED[:8].replace('/', '')}{number}.wav"
        soundfile.write(path, np.random.default_rng(number).uniform(-0.5, 0.5, 16000 * 8), 16000)
        found.append(Clip(path, "a", str(number)))
    return found


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(1, 40))
def test_the_matrix_is_scikit_learns_and_the_calibration_is_counted_by_hand(seed, classes, count):
    rng = np.random.default_rng(seed)
    scores, truth = rng.dirichlet(np.ones(classes), count), rng.integers(classes, size=count)
    labels = tuple("abcdef"[:classes])
    clips = [Clip(Path(str(n)), "", "") for n in range(count)]
    found = report_of(heard_of(scores, truth.tolist()), clips, labels)
    there = [labels.index(label) for label in found.labels]
    assert np.array_equal(found.confusion, confusion_matrix(truth, scores.argmax(axis=1), labels=there))
    right, confidence = scores.argmax(axis=1) == truth, scores.max(axis=1)
    error = 0.0
    for low in range(10):
        mine = [n for n in range(count) if min(int(confidence[n] * 10), 9) == low]
        if mine:
            error += len(mine) / count * abs(right[mine].mean() - confidence[mine].mean())
    assert found.calibration_error == pytest.approx(error)
    assert sum(each.clips for each in found.calibration) == count


def test_the_surest_mistakes_come_first_one_of_each_kind(clips):
    scores = np.array([[0.1, 0.9, 0], [0.2, 0.8, 0], [0, 0.3, 0.7], [0.6, 0.4, 0], [0.05, 0.95, 0], [0.0, 0.0, 1.0]])
    found = report_of(heard_of(scores, [0, 0, 0, 0, 1, 2]), clips, ("a", "b", "c"))
    assert [(each.label, each.taken_for, each.score) for each in found.mistakes] == [
        ("a", "b", 0.9),
        ("a", "c", 0.7),
        ("a", "b", 0.8),
    ]
    assert found.mistakes[0].own_score == pytest.approx(0.1)


class Reader(HTMLParser):
    """Tags that open and close, what they load, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attributes):
        if tag not in {"meta", "br", "img"}:
            self.open.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href") and value]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_well_formed_loads_nothing_and_runs_nothing(clips):
    scores = np.tile([0.1, 0.9], (6, 1))
    page = document(report_of(heard_of(scores, [0] * 6), clips, (WICKED, "b")))
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert "script" not in re.findall(r"<\s*(\w+)", page)
    assert WICKED in reader.text
    assert reader.sources
    assert all(source.startswith("data:") for source in reader.sources)
    assert "default-src 'none'" in unescape(page)
    assert "SYNTHETIC" in reader.text
    sound = next(source for source in reader.sources if source.startswith("data:audio/ogg"))
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound.partition(",")[2])))
    assert (rate, len(samples)) == (16000, 6 * 16000)


def test_a_recording_that_vanished_is_named_where_it_would_be_played(clips):
    report = report_of(heard_of(np.tile([0.1, 0.9], (6, 1)), [0] * 6), clips, ("a", "b"))
    report.mistakes[0].clip.path.unlink()
    assert "does not exist" in document(report)


def test_many_classes_still_make_a_page(clips):
    classes = 120
    labels = tuple(f"class {n:03}" for n in range(classes))
    rng = np.random.default_rng(0)
    truth = rng.integers(classes, size=500)
    many = [Clip(clips[n % 6].path, "", "") for n in range(500)]
    page = document(report_of(heard_of(rng.dirichlet(np.ones(classes), 500), truth.tolist()), many, labels))
    assert "more classes" in page
    assert len(page) < 4_000_000


@pytest.mark.parametrize("net", ["convnet", "rawnet2"])
def test_a_training_leaves_a_report_of_its_own_numbers(net, tones, tmp_path):
    if net == "convnet":
        recipe = small(tones)
    else:
        from dataclasses import replace

        from xfer.train.recipe import default_recipe, with_settings

        recipe = replace(default_recipe("sound", net), data=small(tones).data)
        plain = ["windows.short=tile", "windows.background=no"]
        recipe = with_settings(recipe, ["fit.batch=4", "fit.epochs=1", "fit.crop=6561", *plain])
    done = train(recipe, out=tmp_path / "run", device="cpu")
    found = json.loads((tmp_path / "run/report.json").read_text())
    assert found["side"] == "test"
    assert found["metrics"] == done.test == load(done.run.best).metrics["test"]
    assert sum(map(sum, found["confusion"])) == done.test["clips"]
    assert [each["epoch"] for each in found["epochs"]] == list(range(1, recipe.fit.epochs + 1))
    assert found["best_epoch"] == done.best_epoch
    text = (tmp_path / "run/report.md").read_text()
    assert f"{done.test['clip_accuracy']:.1%} of {done.test['clips']} clips right" in text
    assert "torch" in found["about"]["machine"]
    if net == "rawnet2":
        before, after = (np.array(found["sinc_bands"][key]) for key in ("before", "after"))
        assert before.shape == after.shape == (128, 2)
        assert before[0] == pytest.approx([80.0, 144.2], abs=0.1)  # FACTS.md section 10
        assert not np.array_equal(before, after)
    else:
        assert found["sinc_bands"] is None
    assert (tmp_path / "run/report.html").stat().st_size > 5000


def test_write_report_takes_names_that_are_no_text(clips, tmp_path):
    odd = Clip(Path("/data/caf\udce9.wav"), "a", "g")
    report = report_of(heard_of(np.array([[0.1, 0.9]]), [0]), [odd], ("a", "b"))
    page = write_report(report, tmp_path / "run")
    assert page.is_file()
    assert json.loads((tmp_path / "run/report.json").read_bytes().decode(errors="replace"))["mistakes"]
