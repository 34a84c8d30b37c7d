"""The threshold for unknown sound: what it promises, on whatever scores; and on a real net with real strangers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from tests.runtime.tiny import tiny_card, tone, write_tiny
from xfer.export.unknown import LEAST, MOST, Floats, calibrate, heard, least, most, spread
from xfer.runtime.listening import EACH_WINDOW, Listener
from xfer.runtime.models import load_model, shipped_models
from xfer.runtime.sources import FileSource
from xfer.train.data.clips import Clip
from xfer.train.data.layouts import read
from xfer.train.data.waves import Waves
from xfer.train.data.windows import Grid

events = st.lists(st.floats(0, 0.999), min_size=1, max_size=3)
clips = st.lists(events, min_size=LEAST, max_size=200)


def as_heard(scores: list[list[float]]) -> list[Floats]:
    return [np.array(clip) for clip in scores]


@settings(deadline=None)
@given(clips, st.lists(events, max_size=40), st.sampled_from([0.01, 0.05, 0.3]))
@example([[0.5]] * 20, [[0.5]], 0.05)
@example([[0.0]] * 18 + [[0.9989999999999999], [0.999]], [], 0.05)
@example([[0.1 * (k % 7)] for k in range(100)], [[0.2, 0.9]], 0.05)
def test_no_more_than_the_target_and_no_stricter_than_needed(
    negatives: list[list[float]], known: list[list[float]], target: float
) -> None:
    half = len(negatives) // 2
    found = calibrate({"a": as_heard(negatives[:half]), "b": as_heard(negatives[half:])}, as_heard(known), target)
    assert found is not None
    taken = [clip for clip in negatives if any(score >= found.value for score in clip)]
    assert len(taken) == found.total.accepted <= target * len(negatives) + 1e-6
    below = max((max(clip) for clip in negatives if max(clip) < found.value), default=None)
    if below is not None:  # letting in the next one would be too many
        assert sum(max(clip) >= below for clip in negatives) > target * len(negatives)
    assert found.known.accepted == sum(max(clip) >= found.value for clip in known)
    assert found.total.accepted_events == sum(score >= found.value for clip in negatives for score in clip)
    assert found.total.events == sum(map(len, negatives))
    low, high = found.total.interval
    assert low <= len(taken) / len(negatives) <= high
    assert f"{len(taken)} of {len(negatives)}" in found.sentence()
    assert [point.threshold for point in found.curve] == sorted((p.threshold for p in found.curve), reverse=True)
    assert [point.known for point in found.curve] == sorted(point.known for point in found.curve)
    for point in found.curve:
        assert sum(max(clip) >= point.threshold for clip in negatives) <= point.false_accepts * len(negatives) + 1e-6


def test_the_last_bit_of_an_engine_does_not_let_one_in() -> None:
    scores = [0.2] * 90 + [0.7, 0.700002] + [0.9] * 8
    found = calibrate({"a": [np.array([score]) for score in scores]}, [], 0.09)
    assert found is not None
    assert found.value == pytest.approx(0.700001, abs=1e-9)  # half-way
    found = calibrate({"a": [np.array([score]) for score in scores]}, [], 0.1)
    assert found is not None
    assert 0.2 + 1e-4 < found.value < 0.21  # a little above


def test_where_no_threshold_can_be() -> None:
    sure, unsure = [np.ones(1)], [np.full(1, 0.2)]
    assert calibrate({"strangers": sure * 50}, []) is None
    assert calibrate({"strangers": sure * 3 + unsure * 47}, []) is None
    found = calibrate({"strangers": sure * 2 + unsure * 48}, [])
    assert found is not None
    assert found.total.accepted == 2
    almost = calibrate({"strangers": [np.full(1, float(np.nextafter(np.float32(1), np.float32(0))))] * 50}, sure)
    assert almost is not None
    assert (almost.total.accepted, almost.known.accepted) == (0, 1)
    with pytest.raises(ValueError, match="negatives"):
        calibrate({}, [])


def test_a_smaller_share_needs_more_clips() -> None:
    assert (least(0.05), least(0.01), least(0.5), least(0.1 + 0.2)) == (20, 100, LEAST, LEAST)
    assert (most(0.05), most(0.01)) == (MOST, 1000)


def test_clips_are_taken_in_turns_from_each_label(tmp_path: Path) -> None:
    listed = [
        Clip(tmp_path / f"{label}{i}", label, "g") for label, count in (("a", 500), ("b", 3)) for i in range(count)
    ]
    chosen = spread(listed)
    assert len(chosen) == MOST
    assert sum(clip.label == "b" for clip in chosen) == 3
    assert [clip.label for clip in chosen[:4]] == ["a", "b", "a", "b"]


@pytest.mark.parametrize("short", ["tile", "place"])
@pytest.mark.parametrize(
    ("seconds", "rate"), [(0.05, 16_000), (0.25, 16_000), (0.3, 44_100), (0.7, 22_050), (2, 8_000)]
)
def test_a_clip_is_heard_as_listen_hears_it(short: str, seconds: float, rate: int, tmp_path: Path) -> None:
    """Windows, filling, resampling and means: the first events of `listen` for the same file, to the last digit."""
    model = load_model(write_tiny(tmp_path / "a.onnx", short=short))
    path = tmp_path / "a.wav"
    sound = np.concatenate([tone(700, seconds / 2, rate, 0.01), tone(2600, seconds - seconds / 2, rate, 0.3)])
    soundfile.write(path, sound, rate)
    card = model.card
    grid = Grid(card.window, card.hop, 0, card.short)
    found = heard(lambda windows: model.run(windows).scores, Waves(card.sample_rate), Clip(path, "x", "x"), grid)
    said = [event.score for event in Listener(model, rules=EACH_WINDOW).events(FileSource(path))]
    assert found.tolist() == pytest.approx(said[:3], abs=1e-6)  # events have six digits
    assert len(found) == min(3, len(said))
    if seconds == 0.7:
        assert len(set(np.round(found, 3))) == 3  # else means would show nothing


@pytest.mark.timeout(300)
def test_the_shipped_model_hears_strangers() -> None:
    """Real people that it does not know, and words that nobody whom it knows says: the threshold holds on others."""
    model = load_model(shipped_models() / "speaker.onnx")
    data = read(recordings("spoken_digits"))
    chosen = spread(data.clips, 120)
    grid = Grid(model.card.window, model.card.hop, 0, model.card.short)
    waves = Waves(model.card.sample_rate)
    found = [heard(lambda windows: model.run(windows).scores, waves, clip, grid) for clip in chosen]
    threshold = calibrate({"spoken digits": found[:60]}, [])
    assert threshold is not None
    high = 0.25  # of 60 others; at 5 % more than 15 come about once in a million
    assert np.mean([clip.max() >= threshold.value for clip in found[60:]]) < high
    assert math.isclose(threshold.total.accepted, 3)


def test_the_card_of_these_tests_has_the_hop_that_is_meant() -> None:
    assert tiny_card().hop == tiny_card().window // 2
