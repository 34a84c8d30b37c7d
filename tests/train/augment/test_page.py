"""`xfer data --augment`: what is written can be read, heard and seen, and is what training would do."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from matplotlib import image

from xfer.cli import app
from xfer.train.augment.recipe import PROBABILITIES

FILES = {"as-it-is", "gain", *PROBABILITIES, "together"}


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))


@pytest.fixture
def run(capfd):
    def call(*words: object) -> tuple[int, str, str]:
        code = app.main(["data", *map(str, words)])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return call


class Links(HTMLParser):
    """Every address on a page, and what would run."""

    def __init__(self):
        super().__init__()
        self.found, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.found += [value for name, value in attributes if name in ("src", "href")]


def test_real_clips_before_and_after(run, tmp_path, digits):
    out = tmp_path / "seen"
    code, text, _ = run(digits, "--augment", out, "--json")
    assert code in (0, 1)  # the data set has copies in it
    assert json.loads(text)["augment"]["page"] == str(out / "index.html")
    folders = sorted(path for path in out.iterdir() if path.is_dir())
    assert len(folders) == 2
    for folder in folders:
        sounds = {path.stem: soundfile.read(path)[0] for path in folder.glob("*.wav")}
        assert set(sounds) == FILES
        plain = sounds.pop("as-it-is")
        assert {len(sound) for sound in sounds.values()} == {len(plain)}
        assert all(np.abs(sound - plain).max() > 1e-3 for sound in sounds.values())
        apart = [(a, b) for a in sounds for b in sounds if a < b and np.array_equal(sounds[a], sounds[b])]
        assert apart == []
        pixels = image.imread(folder / "sheet.png")
        assert min(pixels.shape[:2]) > 600
        assert pixels[..., :3].std() > 0.1
    page = (out / "index.html").read_text()
    links = Links()
    links.feed(page)
    assert "script" not in links.tags
    assert links.tags.count("audio") == 2 * len(FILES)
    beside = [link for link in links.found if not link.startswith(("data:", "#"))]
    assert len(beside) == 2 * (len(FILES) + 1)
    assert all((out / link).is_file() for link in beside)


def test_the_same_seed_gives_the_same_and_settings_count(run, tmp_path, digits):
    for name in ("a", "b"):
        run(digits, "--augment", tmp_path / name, "--set", "augment.room=0", "--set", "augment.speeds=[0.5]")
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path
    first = next(path for path in sorted((tmp_path / "a").iterdir()) if path.is_dir())
    assert {path.stem for path in first.glob("*.wav")} == FILES - {"room"}
    assert re.search(r"0\.5 times as fast", (tmp_path / "a" / "index.html").read_text())


def test_labels_that_are_no_file_names(run, tmp_path):
    root = tmp_path / "data"
    for label in ("<b>$x$ & y", "..up", "...", "a b…ü"):
        (root / label).mkdir(parents=True)
        for i in range(3):
            noise = np.random.default_rng([len(label), i]).normal(0, 0.1, 900)
            soundfile.write(root / label / f"{i}.wav", noise, 8000)
    out = tmp_path / "out" / "deep"
    run(root, "--augment", out)
    page = (out / "index.html").read_text()
    assert "<b>$x$" not in page
    assert {path.name for path in out.parent.iterdir()} == {"deep"}
    assert all(path.parent.parent == out for path in out.rglob("*.wav"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--augment", "{file}"], "name a folder"),
        (["--augment", "{full}"], "holds something"),
        (["--augment", "{file}/in"], "is a file"),
        (["--augment", "{new}", "--set", "augment.nois=1"], "augment.noise"),
        (["--augment", "{new}", "--set", "fit.epochs=1"], "augment"),
        (["--augment", "{new}", "--set", "augment.noise=7"], "from 0 to 1"),
        (["--set", "augment.noise=1"], "--augment DIR"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_decoded(run, tmp_path, tones, words, says):
    places = {"file": tmp_path / "file", "full": tmp_path / "full", "new": tmp_path / "new"}
    places["file"].write_text("here")
    places["full"].mkdir()
    (places["full"] / "mine.txt").write_text("mine")
    code, out, err = run(tones, *(word.format(**places) for word in words))
    assert code == 2
    assert says in err
    assert out == ""
    assert (places["full"] / "mine.txt").read_text() == "mine"
    assert not places["new"].exists()
    assert not (tmp_path / "home").exists()
