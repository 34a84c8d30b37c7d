"""Decoding, mixing, resampling, windows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from tests.runtime.tiny import tone
from xfer.runtime.audio import AudioFile, Resampler, decode, load, resample, tile, window_starts
from xfer.runtime.chatter import captured
from xfer.runtime.errors import FileNotThere, Unusable

NOISE = (0.3 * np.random.default_rng(1).standard_normal(50_000)).astype(np.float32).clip(-1, 1)


@pytest.mark.parametrize(
    ("name", "subtype", "kind", "full_scale"),
    [
        ("a.wav", "PCM_U8", np.int16, 2**15),
        ("a.wav", "PCM_16", np.int16, 2**15),
        ("a.wav", "PCM_24", np.int32, 2**31),
        ("a.wav", "PCM_32", np.int32, 2**31),
        ("a.wav", "FLOAT", np.float32, 1),
        ("a.wav", "DOUBLE", np.float64, 1),
        ("a.flac", "PCM_16", np.int16, 2**15),
        ("a.aiff", "PCM_16", np.int16, 2**15),
    ],
)
def test_lossless_forms_give_back_the_samples(
    tmp_path: Path, name: str, subtype: str, kind: type, full_scale: int
) -> None:
    values = (NOISE * 127).round() / 128  # on the grid of every form
    values[0] = -1.0
    soundfile.write(tmp_path / name, (values * full_scale).astype(kind), 22_050, subtype=subtype)
    recording = decode(tmp_path / name)
    assert recording.rate == 22_050
    assert recording.samples.dtype == np.float32
    assert recording.notes == ()
    np.testing.assert_array_equal(recording.samples, values)


@pytest.mark.parametrize(
    ("name", "form", "subtype"),
    [("a.ogg", "OGG", "VORBIS"), ("a.opus", "OGG", "OPUS"), ("a.mp3", "MP3", "MPEG_LAYER_III")],
)
def test_lossy_forms_give_back_the_tone(tmp_path: Path, name: str, form: str, subtype: str) -> None:
    wave = tone(1000, 1.0, 48_000)
    soundfile.write(tmp_path / name, wave, 48_000, format=form, subtype=subtype)
    recording = decode(tmp_path / name)
    assert recording.notes == ()
    assert abs(len(recording.samples) - len(wave)) <= 1
    heard = recording.samples[5_000:40_000]
    nearest = max(np.corrcoef(heard, wave[5_000 + lag : 40_000 + lag])[0, 1] for lag in range(48))
    assert nearest > 0.999


def test_peaks_of_an_mp3_above_one_are_kept(tmp_path: Path) -> None:
    square = np.sign(tone(440, 1.0, 44_100, 1.0)).astype(np.float32)
    soundfile.write(tmp_path / "loud.mp3", square, 44_100)
    assert decode(tmp_path / "loud.mp3").samples.max() > 1.05


def test_real_mp3s_are_whole_and_have_peaks_above_one(capfd: pytest.CaptureFixture[str]) -> None:
    paths = sorted(recordings("music_fma_layout").rglob("*.mp3"))[:60]
    found = [decode(path) for path in paths]
    assert sum(recording.samples.max() > 1 for recording in found) >= 5
    assert [recording.notes for recording in found if recording.notes] == []
    assert capfd.readouterr().err == ""


def test_chatter_of_the_decoder_stays_off_the_screen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.mp3", np.tile(NOISE, 6), 44_100)
    whole = (tmp_path / "a.mp3").read_bytes()
    half = len(whole) // 2
    (tmp_path / "a.mp3").write_bytes(whole[:half] + bytes(3_000) + whole[half + 3_000 :])
    with suppress(soundfile.LibsndfileError):
        soundfile.read(tmp_path / "a.mp3")
    assert capfd.readouterr().err != "", "libmpg123 says nothing about this file: find one that makes it talk"
    recording = decode(tmp_path / "a.mp3")
    assert capfd.readouterr().err == ""
    assert recording.notes != ()


def test_what_another_thread_writes_to_stderr_meanwhile_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    heard: list[str] = []
    with captured(heard):
        os.write(2, b"Warning: Xing stream size off\nepoch 3 of 10\n[src/libmpg123/parse.c:1] error: bad\n")
    assert capfd.readouterr().err == "epoch 3 of 10\n"
    assert heard == ["Warning: Xing stream size off", "[src/libmpg123/parse.c:1] error: bad"]


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    frames = np.random.default_rng(2).uniform(-1, 1, (30_000, channels)).astype(np.float32)
    soundfile.write(tmp_path / "many.wav", frames, 16_000, subtype="FLOAT")
    mixed = decode(tmp_path / "many.wav").samples
    np.testing.assert_allclose(mixed, frames.astype(np.float64).mean(axis=1), atol=3e-7)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 192_000])
def test_any_rate_becomes_the_rate_that_is_asked_for(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1000, 1.0, rate), rate, subtype="FLOAT")
    recording = load(tmp_path / "a.wav", 16_000)
    assert recording.rate == 16_000
    assert len(recording.samples) == 16_000
    middle = slice(1_000, 15_000)
    assert np.abs(recording.samples[middle] - tone(1000, 1.0)[middle]).max() < 1e-4


def test_what_the_new_rate_cannot_carry_is_gone() -> None:
    above = resample(tone(9_000, 1.0, 48_000), 48_000, 16_000)[1_000:-1_000]
    assert np.abs(above).max() < 1e-4


@settings(max_examples=40, deadline=None)
@given(
    rates=st.sampled_from([(44_100, 16_000), (8_000, 16_000), (48_000, 22_050), (192_000, 16_000), (16_000, 16_000)]),
    length=st.integers(0, 40_000),
    sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=6),
)
def test_resampling_does_not_depend_on_the_blocks(rates: tuple[int, int], length: int, sizes: list[int]) -> None:
    samples = NOISE[:length]
    stream = Resampler(*rates)
    parts, at, turn = [], 0, 0
    while at < length:
        parts.append(stream.push(samples[at : at + sizes[turn % len(sizes)]]))
        at += sizes[turn % len(sizes)]
        turn += 1
    parts.append(stream.flush())
    whole = resample(samples, *rates)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert abs(len(whole) - length * rates[1] / rates[0]) <= 1


@settings(deadline=None)
@given(length=st.integers(1, 5_000), window=st.integers(1, 1_000), share=st.integers(1, 100))
def test_windows_cover_the_audio_itself(length: int, window: int, share: int) -> None:
    hop = max(1, window * share // 100)
    starts = window_starts(length, window, hop)
    assert starts[0] == 0
    if length <= window:
        assert starts == [0]
        return
    heard = np.zeros(length, bool)
    for start in starts:
        assert 0 <= start <= length - window
        heard[start : start + window] = True
    assert heard.all(), "a sample is in no window"
    assert starts[-1] == length - window
    steps = np.diff(starts)
    assert (steps[:-1] == hop).all()
    assert 0 < min(steps, default=1) <= max(steps, default=1) <= hop


def test_short_clips_are_repeated() -> None:
    np.testing.assert_array_equal(tile(np.array([1, 2, 3], np.float32), 8), [1, 2, 3, 1, 2, 3, 1, 2])
    assert len(tile(np.ones(9, np.float32), 8)) == 9
    with pytest.raises(ValueError, match="no samples"):
        tile(np.zeros(0, np.float32), 8)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -8.5])
def test_samples_that_are_no_sound_are_refused_in_training(tmp_path: Path, value: float) -> None:
    wave = tone(500, 4.0)
    wave[40_000:40_010] = value
    soundfile.write(tmp_path / "dirty.wav", wave, 16_000, subtype="FLOAT")
    with pytest.raises(Unusable, match=r"10 sample values that are no sound.*at 2\.50 s"):
        load(tmp_path / "dirty.wav", 16_000)


def test_names_with_spaces_and_accents(tmp_path: Path) -> None:
    path = tmp_path / "ünï cødé 声.wav"
    soundfile.write(path, NOISE, 16_000)
    assert len(decode(path).samples) == len(NOISE)


def broken_files(folder: Path) -> dict[str, bytes]:
    noise = np.random.default_rng(3).bytes(20_000)
    text = b"this is no recording\n" * 50
    soundfile.write(folder / "whole.wav", NOISE, 16_000)
    head = (folder / "whole.wav").read_bytes()[:44]
    return {
        "empty.wav": b"",
        "text.wav": text,
        "text.mp3": text,
        "noise.wav": noise,
        "noise.mp3": noise,
        "noise.flac": b"fLaC" + noise,
        "noise.ogg": b"OggS" + noise,
        "header only.wav": head[:40] + b"\0\0\0\0",
        "unfinished.wav": head[:40] + b"\0\0\0\0" + bytes(4000),
        "pcm.raw": noise,
    }


def test_what_is_no_recording_is_one_clear_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, content in broken_files(tmp_path).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unusable) as error:
            decode(tmp_path / name)
        assert name in str(error.value)
        assert "\n" not in str(error.value)
        assert error.value.exit_code == 2
    with pytest.raises(FileNotThere) as missing:
        decode(tmp_path / "missing.wav")
    assert missing.value.exit_code == 3
    assert isinstance(missing.value, FileNotFoundError)
    with pytest.raises(Unusable, match="folder"):
        decode(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(Unusable, match="no regular file"):
        decode(tmp_path / "pipe.wav")
    assert capfd.readouterr().err == ""


def test_a_damaged_middle_is_told_the_sound_before_it_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.flac", np.tile(NOISE, 6), 16_000)
    whole = (tmp_path / "a.flac").read_bytes()
    half = len(whole) // 2
    (tmp_path / "a.flac").write_bytes(whole[:half] + bytes(5_000) + whole[half + 5_000 :])
    recording = decode(tmp_path / "a.flac")
    assert 100_000 < len(recording.samples) < 300_000
    assert any("cut off" in note or "damaged" in note for note in recording.notes)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("form", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("FLAC", "PCM_16")]
)
def test_blocks_and_the_whole_are_the_same_samples(tmp_path: Path, form: str, subtype: str) -> None:
    """soundfile's own reading in blocks seeks between them, and an MP3 comes out as another sound."""
    soundfile.write(tmp_path / "a", np.tile(NOISE, 3), 48_000, format=form, subtype=subtype)
    whole = soundfile.read(tmp_path / "a", dtype="float32")[0]
    with AudioFile(tmp_path / "a") as file:
        blocks = list(file.blocks())
    assert len(blocks) > 5
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_decoding_works_where_stderr_is_closed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", NOISE, 44_100)
    code = f"from xfer.runtime.audio import decode; print(len(decode({str(tmp_path / 'a.mp3')!r}).samples))"
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", code]
    run = subprocess.run(closed, stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout.strip() == str(len(NOISE))


@pytest.mark.skipif(sys.platform == "win32", reason="paths are shorter there")
@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III")]
)
def test_a_path_that_is_too_long_for_libsndfile_is_read_all_the_same(tmp_path, suffix, subtype):
    folder = tmp_path.joinpath(*["d" * 200] * 8)
    folder.mkdir(parents=True)
    short = tmp_path / f"s.{suffix}"
    soundfile.write(short, np.random.default_rng(0).uniform(-0.5, 0.5, 22050), 22050, subtype=subtype)
    shutil.copy(short, folder)
    assert np.array_equal(decode(folder / short.name).samples, decode(short).samples)
