"""One pass over a file gives what decoding and resampling it whole gives."""

import hashlib
import subprocess
import sys
import zlib

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.runtime.audio import load
from xfer.train.data.decoding import PIECE_SECONDS, Job, inspect, quantize

WHOLE = ((0.0, None),)


def joined(found, rate):
    return np.concatenate([piece.values * np.float32(piece.scale) for piece in found.pieces if piece.rate == rate])


@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 7.9))
def test_a_quantized_sample_is_at_most_half_a_step_off(seed, peak):
    rng = np.random.default_rng(seed)
    samples = rng.uniform(-1, 1, 500).astype(np.float32)
    samples *= np.float32(peak) / np.abs(samples).max()
    piece = quantize(samples, 16000)
    assert np.abs(piece.values * np.float64(piece.scale) - samples).max() <= 0.51 * piece.scale
    assert piece.scale <= 1.01 * peak / 32767
    assert piece.crc == zlib.crc32(piece.values.tobytes())


@given(st.lists(st.integers(-32767, 32767), min_size=1, max_size=200))
def test_sixteen_bits_come_back_bit_by_bit(values):
    samples = (np.array(values) / 32768).astype(np.float32)
    piece = quantize(samples, 16000)
    assert np.array_equal(piece.values * np.float32(piece.scale), samples)


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        ("spoken_digits", "three/*.wav"),
        ("libri_vctk_layout", "**/*.flac"),
        ("music_fma_layout", "**/*.mp3"),
        ("esc10", "audio/*.ogg"),
        ("urbansound8k_mini", "audio/*/*.wav"),
    ],
)
def test_pieces_are_what_load_gives_in_every_format(folder, pattern):
    for path in sorted(recordings(folder).glob(pattern))[:3]:
        found = inspect(Job(path, "", WHOLE, (16000, 22050)))
        about = soundfile.info(path)
        assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (found.rate, found.facts[0].rate, found.facts[0].channels) == (
            about.samplerate,
            about.samplerate,
            about.channels,
        )
        for rate in (16000, 22050):
            whole = load(path, rate).samples
            mine = joined(found, rate)
            assert mine.shape == whole.shape
            assert np.abs(mine - whole).max() <= 0.51 * max(piece.scale for piece in found.pieces)


def test_a_long_file_is_cut_into_pieces_that_join_without_a_seam(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "long.flac"
    soundfile.write(path, rng.uniform(-0.5, 0.5, int(44100 * 130.3)), 44100)
    found = inspect(Job(path, "", WHOLE, (16000,)))
    assert [len(piece.values) for piece in found.pieces][:-1] == [PIECE_SECONDS * 16000] * 2
    whole = load(path, 16000).samples
    assert joined(found, 16000).shape == whole.shape
    assert np.abs(joined(found, 16000) - whole).max() < 2e-5


def test_facts_of_stretches_are_those_of_their_own_samples(tmp_path):
    rate = 16000
    tone = np.sin(2 * np.pi * 300 * np.arange(rate) / rate)
    sound = np.concatenate([0.1 * tone, np.zeros(rate), 0.8 * tone, 1e-5 * tone])
    path = tmp_path / "stretches.wav"
    soundfile.write(path, sound, rate, subtype="FLOAT")
    stretches = ((0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, None), (2.0, 0.05), (9.0, 1.0), (2.5, 9.0))
    facts = inspect(Job(path, "", stretches, ())).facts
    assert [each.fault for each in facts] == [None, "silent", None, "silent", "short", "short", None]
    assert [round(each.seconds, 3) for each in facts] == [1.0, 1.0, 1.0, 1.0, 0.05, 0.0, 1.5]
    assert facts[0].level_dbfs == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.01)
    assert facts[2].level_dbfs == pytest.approx(20 * np.log10(0.8 / np.sqrt(2)), abs=0.01)


def test_what_cannot_be_used_is_a_fault_and_its_sentence_names_no_other_place(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no recording\n")
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan, 0.2] * 1000, dtype=np.float32), 8000, subtype="FLOAT")
    kinds = {}
    for name in ("empty.wav", "text.wav", "nan.wav", "folder.wav", "gone.wav"):
        found = inspect(Job(tmp_path / name, "", WHOLE, (16000,)))
        assert found.pieces == ()
        assert "{path}" in found.facts[0].message
        assert str(tmp_path) not in found.facts[0].message
        kinds[name] = found.facts[0].fault
    assert kinds == {
        "empty.wav": "empty",
        "text.wav": "unreadable",
        "nan.wav": "unreadable",
        "folder.wav": "unreadable",
        "gone.wav": "unreadable",
    }


def test_workers_import_no_torch():
    code = "import sys, xfer.train.data.decoding; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
