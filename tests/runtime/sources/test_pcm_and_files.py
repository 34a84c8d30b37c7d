"""Files, folders and raw PCM as sources."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.tiny import melody
from xfer.runtime.audio import decode
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.runtime.sources import PCM_FORMATS, FileSource, PcmSource, recordings_in

SUBTYPES = {"S16_LE": "PCM_16", "S24_3LE": "PCM_24", "S32_LE": "PCM_32", "FLOAT_LE": "FLOAT", "U8": "PCM_U8"}


@contextmanager
def pipe_of(content: bytes, sizes: list[int]) -> Iterator[int]:
    """A pipe into which another thread writes in blocks of these sizes."""
    reading, writing = os.pipe()

    def write() -> None:
        at, turn = 0, 0
        while at < len(content):
            size = sizes[turn % len(sizes)]
            os.write(writing, content[at : at + size])
            at, turn = at + size, turn + 1
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield reading
    finally:
        thread.join()
        os.close(reading)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("name", PCM_FORMATS)
def test_raw_samples_are_those_of_the_same_wav(tmp_path: Path, name: str, channels: int) -> None:
    """The oracle is libsndfile: the bytes of a WAV's data chunk are the raw form."""
    noise = np.random.default_rng(4).integers(-(2**31), 2**31, (5_000, channels)).astype(np.int32)
    frames = noise if name != "FLOAT_LE" else noise / 2**31
    soundfile.write(tmp_path / "a.wav", frames, 16_000, subtype=SUBTYPES[name])
    whole = (tmp_path / "a.wav").read_bytes()
    at = whole.index(b"data") + 8
    body = whole[at : at + 5_000 * channels * PCM_FORMATS[name].width]
    with pipe_of(body, [1, 333, 4_097, 7]) as pipe:
        source = PcmSource(pipe, 16_000, channels, name)
        heard = np.concatenate([block.samples for block in source.blocks()])
    np.testing.assert_array_equal(heard, decode(tmp_path / "a.wav").samples)
    assert source.notes == ()


def test_an_end_inside_a_frame_is_told() -> None:
    with pipe_of(bytes(1003), [100]) as pipe:
        source = PcmSource(pipe, channels=2)
        assert sum(len(block.samples) for block in source.blocks()) == 250
    assert "last 3 bytes" in source.notes[0]


def test_no_sound_on_the_pipe_is_told() -> None:
    with pipe_of(b"", [1]) as pipe, pytest.raises(Unusable, match="no sound came"):
        list(PcmSource(pipe).blocks())


@pytest.mark.parametrize(
    ("settings_", "says"),
    [({"sample_format": "S16"}, "did you mean 'S16_LE'"), ({"rate": 0}, "0 Hz"), ({"channels": 0}, "0 channels")],
)
def test_wrong_settings_are_refused(settings_: dict[str, object], says: str) -> None:
    with pytest.raises(Unusable, match=says):
        PcmSource(0, **settings_)  # type: ignore[arg-type]


def test_a_pipe_that_says_nothing_can_be_stopped() -> None:
    reading, writing = os.pipe()
    source = PcmSource(reading)
    threading.Timer(0.3, source.stop).start()
    begin = time.monotonic()
    assert not any(len(block.samples) for block in source.blocks())
    assert time.monotonic() - begin < 2
    os.close(reading)
    os.close(writing)


def test_a_live_pipe_is_heard_at_once() -> None:
    reading, writing = os.pipe()
    blocks = PcmSource(reading).blocks()
    for count in (1, 400):
        before = time.monotonic()
        os.write(writing, bytes(2 * count))
        block = next(block for block in blocks if len(block.samples))
        assert len(block.samples) == count
        assert before <= block.arrived <= time.monotonic()
    os.close(writing)
    assert not any(len(block.samples) for block in blocks)
    os.close(reading)


@settings(max_examples=20, deadline=None)
@given(data=st.binary(min_size=1, max_size=600), name=st.sampled_from(sorted(PCM_FORMATS)), channels=st.integers(1, 9))
def test_any_bytes_are_read(data: bytes, name: str, channels: int) -> None:
    frames = len(data) // (PCM_FORMATS[name].width * channels)
    with pipe_of(data, [5]) as pipe:
        source = PcmSource(pipe, channels=channels, sample_format=name)
        if frames == 0:
            with pytest.raises(Unusable):
                list(source.blocks())
            return
        assert sum(len(block.samples) for block in source.blocks()) == frames


def test_a_file_is_heard_whole_with_its_notes(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.tile(melody(), 10), 16_000)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:-100_000])
    source = FileSource(tmp_path / "a.wav")
    heard = np.concatenate([block.samples for block in source.blocks()])
    source.close()
    np.testing.assert_array_equal(heard, decode(tmp_path / "a.wav").samples)
    assert source.notes == decode(tmp_path / "a.wav").notes != ()
    assert source.name == str(tmp_path / "a.wav")


def test_a_folder_is_searched_and_sorted(tmp_path: Path) -> None:
    for name in ("b.wav", "A.FLAC", "sub/c.mp3", "sub/.hidden.wav", "notes.txt", "sub/d.opus"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.wav").mkdir()
    assert [path.relative_to(tmp_path).as_posix() for path in recordings_in(tmp_path)] == [
        "A.FLAC", "b.wav", "sub/c.mp3", "sub/d.opus"
    ]  # fmt: skip
    with pytest.raises(Unusable, match="no recordings"):
        recordings_in(tmp_path / "folder.wav")
    with pytest.raises(FileNotThere):
        recordings_in(tmp_path / "none")
