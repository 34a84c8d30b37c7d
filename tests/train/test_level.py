import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.runtime.audio import decode
from xfer.train.data.level import Level


def measured(frames, rate=16000, offset=0.0, duration=None, block=4096):
    frames = np.asarray(frames, dtype=np.float32).reshape(len(frames), -1)
    level = Level(rate, frames.shape[1], offset, duration)
    for at in range(0, len(frames), block):
        level.add(frames[at : at + block])
    return level.measured()


def flat_share(samples):
    """Share of samples in runs of three or more at the largest or the smallest value, counted one by one."""
    inside = 0
    for top in (max(samples), min(samples)):
        run = 0
        for value in [*samples, None]:
            if value == top:
                run += 1
            else:
                inside += run if run >= 3 else 0
                run = 0
    return inside / len(samples)


def test_a_full_scale_square_wave_is_clipped_throughout():
    square = np.where(np.arange(16000) // 40 % 2, 32767 / 32768, -1.0)
    assert measured(square).clipped == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("frequency", [100.0, 440.0, 3000.0])
def test_a_loud_sine_of_16_bits_is_not_clipped(frequency):
    sine = np.round(0.9 * 32767 * np.sin(2 * np.pi * frequency * np.arange(44100) / 44100)) / 32768
    assert measured(sine, 44100).clipped < 2e-3


def test_speech_that_was_cut_at_half_its_peak_is_counted_as_one_by_one():
    folder = recordings("spoken_digits")
    for path in sorted((folder / "three").glob("*.wav"))[:3]:
        samples = decode(path).samples
        cut = np.clip(samples, -samples.max() / 2, samples.max() / 2)
        loud = cut / np.abs(cut).max() * np.float32(0.9)
        assert measured(loud, block=len(loud)).clipped == pytest.approx(flat_share(loud.tolist()), abs=1e-9)
        assert measured(loud).clipped > 2e-3
        assert measured(samples / np.abs(samples).max()).clipped < 2e-3


def test_one_clipped_channel_of_two_is_seen():
    rng = np.random.default_rng(0)
    clean = rng.uniform(-0.5, 0.5, 8000)
    clipped = np.clip(rng.normal(0, 1, 8000), -0.8, 0.8)
    smooth = np.repeat(clipped, 4)[:8000]
    assert measured(np.stack([clean, smooth], axis=1)).clipped > 0.1


def test_flat_tops_of_a_very_quiet_recording_are_no_clipping():
    quiet = np.round(3 * np.sin(2 * np.pi * 50 * np.arange(16000) / 16000)) / 32768
    assert measured(quiet).clipped == 0.0


@given(st.integers(16, 5000), st.integers(1, 3), st.floats(0, 0.2), st.one_of(st.none(), st.floats(0.01, 0.2)))
def test_peak_level_and_length_are_those_of_the_stretch_whatever_the_blocks(block, channels, offset, duration):
    rng = np.random.default_rng(block)
    frames = rng.uniform(-1, 1, (4000, channels)).astype(np.float32)
    seen = measured(frames, 16000, offset, duration, block)
    first = round(offset * 16000)
    last = None if duration is None else first + round(duration * 16000)
    mine = frames[first:last].astype(np.float64)
    assert seen.frames == len(mine)
    if len(mine):
        assert seen.peak == pytest.approx(np.abs(mine).max())
        assert seen.level_dbfs == pytest.approx(10 * np.log10(np.mean(mine**2)), abs=1e-6)
    else:
        assert seen.peak == 0.0
        assert seen.level_dbfs == -np.inf
