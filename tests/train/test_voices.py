"""Synthetic voices: same bytes again, physics of pitch and tract, told apart by voice only, whole on disk or absent."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.runtime.errors import NotThere, Unusable
from xfer.train.data.voices import MARKER, VERSION, Voice, utter, voices, write_voices
from xfer.train.data.voices.articulation import tracks

librosa = pytest.importorskip("librosa")
svm = pytest.importorskip("sklearn.svm")
RATE = 16000
VOICES = voices(16)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voices(tmp_path_factory.mktemp("cache") / "voices")


@pytest.fixture(scope="module")
def clips(written: Path) -> list[tuple[dict[str, str], np.ndarray]]:
    rows = list(csv.DictReader((written / "files.csv").open(encoding="utf-8")))
    return [(row, soundfile.read(written / row["path"], dtype="float32")[0]) for row in rows]


# ---- one clip


@settings(max_examples=25, deadline=None)
@given(
    who=st.integers(0, 15),
    sentence=st.integers(0, 10**6),
    seconds=st.floats(0.25, 5.0),
    rate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
)
def test_any_clip_is_sound_of_the_length_and_level_asked_for(
    who: int, sentence: int, seconds: float, rate: int
) -> None:
    clip = utter(VOICES[who], sentence, seconds, rate)
    assert clip.dtype == np.float32
    assert clip.shape == (round(seconds * rate),)
    assert np.isfinite(clip).all()
    assert np.abs(clip).max() <= 0.9001
    assert -42 < 20 * np.log10(np.std(clip)) < -15  # -32 to -18 stated; a peak above 0.9 takes the level down


def test_same_arguments_give_the_same_samples_and_others_give_others() -> None:
    one = utter(VOICES[3], 5)
    np.testing.assert_array_equal(one, utter(voices(16)[3], 5))
    # Loose: a generator that ignored one of these would correlate at 1.
    for other in (utter(VOICES[3], 6), utter(VOICES[4], 5), utter(voices(16, seed=1)[3], 5)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.3


def test_same_bytes_from_another_process() -> None:
    code = (
        "import hashlib; from xfer.train.data.voices import utter, voices;"
        "print(hashlib.sha256(utter(voices()[7], 2).tobytes()).hexdigest())"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout != ""


def test_more_voices_begin_with_the_same_voices_and_all_differ() -> None:
    assert voices(40)[:16] == VOICES
    assert len({(round(v.f0_hz, 1), round(v.tract_cm, 2)) for v in voices(40)}) == 40
    pitches = np.array([voice.f0_hz for voice in VOICES])
    assert pitches.min() < 100
    assert pitches.max() > 250


@pytest.mark.parametrize(
    "call",
    [
        lambda: voices(0),
        lambda: voices(1000),
        lambda: voices(4, seed=-1),
        lambda: utter(VOICES[0], -1),
        lambda: utter(VOICES[0], 0, seconds=0.0),
        lambda: utter(VOICES[0], 0, seconds=float("nan")),
        lambda: utter(VOICES[0], 0, rate=0),
    ],
)
def test_numbers_that_make_no_speech_are_refused(call: object) -> None:
    with pytest.raises(Unusable):
        call()  # type: ignore[operator]


# ---- physics, by methods that share nothing with the synthesis


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
def test_measured_pitch_lies_in_the_stated_range(voice: Voice) -> None:
    pitch, voiced, _ = librosa.pyin(
        utter(voice, 3), fmin=50, fmax=450, sr=RATE, frame_length=1024, hop_length=512, fill_na=None
    )
    low, high = voice.f0_range_hz
    found = pitch[voiced]
    assert len(found) > 30
    # 3 %: pyin's bins are 10 cents, its octave slips at onsets are what the 6 % are for.
    assert np.mean((found > 0.97 * low) & (found < 1.03 * high)) > 0.94
    assert abs(12 * np.log2(np.median(found) / voice.f0_hz)) < 3


def formants(clip: np.ndarray) -> np.ndarray:
    """F1 to F4 a frame by linear prediction (NaN where quiet or not found): (frames, 4)."""
    clip = librosa.effects.preemphasis(clip)
    rows = []
    for start in range(0, len(clip) - 480, 160):
        frame = clip[start : start + 480] * np.hamming(480)
        found: list[float] = []
        if np.std(frame) > 0.3 * np.std(clip):
            roots = np.roots(librosa.lpc(frame, order=18))
            roots = roots[roots.imag > 0.01]
            hertz, width = np.angle(roots) * RATE / (2 * np.pi), -np.log(np.abs(roots)) * RATE / np.pi
            found = sorted(hertz[(width < 500) & (hertz > 150)].tolist())
        rows.append((found + [np.nan] * 4)[:4])
    return np.array(rows)


@pytest.mark.parametrize(("short", "long"), [(16.0, 18.0), (15.0, 19.0), (14.0, 20.0)])
def test_formants_scale_with_the_inverse_of_the_tract_length(short: float, long: float) -> None:
    # A low voice without breath: linear prediction finds the tract, not the harmonics. Same seed: same words.
    bass = dataclasses.replace(min(VOICES, key=lambda voice: voice.f0_hz), breath_db=-60.0)
    first, second = (
        np.concatenate([formants(utter(dataclasses.replace(bass, tract_cm=cm), sentence)) for sentence in range(3)])
        for cm in (short, long)
    )
    ratio = np.nanmedian(first / second, axis=0)
    np.testing.assert_allclose(ratio, long / short, rtol=0.05)
    # And absolutely: the median of F3 of many vowels lies by 2500 Hz of a tube of 17.5 cm.
    np.testing.assert_allclose(np.nanmedian(second[:, 2]), 2500 * 17.5 / long, rtol=0.1)


def test_breath_adds_noise_between_the_harmonics() -> None:
    """Periodicity (largest autocorrelation of a frame) falls as the stated breath rises."""

    def periodicity(breath_db: float) -> float:
        voice = dataclasses.replace(VOICES[0], breath_db=breath_db, jitter=0.0, shimmer=0.0)
        frames = librosa.util.frame(utter(voice, 1), frame_length=800, hop_length=400).T
        loud = frames[np.std(frames, axis=1) > 0.5 * np.std(frames)]
        power = np.abs(np.fft.rfft(loud * np.hanning(800), 2048)) ** 2
        auto = (
            np.fft.irfft(power)[:, : RATE // 80]
            / np.fft.irfft(np.abs(np.fft.rfft(np.hanning(800), 2048)) ** 2)[: RATE // 80]
        )
        return float(np.median(auto[:, RATE // 220 :].max(axis=1) / auto[:, 0]))

    clear, breathy, husky = (periodicity(level) for level in (-50.0, -12.0, -3.0))
    assert clear > breathy + 0.01 > husky + 0.02


def test_formants_glide_and_never_jump() -> None:
    """A tongue takes some 50 ms from one vowel to another; targets lie up to about 2000 Hz apart."""
    for voice in VOICES:
        f2 = tracks(voice, 4.0, np.random.default_rng(1)).formants[:, 1] / voice.formant_scale
        assert np.abs(np.diff(f2)).max() < 2000 * 2.5 / 15  # 2.5 ms a value
        assert np.std(f2) > 150


def describe(clip: np.ndarray) -> np.ndarray:
    """What speech is and a buzz is not: level in five bands (dB, of unit power), share of the loudness's movement
    that is syllables (2 to 8 Hz), share of silence (30 dB below the loudest)."""
    clip = clip[: 4 * RATE] / np.std(clip[: 4 * RATE])
    power = (np.abs(librosa.stft(clip, n_fft=512, hop_length=160)) ** 2).mean(axis=1)
    edges = [3, 16, 32, 64, 128, 257]
    bands = [10 * np.log10(power[a:b].mean()) for a, b in itertools.pairwise(edges)]
    loudness = librosa.feature.rms(y=clip, hop_length=160, frame_length=400)[0]
    movement = np.abs(np.fft.rfft((loudness - loudness.mean()) * np.hanning(len(loudness)))) ** 2
    hertz = np.fft.rfftfreq(len(loudness), 0.01)
    syllables = movement[(hertz >= 2) & (hertz < 8)].sum() / movement[hertz > 0.5].sum()
    return np.array([*bands, 20 * syllables, 20 * np.mean(loudness < loudness.max() * 10**-1.5)])


def test_speech_like_beside_real_speech() -> None:
    """Spectrum, syllable rhythm and pauses lie among those of 40 real speakers; a buzz, a tone or noise does not."""
    folder = recordings("libri_vctk_layout") / "wav48_silence_trimmed"
    real = np.array(
        [describe(soundfile.read(next(person.glob("*.flac")))[0]) for person in sorted(folder.iterdir())[:40]]
    )
    ours = np.array([describe(utter(voice, sentence)) for voice in VOICES for sentence in range(2)])

    def strangeness(found: np.ndarray) -> np.ndarray:
        """Largest distance from the mean of real speech, in its standard deviations."""
        return np.abs((found - real.mean(axis=0)) / real.std(axis=0)).max(axis=-1)

    assert strangeness(ours.mean(axis=0)) < 1.0
    assert np.median(strangeness(ours)) < 2.5
    seconds = np.arange(4 * RATE) / RATE
    buzz = np.sign(np.sin(2 * np.pi * 120 * seconds)) + 1e-3 * np.random.default_rng(0).standard_normal(4 * RATE)
    noise = np.random.default_rng(0).standard_normal(4 * RATE)
    assert strangeness(describe(buzz)) > 2.5
    assert strangeness(describe(noise)) > 2.5


# ---- the set


def accuracy(features: np.ndarray, rows: list[dict[str, str]]) -> float:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels, split = np.array([row["speaker"] for row in rows]), np.array([row["split"] for row in rows])
    model = make_pipeline(StandardScaler(), svm.SVC(C=10)).fit(features[split == "train"], labels[split == "train"])
    return float(model.score(features[split == "test"], labels[split == "test"]))


def test_voices_are_told_apart_by_the_voice_and_not_by_level_or_length(
    clips: list[tuple[dict[str, str], np.ndarray]],
) -> None:
    rows = [row for row, _ in clips]
    cepstra = [librosa.feature.mfcc(y=clip, sr=RATE, n_mfcc=20) for _, clip in clips]
    voice = np.array([np.concatenate([c.mean(axis=1), c.std(axis=1)]) for c in cepstra])
    outside = np.array([[20 * np.log10(np.std(clip)), np.abs(clip).max(), len(clip)] for _, clip in clips])
    assert accuracy(voice, rows) >= 0.9
    assert accuracy(outside, rows) < 0.25
    assert accuracy(voice[:, :1], rows) < 0.5  # the mean level of the cepstrum is level again


def test_no_two_clips_are_the_same_sound(clips: list[tuple[dict[str, str], np.ndarray]]) -> None:
    size = 1 << 17
    unit = np.array([np.pad(clip / np.linalg.norm(clip), (0, 70000 - len(clip))) for _, clip in clips])
    at_zero = np.abs(unit @ unit.T) - np.eye(len(unit))
    assert at_zero.max() < 0.9
    for first in range(0, len(unit), 14):  # at any shift: within each voice, where copies would be
        spectra = np.fft.rfft(unit[first : first + 14], size)
        for a in range(13):
            shifted = np.fft.irfft(spectra[a] * np.conj(spectra[a + 1]), size)
            assert np.abs(shifted).max() < 0.9


def test_layout_splits_and_honest_words(written: Path, clips: list[tuple[dict[str, str], np.ndarray]]) -> None:
    assert len(clips) == 16 * 14
    assert list(clips[0][0]) == ["path", "speaker", "split"]
    for voice in VOICES:
        splits = [row["split"] for row, _ in clips if row["speaker"] == voice.name]
        assert (splits.count("train"), splits.count("validation"), splits.count("test")) == (10, 2, 2)
    for row, clip in clips:
        info = soundfile.info(written / row["path"])
        assert (info.subtype, info.samplerate, info.channels) == ("PCM_16", RATE, 1)
        assert 3.8 * RATE - 1 <= len(clip) <= 4.2 * RATE + 1
        assert Path(row["path"]).parts[0] == row["speaker"]
    assert sorted(p.name for p in written.iterdir() if p.is_dir()) == [voice.name for voice in VOICES]
    assert "SYNTHETIC" in (written / "README.txt").read_text(encoding="utf-8")
    assert [entry.name for entry in written.parent.iterdir()] == [written.name]


# ---- the disk

SMALL = {"count": 2, "sentences": 3, "seconds": 1.0}


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_written_twice_gives_the_same_bytes_and_a_complete_folder_is_left_alone(tmp_path: Path) -> None:
    one, two = (write_voices(tmp_path / name, **SMALL) for name in ("one", "two"))
    assert content(one) == content(two)
    before = {p: p.stat().st_mtime_ns for p in one.rglob("*")}
    write_voices(one, **SMALL)
    assert {p: p.stat().st_mtime_ns for p in one.rglob("*")} == before


@pytest.mark.parametrize("damage", ["missing clip", "cut clip", "older version", "broken marker", "other seed"])
def test_a_folder_that_is_not_whole_or_not_this_is_made_anew(tmp_path: Path, damage: str) -> None:
    folder = write_voices(tmp_path / "voices", **SMALL)
    right = content(folder)
    clip, marker = folder / "voice02" / "voice02_002.wav", folder / MARKER
    if damage == "missing clip":
        clip.unlink()
    elif damage == "cut clip":
        clip.write_bytes(clip.read_bytes()[:1000])
    elif damage == "older version":
        marker.write_text(json.dumps({**json.loads(marker.read_text()), "version": VERSION - 1}))
    elif damage == "broken marker":
        marker.write_text("[1, 2")
    else:
        write_voices(folder, **SMALL, seed=9)
        assert content(folder) != right
    write_voices(folder, **SMALL)
    assert content(folder) == right
    assert [entry.name for entry in tmp_path.iterdir()] == ["voices"]


def test_a_folder_of_the_users_own_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.wav").write_bytes(b"mine")
    (tmp_path / "file").write_bytes(b"mine")
    for name in ("mine", "file"):
        with pytest.raises(Unusable, match="something else"):
            write_voices(tmp_path / name, **SMALL)
    assert content(tmp_path) == {"mine/song.wav": b"mine", "file": b"mine"}
    with pytest.raises(Unusable, match="3 or more"):
        write_voices(tmp_path / "few", sentences=2)


CHILD = "import sys; from xfer.train.data.voices import write_voices; write_voices(sys.argv[1], int(sys.argv[2]))"


def start(folder: Path, count: int = 16) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(count)], stderr=subprocess.PIPE)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_leaves_no_half_folder(tmp_path: Path, stop: signal.Signals) -> None:
    folder = tmp_path / "voices"
    child = start(folder)
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob(".voices-*/voice02")):  # it writes
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(stop)
    child.communicate(timeout=60)
    assert child.returncode != 0
    assert not folder.exists()
    drafts = list(tmp_path.iterdir())
    assert len(drafts) == (0 if stop == signal.SIGINT else 1)  # nobody can tidy up after SIGKILL ...
    for draft in drafts:
        os.utime(draft, (time.time() - 7200,) * 2)
    write_voices(folder, **SMALL)
    assert [entry.name for entry in tmp_path.iterdir()] == ["voices"]  # ... but the next run does


def test_two_at_once_both_end_well(tmp_path: Path) -> None:
    children = [start(tmp_path / "voices", count=4) for _ in range(2)]
    for child in children:
        _, error = child.communicate(timeout=300)
        assert child.returncode == 0, error.decode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["voices"]
    assert len(list((tmp_path / "voices").rglob("*.wav"))) == 4 * 14


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk (root)")
    try:
        with pytest.raises(NotThere, match=r"no space .* free 29 MB"):
            write_voices(disk / "voices")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotThere, match="cannot write the synthetic voices"):
        write_voices(tmp_path / "file" / "voices", **SMALL)
