"""The hash of a data set: the same data, the same hash; anything else, another."""

from __future__ import annotations

import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.train.data.cache import Store
from xfer.train.data.check import check
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.digest import manifest_sha256
from xfer.train.data.layouts import read
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.splits import listed_in, split, write_split


def small(root: Path) -> Path:
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for k in range(6):
            sound = np.random.default_rng([k, ord(label)]).normal(0, 0.1, 8000 + k)
            soundfile.write(root / label / f"{k}.wav", sound, 8000)
    return root


def test_the_same_data_elsewhere_has_the_same_hash(tmp_path: Path) -> None:
    one = small(tmp_path / "one")
    two = tmp_path / "deep" / "er" / "two"
    shutil.copytree(one, two)
    for path in two.rglob("*.wav"):
        path.touch()
    assert manifest_sha256(read(one)) == manifest_sha256(read(two))


@given(st.randoms())
def test_the_order_of_clips_says_nothing(random: object) -> None:
    clips = [Clip(Path("/data") / f"{k}.wav", "a", "g", offset=float(k)) for k in range(12)]
    data = DataSet("d", Path("/data"), "folders", "sound", "", tuple(clips))
    random.shuffle(clips)  # type: ignore[attr-defined]
    assert manifest_sha256(data.with_clips(tuple(clips))) == manifest_sha256(data)


@pytest.mark.parametrize(
    "change",
    [
        {"label": "other"},
        {"offset": 0.5},
        {"duration": 0.5},
        {"split": "test"},
        {"member": "x.wav"},
        {"path": Path("/data/other.wav")},
    ],
)
def test_whatever_is_another_gives_another_hash(change: dict[str, object]) -> None:
    clips = tuple(Clip(Path("/data") / f"{k}.wav", "a", "g", split="train") for k in range(3))
    data = DataSet("d", Path("/data"), "folders", "sound", "", clips)
    other = data.with_clips((replace(clips[0], **change), *clips[1:]))  # type: ignore[arg-type]
    assert manifest_sha256(other) != manifest_sha256(data)
    assert manifest_sha256(data.with_clips(clips[1:])) != manifest_sha256(data)
    assert manifest_sha256(data.with_clips((*clips, clips[0]))) != manifest_sha256(data)
    assert manifest_sha256(replace(data, background=(Path("/data/fan.wav"),))) != manifest_sha256(data)


def test_a_file_of_another_size_is_another(tmp_path: Path) -> None:
    root = small(tmp_path / "one")
    before = manifest_sha256(read(root))
    soundfile.write(root / "a" / "0.wav", np.zeros(7000), 8000)
    assert manifest_sha256(read(root)) != before


def test_accents_as_macos_writes_them_are_the_same(tmp_path: Path) -> None:
    def named(form: str) -> str:
        clip = Clip(tmp_path / unicodedata.normalize(form, "é.wav"), unicodedata.normalize(form, "ü"), "g")
        return manifest_sha256(DataSet("d", tmp_path, "folders", "sound", "", (clip,)))

    assert named("NFC") == named("NFD")


def test_names_that_are_no_unicode_have_a_hash(tmp_path: Path) -> None:
    clip = Clip(tmp_path / "\udcff.wav", "a", "g")
    assert len(manifest_sha256(DataSet("d", tmp_path, "folders", "sound", "", (clip,)))) == 64


@pytest.mark.parametrize(
    ("name", "left"), [("libri_vctk_layout", ["p3[1-8]?"]), ("wake_words", ["alexa", "jarvis", "s*", "v*"])]
)
def test_what_training_hashed_is_what_export_finds_again(name: str, left: list[str], tmp_path: Path) -> None:
    """Through check, split and split.csv, as `train` and then `export` go."""
    root = tmp_path / "data"
    shutil.copytree(recordings(name), root, ignore=shutil.ignore_patterns(*left))
    broken = next(path for path in sorted(root.rglob("*")) if path.suffix in (".wav", ".flac") and path.stat().st_size)
    broken.write_bytes(b"no sound")
    how = DataRecipe(path=str(root))
    with Store(tmp_path / "cache") as store:
        placed = split(check(read(root), store).usable(), how)
    write_split(placed, tmp_path / "split.csv")
    again = listed_in(read(root), tmp_path / "split.csv")
    assert manifest_sha256(again) == manifest_sha256(placed)
