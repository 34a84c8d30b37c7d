"""Layouts on the real recordings, in the form in which they stand."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.layouts import read
from xfer.train.data.splits import split
from xfer.train.data.waves import Waves
from xfer.train.recipe import DataRecipe


@pytest.mark.parametrize(
    ("name", "layout", "task", "net", "clips", "classes"),
    [
        ("libri_vctk_layout", "vctk", "speaker", "rawnet2", 362, 80),
        ("tts_vctk_layout", "vctk", "speaker", "rawnet2", 96, 16),
        ("esc10", "esc", "sound", "convnet", 320, 10),
        ("music_fma_layout", "fma", "genre", "convnet", 215, 7),
        ("spoken_digits", "speech_commands", "command", "convnet", 640, 10),
        ("wake_words", "speech_commands", "command", "convnet", 480, 6),
        ("debian_voices", "folders", "sound", "convnet", 700, 28),
    ],
)
def test_recognised_from_the_folders_own_marks(name, layout, task, net, clips, classes):
    data = read(recordings(name))
    assert (data.layout, data.task, data.net) == (layout, task, net)
    assert (len(data.clips), len(data.labels)) == (clips, classes)
    assert all(clip.path.is_file() for clip in data.clips)


def test_published_splits_are_kept():
    digits = read(recordings("spoken_digits"))
    listed = set((digits.root / "testing_list.txt").read_text().split())
    assert {clip.path.relative_to(digits.root).as_posix() for clip in digits.of("test")} == listed
    assert Counter(clip.split for clip in read(recordings("music_fma_layout")).clips) == {
        "train": 130,
        "validation": 43,
        "test": 42,
    }
    esc = read(recordings("esc10"))
    with (esc.root / "meta/esc50.csv").open() as rows:
        fold_4 = {row["filename"] for row in csv.DictReader(rows) if row["fold"] == "4"}
    assert {clip.path.name for clip in esc.of("test")} == fold_4


def test_no_speaker_of_speech_commands_is_on_both_sides():
    digits = read(recordings("spoken_digits"))
    assert not {clip.group for clip in digits.of("test")} & {clip.group for clip in digits.of("train")}


def test_labels_that_the_publisher_never_validates_get_a_validation_clip():
    data = split(read(recordings("libri_vctk_layout")), DataRecipe())
    assert {clip.label for clip in data.of("validation")} == set(data.labels)
    assert {clip.label for clip in data.of("train")} == set(data.labels)
    assert len(data.of("test")) == 87


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=4, max_size=60),
    st.integers(0, 100),
    st.floats(0.05, 0.5),
)
@settings(max_examples=200, deadline=None)
def test_no_group_is_split_and_no_label_loses_its_training(pairs, seed, share):
    from pathlib import Path

    clips = tuple(Clip(Path(f"{i}.wav"), f"label {a}", f"group {b}") for i, (a, b) in enumerate(pairs))
    data = DataSet("d", Path(), "folders", "sound", "convnet", clips)
    try:
        done = split(data, DataRecipe(validation_share=share, split_seed=seed, test_share=0.0))
    except Unusable:
        # Only where every label's clips share one group, or giving a group away would empty another label.
        assert not any(
            len({c.group for c in clips if c.label == label}) > 1
            and all(len({c.group for c in clips if c.label == other}) > 1 for other in data.labels)
            for label in data.labels
        )
        return
    assert [replace(clip, split=None) for clip in done.clips] == list(clips)
    sides = {clip.group: {c.split for c in done.clips if c.group == clip.group} for clip in done.clips}
    assert all(len(side) == 1 for side in sides.values())
    assert {clip.label for clip in done.of("train")} == set(data.labels)
    assert done == split(data, DataRecipe(validation_share=share, split_seed=seed, test_share=0.0))


@pytest.fixture
def tree(tmp_path):
    def make(**classes: int):
        for label, count in classes.items():
            (tmp_path / label).mkdir()
            for i in range(count):
                samples = np.random.default_rng(i).normal(0, 0.1, 8000)
                soundfile.write(tmp_path / label / f"{i}.wav", samples, 16000)
        return tmp_path

    return make


def test_bad_files_are_listed_and_left_out(tree):
    root = tree(a=3, b=3)
    (root / "a" / "text.wav").write_text("no recording")
    (root / "b" / "empty.wav").touch()
    soundfile.write(root / "b" / "silent.wav", np.zeros(8000), 16000)
    soundfile.write(root / "b" / "nan.wav", np.full(8000, np.nan), 16000, subtype="FLOAT")
    soundfile.write(root / "b" / "short.wav", np.ones(100) * 0.1, 16000)
    data, problems = Waves(16000).check(read(root))
    assert sorted(p.clip.path.name for p in problems) == ["empty.wav", "nan.wav", "short.wav", "silent.wav", "text.wav"]
    assert all(problem.left_out and str(problem.clip.path) in problem.message for problem in problems)
    assert len(data.clips) == 6


def test_nothing_but_bad_files_is_refused(tree):
    root = tree(a=0)
    (root / "a" / "text.wav").write_text("no recording")
    with pytest.raises(Unusable, match="none of its 1 recordings"):
        Waves(16000).check(read(root))


def test_one_clip_a_class_cannot_be_validated(tree):
    with pytest.raises(Unusable, match="validate"):
        split(read(tree(a=1, b=1)), DataRecipe())


def test_missing_and_foreign_folders(tmp_path):
    with pytest.raises(FileNotThere):
        read(tmp_path / "none")
    with pytest.raises(Unusable, match="no data set"):
        read(tmp_path)
    with pytest.raises(Unusable, match="vctk"):
        read(tmp_path, layout="vctkk")


def test_a_missing_column_is_named(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/esc50.csv").write_text("filename,fold,category\n")
    with pytest.raises(Unusable, match="src_file"):
        read(tmp_path)
