"""The page: whole and well-formed whatever a label holds, loading nothing, with pictures that show what was heard."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.recordings import recordings
from tests.train.seen import Seen, fact, facts_of, seen
from xfer.train.data import page
from xfer.train.data.clips import Clip
from xfer.train.data.layouts import read
from xfer.train.data.page import write_page
from xfer.train.data.page.document import IN_FULL, document
from xfer.train.data.page.examples import COLUMNS, RANGE_DB, ROWS, choose, example, outline, spectrogram
from xfer.train.data.problems import Problem
from xfer.train.data.summary import summarise
from xfer.train.page.markup import element
from xfer.train.page.png import palette, png

EVIL = "<script>alert('x')</script>&\"\x1b[31m"
VOID = {"meta", "br", "img"}


class Strict(HTMLParser):
    """Every tag is closed in its turn; texts, attributes and ids are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def parsed(text: str) -> Strict:
    reader = Strict()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert text.startswith("<!DOCTYPE html>")
    # Nothing is run, nothing is loaded.
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    for name, value in reader.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "href", "xlink:href") or (value or "").startswith("data:image/png;base64,")
    assert "url(" not in "".join(reader.texts["style"])
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    return reader


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    data = read(recordings("music_fma_layout"))
    # Of each genre a few; all 215 would be 52 minutes of sound to measure.
    clips = [clip for label in data.labels for clip in [c for c in data.clips if c.label == label][:3]]
    found = Seen(data.with_clips(tuple(clips)), [facts_of(clip.path) for clip in clips])
    file = tmp_path_factory.mktemp("page") / "music.html"
    told: list[tuple[str, int, int]] = []
    write_page(found, summarise(found), file, lambda *words: told.append(words))
    assert told[-1] == ("drawing examples", 7, 7)
    return file.read_text(encoding="utf-8")


def test_a_page_of_real_music_is_whole(music):
    reader = parsed(music)
    assert reader.tags.count("image") == 7
    assert [text for text in reader.texts["h3"] if text in ("Folk", "Metal")] == ["Folk", "Metal"]
    labels = " ".join(reader.texts["text"])
    for unit in ("time (s)", "frequency (kHz)", "amplitude", "dBFS", "clips", "length (s)"):
        assert unit in labels
    assert "prefers-color-scheme: dark" in "".join(reader.texts["style"])
    assert "SYNTHETIC" not in music


def test_labels_and_paths_are_text(tmp_path):
    wav = tmp_path / "'><img src=x onerror=alert(1)>.wav"
    soundfile.write(wav, np.sin(np.arange(8000) / 10) * 0.5, 16_000)
    clips = [Clip(wav, EVIL, EVIL, "train"), Clip(Path("\udcff.wav"), "b", "b", "train")]
    problems = [Problem("label", "error", (wav,), f"the label {EVIL} is odd")]
    found = seen(clips, [fact(), fact(fault="unreadable")], problems, tmp_path, notes=(EVIL,), licence=EVIL)
    write_page(found, summarise(found), tmp_path / "page.html")
    reader = parsed((tmp_path / "page.html").read_text(encoding="utf-8"))
    shown = EVIL.replace("\x1b", r"\x1b")
    assert reader.texts["h3"].count(shown) == 1
    assert shown in reader.texts["td"]
    assert any(wav.name in text for text in reader.texts["span"])


def test_synthetic_data_says_so_in_the_title():
    clips = [Clip(Path(f"{i}.wav"), "a", f"{i}") for i in range(3)]
    reader = parsed(document(summarise(seen(clips, synthetic=True)), {}))
    assert "SYNTHETIC" in reader.texts["title"][0]
    assert "SYNTHETIC" in reader.texts["span"]


def test_many_classes_and_problems_are_folded_and_nothing_is_lost_in_silence(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PICTURES", IN_FULL + 10)
    samples = np.random.default_rng(0).normal(0, 0.1, 4000)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    clips = [Clip(tmp_path / "a.wav", f"c{i:03}", f"{i}", "train") for i in range(IN_FULL + 30)]
    problems = [Problem("few", "error", (Path(f"{i}.wav"),), f"{i}.wav is alone") for i in range(130)]
    found = seen(clips, problems=problems)
    write_page(found, summarise(found), tmp_path / "page.html")
    reader = parsed((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert reader.tags.count("image") == IN_FULL + 10
    assert {"30 more classes", "10 more classes"} <= set(reader.texts["summary"])
    assert "20 of 80 classes have no picture here." in reader.texts["p"]
    assert "... and 30 more (--json lists all)" in reader.texts["li"]
    assert sum(text in {clip.label for clip in clips} for text in reader.texts["td"]) == IN_FULL + 30


def test_a_page_is_there_whole_or_not_at_all(tmp_path):
    (tmp_path / "page.html").write_text("old")
    found = seen([Clip(tmp_path / "gone.wav", "a", "a")])

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_page(found, summarise(found), tmp_path / "page.html", stop)
    assert (tmp_path / "page.html").read_text() == "old"
    write_page(found, summarise(found), tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert "gone.wav does not exist" in (tmp_path / "page.html").read_text()


def test_an_example_is_one_that_shows_something():
    clips = [Clip(Path(f"{i}.wav"), "a", f"{i}") for i in range(4)] + [Clip(Path("4.wav"), "b", "4")]
    facts = [fact(fault="silent"), fact(level=-60), fact(level=-20), fact(level=-10), fact(fault="empty")]
    assert choose(clips, facts) == {"a": clips[2]}
    assert choose(clips[:2], facts[:2]) == {"a": clips[1]}


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000])
def test_a_sine_stands_at_its_frequency_and_level(tmp_path, rate):
    frequency, seconds = rate / 8, 2.0
    sine = 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)
    soundfile.write(tmp_path / "sine.wav", sine, rate, subtype="FLOAT")
    found = example(Clip(tmp_path / "sine.wav", "a", "a"))
    assert (found.rate, found.seconds, found.whole) == (rate, seconds, True)
    assert found.window == {8000: 256, 16_000: 512, 22_050: 1024, 44_100: 2048, 48_000: 2048}[rate]
    assert found.top_dbfs == pytest.approx(20 * np.log10(0.5), abs=0.1)
    rows = len(found.pixels)
    # The top row is half the rate, the bottom row 0: the sine is a quarter of the way up.
    for column in (0.25, 0.5, 0.75):
        brightest = int(found.pixels[:, int(column * found.pixels.shape[1])].argmax())
        assert 1 - (brightest + 0.5) / rows == pytest.approx(0.25, abs=1.5 / rows)
    assert found.high.max() == pytest.approx(0.5, abs=1e-3)
    assert found.low.min() == pytest.approx(-0.5, abs=1e-3)


def test_levels_of_the_picture_are_decibels():
    """Two sines 40 dB apart stand half the range apart."""
    time = np.arange(32_000) / 16_000
    samples = (np.sin(2 * np.pi * 1000 * time) + 0.01 * np.sin(2 * np.pi * 5000 * time)).astype(np.float32)
    pixels, _ = spectrogram(samples, 512)
    upper, lower = pixels[: len(pixels) // 2].max(axis=0)[5:-5], pixels[len(pixels) // 2 :].max(axis=0)[5:-5]
    assert np.all(lower >= 253)
    assert upper.astype(float) == pytest.approx(255 * (1 - 40 / RANGE_DB), abs=5)


def test_time_runs_to_the_right(tmp_path):
    samples = np.zeros(16_000)
    samples[12_000:12_100] = 0.9
    soundfile.write(tmp_path / "click.wav", samples, 16_000)
    found = example(Clip(tmp_path / "click.wav", "a", "a"))
    assert int(found.pixels.max(axis=0).argmax()) / found.pixels.shape[1] == pytest.approx(0.75, abs=0.03)
    assert int(found.high.argmax()) / len(found.high) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("length", [1, 2, 299, 300, 301, 100_000])
def test_outlines_and_pictures_of_any_length(length):
    samples = np.random.default_rng(length).normal(size=length).astype(np.float32)
    low, high = outline(samples)
    assert len(low) == min(length, COLUMNS)
    assert (low.min(), high.max()) == (samples.min(), samples.max())
    assert np.all(low <= high)
    pixels, _ = spectrogram(samples, 512)
    assert pixels.shape[0] == ROWS
    assert 1 <= pixels.shape[1] <= COLUMNS


def test_only_the_stretch_of_the_clip_is_shown(tmp_path):
    samples = np.repeat([0.1, 0.5, 0.2], 16_000)
    soundfile.write(tmp_path / "three.wav", samples, 16_000)
    found = example(Clip(tmp_path / "three.wav", "a", "a", offset=1.0, duration=1.0))
    assert found.seconds == 1.0
    assert found.low == pytest.approx(0.5, abs=1e-3)
    assert found.high == pytest.approx(0.5, abs=1e-3)
    assert found.whole


def test_of_a_long_clip_the_beginning(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.full(40 * 8000, 0.1), 8000)
    found = example(Clip(tmp_path / "long.wav", "a", "a"))
    assert (found.seconds, found.whole) == (30.0, False)


def test_png_by_its_specification():
    shades = np.random.default_rng(0).integers(0, 256, (7, 5), dtype=np.uint8)
    file = png(shades)
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(file):
        (size,) = struct.unpack(">I", file[at : at + 4])
        name, body = file[at + 4 : at + 8], file[at + 8 : at + 8 + size]
        assert struct.unpack(">I", file[at + 8 + size : at + 12 + size])[0] == zlib.crc32(name + body)
        chunks[name], at = body, at + 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]


def test_png_as_another_library_reads_it():
    pillow = pytest.importorskip("PIL.Image")
    import io

    shades = np.random.default_rng(0).integers(0, 256, (110, 300), dtype=np.uint8)
    image = pillow.open(io.BytesIO(png(shades)))
    assert image.size == (300, 110)
    assert np.array_equal(np.asarray(image.convert("RGB")), palette()[shades])


def test_pictures_in_a_page_are_small(music):
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", music)
    assert len(pictures) == 7
    assert all(len(base64.b64decode(picture)) < 40_000 for picture in pictures)


def test_markup_escapes_all_but_markup():
    inner = element("b", "<", x='"<')
    assert inner == '<b x="&quot;&lt;">&lt;</b>'
    assert element("p", inner, "&", None, 1234, ["a", inner]) == f"<p>{inner}&amp;1,234a{inner}</p>"
    assert element("rect", stroke_width=1 / 3, class_="a", y=None) == '<rect stroke-width="0.33" class="a"></rect>'
