"""Steady noise is told from sound that means something."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from tests.runtime.tiny import tone
from xfer.export.steady import steady
from xfer.runtime.audio import load
from xfer.train.data.layouts import read
from xfer.train.data.waves import Waves


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([8_000, 16_000, 22_050, 44_100]),
    st.floats(0, 2),
    st.floats(3, 8),
    st.floats(-80, 0),
    st.integers(0, 2**32 - 1),
)
def test_generated_noise_of_any_colour_length_and_level_is_steady(
    rate: int, tilt: float, seconds: float, level_db: float, seed: int
) -> None:
    count = int(rate * seconds)
    hertz = np.fft.rfftfreq(count, 1 / rate)
    parts = np.random.default_rng(seed).standard_normal((2, len(hertz)))
    spectrum = (parts[0] + 1j * parts[1]) * np.maximum(hertz, 20.0) ** (-tilt / 2)
    noise = np.fft.irfft(spectrum, count)
    assert steady((noise / np.abs(noise).max() * 10 ** (level_db / 20)).astype(np.float32))


def test_silence_tones_and_uniform_noise_are_steady() -> None:
    assert steady(np.zeros(60_000, np.float32))
    assert steady(tone(440, 4.0))
    assert steady(np.random.default_rng(0).uniform(-1, 1, 60_000).astype(np.float32))


def test_noise_that_comes_and_goes_is_not() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * np.arange(64_000) / 32_000)
    assert steady(noise)
    assert not steady((noise * swell).astype(np.float32))


def test_what_is_too_short_is_not_called_steady() -> None:
    assert not steady(np.zeros(8_191, np.float32))
    assert steady(np.zeros(8_192, np.float32))


@pytest.mark.parametrize("name", ["spoken_digits", "libri_vctk_layout", "music_fma_layout", "esc10"])
def test_real_recordings_are_not_but_for_a_rain(name: str) -> None:
    """ESC-10 holds the hardest: rain, sea waves, a helicopter, a chainsaw."""
    data = read(recordings(name))
    waves = Waves(22_050)
    chosen = [clip for clip in data.clips if name != "esc10" or clip.label in ("rain", "sea_waves", "helicopter")][:60]
    called = [clip for clip in chosen if steady(waves.window(clip, 0, 6 * 22_050))]
    assert len(called) <= (1 if name == "esc10" else 0), called


def test_of_recordings_of_background_the_generated_ones_are() -> None:
    folder = recordings("wake_words") / "_background_noise_"
    called = {path.stem for path in folder.glob("*.wav") if steady(load(path, 16_000).samples[: 6 * 16_000])}
    assert called == {"pink_noise", "white_noise"}
