"""What files announce by themselves, against what is in them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.recordings import recordings
from xfer.runtime.audio import decode
from xfer.runtime.container import announced

NOISE = (0.3 * np.random.default_rng(1).standard_normal(200_000)).astype(np.float32).clip(-1, 1)
FORMS = {
    "a.wav": ("WAV", "PCM_16"),
    "a.24.wav": ("WAV", "PCM_24"),
    "a.ulaw.wav": ("WAV", "ULAW"),
    "a.adpcm.wav": ("WAV", "IMA_ADPCM"),
    "a.ext.wav": ("WAVEX", "FLOAT"),
    "a.rf64": ("RF64", "PCM_16"),
    "a.flac": ("FLAC", "PCM_16"),
    "a.ogg": ("OGG", "VORBIS"),
    "a.opus": ("OGG", "OPUS"),
    "a.mp3": ("MP3", "MPEG_LAYER_III"),
}


def write(path: Path, rate: int = 48_000, channels: int = 1) -> bytes:
    form, subtype = FORMS[path.name]
    soundfile.write(path, np.repeat(NOISE[:, None], channels, axis=1), rate, format=form, subtype=subtype)
    return path.read_bytes()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", FORMS)
def test_a_whole_file_is_not_called_cut(tmp_path: Path, name: str, channels: int) -> None:
    write(tmp_path / name, channels=channels)
    recording = decode(tmp_path / name)
    assert recording.notes == ()
    said = announced(tmp_path / name)
    assert not said.cut
    if said.samples is not None:
        assert abs(said.samples - len(recording.samples)) <= 1


@pytest.mark.parametrize("share", [0.35, 0.6, 0.97])
@pytest.mark.parametrize("name", FORMS)
def test_a_cut_file_is_called_cut(tmp_path: Path, name: str, share: float) -> None:
    whole = write(tmp_path / name)
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    recording = decode(tmp_path / name)
    assert len(recording.samples) < len(NOISE)
    assert len(recording.notes) >= 1
    assert "cut off" in recording.notes[0]
    if name.endswith((".wav", ".flac", ".mp3")) and "adpcm" not in name:
        assert "of 4.2 s announced" in recording.notes[0]


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF])
def test_a_wav_from_a_pipe_announces_no_length(tmp_path: Path, size: int) -> None:
    whole = bytearray(write(tmp_path / "a.wav"))
    at = whole.index(b"data") + 4
    whole[at : at + 4] = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(whole)
    recording = decode(tmp_path / "a.wav")
    assert len(recording.samples) == len(NOISE)
    assert recording.notes == ("its WAV header announces no length",)


def test_an_mp3_without_a_length_cannot_be_known_to_be_cut(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mp3")
    at = max(whole.find(b"Info"), whole.find(b"Xing"))
    second = whole.index(whole[:2], at)  # the first frame holds only the header: leave it out
    (tmp_path / "a.mp3").write_bytes(whole[second:])
    recording = decode(tmp_path / "a.mp3")
    assert "announces no length" in recording.notes[0]
    (tmp_path / "a.mp3").write_bytes(whole[second : len(whole) // 2])
    assert "announces no length" in decode(tmp_path / "a.mp3").notes[0]


def test_a_vbri_header_is_read(tmp_path: Path) -> None:
    """The header that Fraunhofer's encoder writes: frames at byte 14 after `VBRI`, 36 bytes into the first frame."""
    whole = write(tmp_path / "a.mp3")
    frame = bytearray(whole[:417])
    frame[4:] = bytes(len(frame) - 4)
    frame[36:54] = b"VBRI" + struct.pack(">HHHII", 1, 0, 0, len(whole), 100)
    (tmp_path / "v.mp3").write_bytes(bytes(frame) + whole)
    version_1 = whole[1] >> 3 & 3 == 3
    assert announced(tmp_path / "v.mp3").samples == 100 * (1152 if version_1 else 576)


def test_tags_before_the_sound_are_skipped(tmp_path: Path) -> None:
    tag = b"ID3\x04\0\0" + bytes([0, 0, 2, 10]) + b"\xff\xfb\x90\0" + bytes(262)  # with a false sync inside
    for name in ("a.mp3", "a.flac"):
        whole = write(tmp_path / name)
        plain = announced(tmp_path / name)
        (tmp_path / name).write_bytes(tag + whole)
        assert announced(tmp_path / name) == plain
        assert plain.samples is not None


@pytest.mark.parametrize(
    "content", [b"", b"R", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"\xff\xfb\x90", bytes(5000)]
)
def test_stumps_announce_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stump").write_bytes(content)
    assert announced(tmp_path / "stump").samples is None


def test_real_mp3s_deliver_what_they_announce() -> None:
    for path in sorted(recordings("music_fma_layout").rglob("*.mp3"))[:30]:
        said, recording = announced(path), decode(path)
        assert said.samples is not None
        assert 0 <= said.samples - len(recording.samples) <= said.slack, path.name


def test_a_real_mp3_that_is_cut_is_told(tmp_path: Path) -> None:
    source = sorted(recordings("music_fma_layout").rglob("*.mp3"))[0]
    whole = source.read_bytes()
    (tmp_path / "cut.mp3").write_bytes(whole[: len(whole) // 3])
    announced_seconds = len(decode(source).samples) / 44_100
    assert f"of {announced_seconds:.1f} s announced" in decode(tmp_path / "cut.mp3").notes[0]
