"""Samples are the same whichever way they come: from the cache, straight from the file, or decoded whole."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.runtime.audio import load, resample, resampled_length
from xfer.train.data import waves as waves_module
from xfer.train.data.cache import Store, fill
from xfer.train.data.clips import Clip
from xfer.train.data.straight import stretch
from xfer.train.data.waves import Waves

RATE = 16000

FORMATS = [
    ("wav", "PCM_16"),
    ("wav", "FLOAT"),
    ("flac", "PCM_24"),
    ("ogg", "VORBIS"),
    ("mp3", "MPEG_LAYER_III"),
    ("aiff", "PCM_16"),
]


@given(st.integers(1, 4000), st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 12345]))
def test_the_length_of_what_is_resampled_is_known_beforehand(count, rate):
    for to_rate in (16000, 22050):
        made = len(resample(np.zeros(count, np.float32), rate, to_rate))
        half = (2 * count * to_rate) % (2 * rate) == rate
        assert made - resampled_length(count, rate, to_rate) in ((0, 1) if half else (0,))


@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(start=st.integers(0, 40000), count=st.integers(1, 20000))
def test_a_stretch_is_what_the_whole_file_holds_there(tmp_path, suffix, subtype, rate, start, count):
    path = tmp_path / f"sound.{suffix}"
    if not path.exists():
        rng = np.random.default_rng(0)
        sound = rng.normal(0, 0.1, (2 * rate, 2)).astype(np.float32)
        soundfile.write(path, sound, rate, subtype=subtype)
    whole = load(path, 16000).samples[start : start + count]
    mine = stretch(path, 16000, start, count)
    assert (mine is None) == (suffix in ("ogg", "mp3"))
    if mine is None:
        return
    assert mine.shape == whole.shape
    assert len(whole) == 0 or np.abs(mine - whole).max() < 2e-6


def clips_of(folder: Path, pattern: str) -> list[Clip]:
    return [Clip(path, "a", path.name) for path in sorted(folder.glob(pattern))[:8]]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("spoken_digits", "three/*.wav"), ("libri_vctk_layout", "**/*.flac"), ("music_fma_layout", "**/*.mp3")],
)
def test_windows_from_the_cache_are_those_of_the_file(tmp_path, name, pattern):
    clips = clips_of(recordings(name), pattern)
    rng = np.random.default_rng(0)
    with Store(tmp_path) as store:
        assert fill(store, clips, (16000,)) == []
        cached, straight = Waves(16000, store), Waves(16000)
        for clip in clips:
            whole = load(clip.path, 16000).samples
            assert cached.length(clip) == straight.length(clip) == len(whole)
            step = max(1.0, float(np.abs(whole).max())) / 32767
            for start in rng.integers(0, len(whole), 4):
                expected = whole[start : start + 5000]
                assert np.abs(cached.window(clip, int(start), 5000) - expected).max() <= step
                assert np.abs(straight.window(clip, int(start), 5000) - expected).max() < 2e-6


def test_a_clip_within_a_file_ends_where_it_is_said_to_end(tmp_path):
    path = tmp_path / "song.wav"
    soundfile.write(path, np.arange(32000) / 40000, 16000, subtype="PCM_16")
    inside, beyond = Clip(path, "a", "g", offset=0.5, duration=0.25), Clip(path, "a", "g", offset=1.75, duration=5.0)
    with Store(tmp_path / "cache") as store:
        fill(store, [inside, beyond], (16000,))
        for waves in (Waves(16000, store), Waves(16000)):
            assert waves.length(inside) == 4000
            assert waves.length(beyond) == 4000
            assert waves.samples(inside) == pytest.approx(np.arange(8000, 12000) / 40000, abs=1e-4)
            assert waves.window(inside, 3900, 500) == pytest.approx(np.arange(11900, 12000) / 40000, abs=1e-4)


def test_files_that_cannot_be_sought_in_are_decoded_once_for_neighbouring_windows(tmp_path, monkeypatch):
    clips = []
    for number in range(3):
        path = tmp_path / f"{number}.mp3"
        sound = np.random.default_rng(number).normal(0, 0.1, 4 * RATE)
        soundfile.write(path, sound, RATE, subtype="MPEG_LAYER_III")
        clips.append(Clip(path, "a", path.name))
    monkeypatch.setattr(waves_module, "RECENT_BYTES", 2 * 4 * 4 * RATE + 20_000)
    decoded = []
    real = load
    monkeypatch.setattr(waves_module, "load", lambda path, rate: decoded.append(path.name) or real(path, rate))
    waves = Waves(RATE)
    lengths = [waves.length(clip) for clip in clips]
    decoded.clear()
    for which in (0, 0, 1, 0, 2, 2, 0, 1):
        start = lengths[which] // 3
        assert np.array_equal(
            waves.window(clips[which], start, 900), real(clips[which].path, RATE).samples[start : start + 900]
        )
    assert decoded == ["0.mp3", "1.mp3", "2.mp3", "1.mp3"]
