"""Placing short clips over background: levels by an independent formula, whole clips, every offset, no leak."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.held import CLIPS, DATA, LENGTH, RATE, SOUNDS, WAVES, Held, clip, data_of, generator, uniform, word
from xfer.train.data.background import Background, active_power, noise, under
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.room import with_background
from xfer.train.data.windows import Crops, background_window, crop, training_batches
from xfer.train.recipe import WindowRecipe


def backgrounds(data: DataSet = DATA, **changes: object) -> Background:
    how = WindowRecipe(**{"short": "place", "background": "yes", **changes})  # type: ignore[arg-type]
    data, problems = with_background(data, WAVES, how, LENGTH, 0)
    assert not problems
    return Background(WAVES, data, how, LENGTH, 0)


@pytest.mark.parametrize("source", ["recordings", "noise", "silence", "others"])
@pytest.mark.parametrize("name", ["up", "down", "left"])
def test_a_placed_clip_is_whole_over_its_background(source: str, name: str) -> None:
    """What is left when the clip is taken away again is the background alone, found by search over all offsets."""
    samples = SOUNDS[name]
    background = backgrounds(sources=(source,), snr_db=(20.0, 20.0), background="no")
    for seed in range(5):
        window = background.place(generator(seed), samples, LENGTH, name).astype(np.float64)
        assert window.shape == (LENGTH,)
        # The offset at which taking the clip away leaves the least.
        match = np.correlate(window, samples.astype(np.float64), mode="valid")
        offset = int(match.argmax())
        window[offset : offset + len(samples)] -= samples
        if source == "recordings":  # steady: it sounds under the clip as loud as beside it
            beside = np.delete(window, np.s_[offset : offset + len(samples)])
            assert np.mean(window[offset : offset + len(samples)] ** 2) == pytest.approx(np.mean(beside**2), rel=0.2)
        rest = 10 * math.log10(np.mean(window**2) / 0.08 + 1e-30)  # 0.08: power of a sine of 0.4
        assert rest < -19.0, f"{source}: {rest:.1f} dB of the clip or its background are left"


def test_no_class_is_its_own_distractor_and_background_is_none() -> None:
    """Each class is a tone of its own: that of the clip's class and that of background never sound beside a click."""
    waves = Held(RATE, SOUNDS | {"fan": word(0.2, 3000)})
    data = data_of((*CLIPS, clip("fan", "background")))
    background = Background(waves, data, WindowRecipe(short="place", background="no", sources=("others",)), LENGTH, 0)
    click = np.zeros(400, np.float32)
    click[0] = 1.0
    heard = set()
    for seed in range(60):
        window = background.place(generator(seed), click, LENGTH, "up")
        window[int(window.argmax())] = 0.0
        power = np.abs(np.fft.rfft(window)) ** 2
        heard.add(round(float(power.argmax()) * RATE / LENGTH, -2))
    assert heard == {800, 1500}


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.053, 0.3])
@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0, 30.0])
def test_the_snr_is_that_of_the_sounding_part(pause: float, snr_db: float) -> None:
    """Independent: a sine's power is half its amplitude squared, however long the pauses beside it are."""
    floor = under(uniform(LENGTH, 5), word(0.2, 500, pause), snr_db, RATE)
    found = 10 * math.log10((0.4**2 / 2) / np.mean(floor.astype(np.float64) ** 2))
    assert found == pytest.approx(snr_db, abs=0.25)


def test_the_range_of_snr_is_used() -> None:
    background = backgrounds(sources=("noise",), snr_db=(5.0, 15.0))
    found = []
    for seed in range(200):
        window = background.place(generator(seed), SOUNDS["up"], LENGTH, "up").astype(np.float64)
        # The frames in which no word sounds; brown noise is left out by its own spread.
        frames = np.sort((window.reshape(-1, 160) ** 2).mean(axis=1))[: LENGTH // 160 - 13]
        found.append(10 * math.log10(0.08 / frames.mean()))
    assert 4.0 < np.percentile(found, 3) < 7.0
    assert 13.0 < np.percentile(found, 97) < 17.0


def test_offsets_cover_the_whole_range() -> None:
    background = backgrounds(sources=("silence",), background="no")
    click = np.array([1.0, 0.0, 0.0], np.float32)
    found = Counter(int(np.abs(background.place(generator(seed), click, 12, "up")).argmax()) for seed in range(1000))
    assert set(found) == set(range(10))
    assert min(found.values()) > 60  # 100 are expected; less than 60 has a chance of 1e-5


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99),
    length=st.integers(1, LENGTH),
    window=st.integers(1, LENGTH),
    source=st.sampled_from(["recordings", "noise", "silence", "others"]),
)
def test_any_lengths_and_the_same_draw_twice(seed: int, length: int, window: int, source: str) -> None:
    samples = uniform(min(length, window), seed)
    background = backgrounds(sources=(source,), background="no")
    first, second = (background.place(generator(seed), samples, window, "up") for _ in range(2))
    assert first.shape == (window,)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert first.tobytes() == second.tobytes()


def test_a_crop_of_a_short_clip_is_placed_and_a_long_one_is_not() -> None:
    crops = Crops(LENGTH, 1, (0.0, 0.0), 3, background=backgrounds(snr_db=(30.0, 30.0)), short="place")
    short = [crop(WAVES, CLIPS[0], crops, epoch, 0, 0) for epoch in range(30)]
    assert all(np.abs(window).max() > 0.35 for window in short)
    assert len({window.tobytes() for window in short}) == 30
    tiled = [np.abs(window[: LENGTH // 1600 * 1600].reshape(-1, 1600)).max(axis=1).min() for window in short]
    assert min(tiled) < 0.1, "the word is everywhere: it was repeated"
    room = Clip(Path("room"), "up", "room", "train")
    plain = Crops(LENGTH, 1, (0.0, 0.0), 3)
    assert crop(WAVES, room, crops, 1, 0, 0).tobytes() == crop(WAVES, room, plain, 1, 0, 0).tobytes()


@pytest.mark.parametrize("tilt", ["any"])
def test_noise_falls_with_frequency(tilt: str) -> None:
    """White to brown: the power of an octave at 4 kHz stands 0 to about 20 dB under that at 100 Hz, a hertz each."""
    falls = []
    for seed in range(60):
        samples = noise(generator(seed), 32_000, RATE).astype(np.float64)
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(1.0, abs=1e-3)
        power = np.abs(np.fft.rfft(samples)) ** 2
        low, high = power[200:400].mean(), power[8_000:16_000].mean()  # 100 to 200 Hz, 4 to 8 kHz
        falls.append(10 * math.log10(low / high))
    assert -1.5 < min(falls) < 4
    assert 28 < max(falls) < 34  # 40 times the frequency, squared: 32 dB
    for count in (1, 2, 3, 17):
        assert np.isfinite(noise(generator(1), count, RATE)).all()


def test_silence_under_a_clip_is_silence_and_a_silent_clip_breaks_nothing() -> None:
    zeros = np.zeros(100, np.float32)
    assert not under(zeros, SOUNDS["up"], 10.0, RATE).any()
    assert np.isfinite(under(uniform(100, 0), zeros, 10.0, RATE)).all()
    assert active_power(zeros, RATE) == 0.0


def test_windows_of_background_hold_no_clip() -> None:
    """Their spectrum has no line at a word's pitch."""
    background = backgrounds()
    crops = Crops(LENGTH, 1, (0.0, 0.0), 3, background=background)
    for index in range(3, 60):
        window = background_window(crops, 1, index, 0).astype(np.float64)
        assert window.shape == (LENGTH,)
        power = np.abs(np.fft.rfft(window)) ** 2
        for hertz in (300, 800, 1500):
            line = round(hertz * LENGTH / RATE)
            around = np.r_[power[line - 60 : line - 5], power[line + 5 : line + 60]].mean()
            assert power[line] <= 15 * around + 1e-30
        assert np.sqrt(np.mean(window**2)) < 0.11  # -20 dBFS at most


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.25), (0.1, 0.1), (0.5, 0.5)])
def test_the_share_of_background(share: float, expected: float) -> None:
    """By default as many as a class has: three words and background are four."""
    background = backgrounds(background_share=share)
    crops = Crops(LENGTH, 30, (0.0, 0.0), 3, background=background, short="place")
    targets = np.array([3, 1, 2])  # sorted: background, down, left, up
    found = np.concatenate([t for _, t in training_batches(WAVES, CLIPS, targets, crops, 1, 8)])
    assert np.mean(found == 0) == pytest.approx(expected, abs=0.01)
    assert Counter(found.tolist())[1] == 30
