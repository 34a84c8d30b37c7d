"""Splits of data sets as their layouts read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.layouts import read
from xfer.train.data.splits import split
from xfer.train.recipe import DataRecipe


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


def test_one_clip_a_class_cannot_be_validated(tree):
    with pytest.raises(Unusable, match="validate"):
        split(read(tree(a=1, b=1)), DataRecipe())
