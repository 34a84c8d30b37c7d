"""What is wrong with a recording: by physics, and on real speech, music and sounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from tests.runtime.speakers.people import SIZE, crowd
from tests.runtime.tiny import tone
from xfer.runtime.audio import decode
from xfer.runtime.speakers import measure
from xfer.runtime.speakers.checks import check_sound
from xfer.runtime.speakers.voices import check_likeness, check_voices

RATE = 16_000


def kinds(samples: np.ndarray, rate: int = RATE) -> dict[str, bool]:
    """What is found, and whether it is grave."""
    return {each.kind: each.grave for each in check_sound(measure(samples.astype(np.float32), rate))}


def babble(seconds: float = 6.0, level: float = 0.3, seed: int = 0) -> np.ndarray:
    """What moves as speech does: a gliding pulse train through moving bands, four syllables a second, with pauses."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * t) + 15 * np.sin(2 * np.pi * 2.3 * t + 1)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    wave = sum(
        np.exp(-((k * pitch - 600 - 400 * np.sin(2 * np.pi * 3.1 * t)) ** 2) / 4e5) * np.sin(k * phase)
        for k in range(1, 30)
    )
    hiss = rng.standard_normal(len(t)) * (np.sin(2 * np.pi * 2 * t) > 0.9)
    syllables = np.clip(np.sin(2 * np.pi * 4 * t), 0, 1) ** 0.5 * (np.sin(2 * np.pi * 0.5 * t) > -0.6)
    wave = syllables * (wave + 0.2 * hiss) + 1e-4 * rng.standard_normal(len(t))
    return (level * wave / np.abs(wave).max()).astype(np.float32)


def test_what_moves_like_speech_has_nothing_wrong() -> None:
    assert kinds(babble()) == {}


def test_each_fault_is_named_for_itself() -> None:
    voice, rng = babble(), np.random.default_rng(1)
    noise = rng.standard_normal(len(voice))
    assert kinds(np.zeros(RATE)) == {"level": True}
    assert kinds(babble(1.0)).get("length") is True
    assert kinds(babble(2.5)).get("length") is False
    assert kinds(voice * 0.15).get("level") is False
    assert kinds(voice * 0.03).get("level") is True
    assert kinds(np.clip(voice * 8, -0.5, 0.5)).get("clipping") is True
    assert kinds(voice + 0.012 * noise).get("noise") is False
    assert kinds(voice + 0.05 * noise).get("noise") is True
    assert kinds(0.1 * noise).get("speech") is True
    assert kinds(tone(440, 5)).get("speech") is True
    chord = sum(tone(hz, 5, level=0.1) for hz in (220, 277.2, 329.6))
    assert kinds(np.asarray(chord)).get("speech") is True


@settings(max_examples=12, deadline=None)
@given(st.floats(0.4, 1.5), st.sampled_from([11_025, 16_000, 44_100, 48_000]), st.integers(0, 5))
def test_measures_do_not_depend_on_level_or_rate(gain: float, rate: int, seed: int) -> None:
    from xfer.runtime.audio import resample

    voice = babble(3.0, seed=seed)
    one, other = measure(voice, RATE), measure(resample(voice * np.float32(gain), RATE, rate), rate)
    assert other.level_dbfs == pytest.approx(one.level_dbfs + 20 * np.log10(gain), abs=0.8)
    assert other.movement_db == pytest.approx(one.movement_db, abs=1.0)
    assert other.glide == pytest.approx(one.glide, abs=0.15)
    assert other.clipped == one.clipped == 0


def test_clipping_is_counted_sample_by_sample() -> None:
    wave = np.linspace(-0.4, 0.4, 1000, dtype=np.float32)
    wave[[10, 11, 12, 13]] = 0.9  # four in a row
    wave[[100, 101]] = 0.9  # two are none
    wave[[500, 501, 502]] = -0.8
    assert measure(wave, RATE).clipped == 7 / 1000


@pytest.mark.parametrize("length", [1, 2, 100, 1023, 1025])
def test_the_shortest_sounds_are_measured(length: int) -> None:
    found = measure(np.full(length, 0.25, dtype=np.float32), RATE)
    assert np.isfinite([found.level_dbfs, found.range_db, found.movement_db, found.glide]).all()


def some(folder: str, pattern: str, step: int) -> Iterator[Path]:
    yield from sorted(recordings(folder).rglob(pattern))[::step]


def kept_out(paths: Iterator[Path], kind: str) -> float:
    found = [decode(path) for path in paths]
    assert len(found) > 15
    return float(np.mean([kinds(each.samples, each.rate).get(kind, False) for each in found]))


def test_real_speech_passes_and_real_music_does_not() -> None:
    assert kept_out(some("libri_vctk_layout", "*.flac", 23), "speech") == 0
    assert kept_out(some("music_fma_layout", "*.mp3", 13), "speech") > 0.9


def test_two_directions_in_one_recording_are_two_voices() -> None:
    one, other = crowd(2, scatter=0.1)
    alone = np.concatenate([one.recordings[0].embeddings, one.recordings[1].embeddings])
    both = np.concatenate([one.recordings[0].embeddings, other.recordings[0].embeddings])
    assert check_voices(alone, 20) == []
    found = check_voices(both, 20)
    assert [each.grave for each in found] == [True]
    assert "from about 10 s" in found[0].message
    assert check_voices(both[[0, 6, 7]], 5) == []  # too few windows to say
    turns = both[[0, 6, 1, 7, 2, 8]]
    assert check_voices(turns, 10)[0].grave


def test_a_recording_of_somebody_else_is_told() -> None:
    ann, bob = crowd(2, scatter=0.1)
    own = ann.recordings[0].embeddings
    assert check_likeness(ann.recordings[1].embeddings, own, [bob]) == []
    assert "person 1" in check_likeness(bob.recordings[1].embeddings, own, [bob])[0].message
    stranger = np.eye(SIZE, dtype=np.float32)[:2] - own.mean(axis=0) / np.linalg.norm(own.mean(axis=0))
    assert "unlike" in check_likeness(stranger, own, [])[0].message
    assert check_likeness(own, None, [bob]) == []
