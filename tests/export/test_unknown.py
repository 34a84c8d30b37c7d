"""The threshold for unknown sound: what it promises, on whatever scores; and on a real net with real strangers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.export.unknown import LEAST, MOST, best_scores, calibrate, spread, strangers
from xfer.runtime.models import load_model, shipped_models
from xfer.train.data.clips import Clip
from xfer.train.data.layouts import read
from xfer.train.data.waves import Waves
from xfer.train.data.windows import Grid

scores = st.floats(0, 0.999)


@settings(deadline=None)
@given(st.lists(scores, min_size=LEAST, max_size=200), st.lists(scores, max_size=40), st.sampled_from([0.0, 0.05, 0.3]))
def test_no_more_than_the_target_and_no_stricter_than_needed(
    negatives: list[float], positives: list[float], target: float
) -> None:
    half = len(negatives) // 2
    found = calibrate({"a": np.array(negatives[:half]), "b": np.array(negatives[half:])}, np.array(positives), target)
    assert found is not None
    taken = sum(score >= found.value for score in negatives)
    assert taken == found.accepted <= target * len(negatives)
    below = max((score for score in negatives if score < found.value), default=None)
    if below is not None:  # letting in the next one would be too many
        assert sum(score >= below for score in negatives) > target * len(negatives)
    assert found.kept == sum(score >= found.value for score in positives)
    low, high = found.false_accepts
    assert low <= taken / len(negatives) <= high
    assert str(found.accepted) in found.sentence()


def test_where_nothing_can_be_said() -> None:
    few = {"held-out classes": np.full(LEAST - 1, 0.3)}
    assert calibrate(few, np.ones(5)) is None
    assert calibrate({}, np.ones(5)) is None
    assert calibrate({"strangers": np.ones(50)}, np.ones(5)) is None  # sure of every one of them


def test_clips_are_taken_in_turns_from_each_label(tmp_path) -> None:
    clips = [
        Clip(tmp_path / f"{label}{i}", label, "g") for label, count in (("a", 500), ("b", 3)) for i in range(count)
    ]
    chosen = spread(clips)
    assert len(chosen) == MOST
    assert sum(clip.label == "b" for clip in chosen) == 3
    assert [clip.label for clip in chosen[:4]] == ["a", "b", "a", "b"]


@pytest.mark.timeout(300)
def test_the_shipped_model_hears_strangers() -> None:
    """Real people that it does not know, and words that nobody whom it knows says: the threshold holds on others."""
    model = load_model(shipped_models() / "speaker.onnx")
    data = read(recordings("spoken_digits"))
    clips = strangers(data, model.card.labels)[:120]
    assert not {clip.label for clip in clips} & set(model.card.labels)
    grid = Grid(model.card.window, model.card.window)
    found = best_scores(lambda windows: model.run(windows).scores, Waves(model.card.sample_rate), clips, grid)
    assert found.shape == (len(clips),)
    threshold = calibrate({"spoken digits": found[:60]}, np.zeros(0))
    assert threshold is not None
    assert np.mean(found[60:] >= threshold.value) < 0.2
