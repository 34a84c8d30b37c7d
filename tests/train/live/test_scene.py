"""A scene: its clips sound where it says, at the level that was asked for, and its samples depend on the seed alone."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.held import Held, clip, uniform
from xfer.runtime.errors import Unusable
from xfer.train.evaluation.live.scene import LONGEST_SECONDS, Scene, Terms, compose
from xfer.train.evaluation.live.sounding import SceneSource

RATE = 1_000


def burst(seconds: float, before: float = 0.0, after: float = 0.0, level: float = 0.3) -> np.ndarray:
    """A square wave between two pauses: its active level is its height."""
    wave = level * np.sign(np.sin(2 * np.pi * 47 * (np.arange(round(seconds * RATE)) + 0.5) / RATE))
    return np.pad(wave, (round(before * RATE), round(after * RATE))).astype(np.float32)


SOUNDS = {
    "short": burst(0.4, level=0.1),
    "late": burst(0.5, before=0.3, after=0.2, level=0.5),
    "long": burst(2.0),
    "silent": np.zeros(700, np.float32),
    "room": uniform(12_345, 1),
    "tick": uniform(90, 2),
}
WAVES = Held(RATE, SOUNDS)
CLIPS = [clip(name, name) for name in ("short", "late", "long")]
ROOM = [clip("room"), clip("tick")]


def whole(scene: Scene, block: int = 0, clips: bool = True) -> np.ndarray:
    if clips:
        return np.concatenate([each.samples for each in SceneSource(scene, WAVES, block).blocks()])
    return SceneSource(scene, WAVES).samples(0, scene.total, clips=False)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 5), block=st.integers(1, 5_000), room=st.booleans(), minutes=st.sampled_from([0.4, 0.7, 1.01])
)
def test_the_same_seed_is_the_same_scene_whatever_the_blocks(seed: int, block: int, room: bool, minutes: float) -> None:
    terms = Terms(minutes, 10.0, 1.5, seed)
    scene = compose(CLIPS, WAVES, ROOM if room else [], terms)
    assert scene == compose(CLIPS, WAVES, ROOM if room else [], terms)
    samples = whole(scene, max(block, 50))
    assert len(samples) == round(minutes * 60 * RATE)
    np.testing.assert_array_equal(samples, whole(scene, 7_919))
    other = compose(CLIPS, WAVES, ROOM if room else [], replace(terms, seed=seed + 1))
    assert not np.array_equal(samples, whole(other))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 50), snr_db=st.sampled_from([-6.0, 0.0, 20.0, 40.0]), room=st.booleans())
def test_clips_sound_where_the_truth_says_and_at_the_level_that_was_asked_for(
    seed: int, snr_db: float, room: bool
) -> None:
    scene = compose(CLIPS, WAVES, ROOM if room else [], Terms(0.6, snr_db, 1.5, seed))
    assert Counter(each.clip.label for each in scene.placed) == Counter(SOUNDS.keys() & {"short", "late", "long"})
    background = whole(scene, clips=False)
    left = whole(scene) - background
    ends = [0, *(each.end for each in scene.placed)]
    for before, each in zip(ends, scene.placed, strict=False):
        assert each.start - before >= 1.5 * RATE
        pause = 300 if each.clip.label == "late" else 0
        assert each.onset == each.start + pause
        sounding = left[each.onset : each.end - (200 if pause else 0)]
        near = 1e-5 + 1e-6 * np.abs(background).max()
        assert np.abs(left[each.start : each.onset]).max(initial=0) < near
        level = 20 * np.log10(np.sqrt(np.mean(sounding.astype(np.float64) ** 2)))
        assert level - scene.level_dbfs == pytest.approx(snr_db, abs=0.05)
        left[each.start : each.end] = 0
    assert scene.total - scene.placed[-1].end >= 1.5 * RATE
    assert np.abs(left).max() < 1e-5, "something sounds where there is no clip"


@pytest.mark.parametrize("background", [[], [clip("room")]])
def test_background_is_at_its_level_from_end_to_end(background: list) -> None:
    scene = compose(CLIPS, WAVES, background, Terms(1.0, 20.0, 1.5))
    sound = whole(scene, clips=False).astype(np.float64)
    levels = 10 * np.log10(np.mean(sound[: len(sound) // 2_000 * 2_000].reshape(-1, 2_000) ** 2, axis=1))
    assert np.abs(levels - scene.level_dbfs).max() < 4.0
    assert 10 * np.log10(np.mean(sound**2)) == pytest.approx(scene.level_dbfs, abs=1.5)


def test_where_two_pieces_overlap_it_is_neither_louder_nor_quieter() -> None:
    scene = compose(CLIPS, WAVES, [clip("room")], Terms(8.0, 20.0, 1.5))
    sound = whole(scene, clips=False)
    seams = np.concatenate([sound[each.start : each.start + scene.fade] for each in scene.pieces[1:]])
    assert len(seams) > 40 * 250
    assert 10 * np.log10(np.mean(seams.astype(np.float64) ** 2)) == pytest.approx(scene.level_dbfs, abs=0.5)


def test_where_not_all_find_room_classes_take_turns() -> None:
    many = [clip("short", label) for label in "aaaaaaaaaaaaaaaaaaaabc" for _ in range(4)]
    scene = compose(many, WAVES, [], Terms(0.5, 20.0, 1.0))
    counts = Counter(each.clip.label for each in scene.placed)
    assert 10 < sum(counts.values()) < len(many)
    assert counts["b"] == counts["c"] == 4
    assert sum(each.end - each.start + RATE for each in scene.placed) <= scene.total * 2 / 3


def test_a_long_clip_is_heard_from_its_beginning() -> None:
    waves = Held(RATE, {"song": burst(100.0)})
    (placed,) = compose([clip("song")], waves, [], Terms(2.0)).placed
    assert placed.end - placed.start == LONGEST_SECONDS * RATE


def test_no_room_for_a_single_clip_is_refused_with_the_way_out() -> None:
    with pytest.raises(Unusable, match=r"0\.1 minutes.*--minutes 1"):
        compose([clip("long")], WAVES, [], Terms(0.1, 20.0, 10.0))


def test_silent_clips_and_silent_recordings_make_a_scene() -> None:
    scene = compose([clip("silent")], WAVES, [clip("silent")], Terms(0.2, 20.0, 1.0))
    assert not whole(scene).any()


def test_half_an_hour_is_never_in_memory() -> None:
    scene = compose(CLIPS, WAVES, [], Terms(60.0, 20.0, 1.5))
    held = scene.total * 4
    tracemalloc.start()
    for block in SceneSource(scene, WAVES).blocks():
        assert np.isfinite(block.samples).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < held / 10


def test_a_source_that_is_told_to_stop_stops() -> None:
    source = SceneSource(compose(CLIPS, WAVES, [], Terms(1.0)), WAVES)
    blocks = source.blocks()
    next(blocks)
    source.stop()
    assert not list(blocks)
