"""A WAV stream on stdin, as arecord writes one unless it is told otherwise: its header is read, not heard."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.sources.test_pcm_and_files import SUBTYPES, pipe_of
from xfer.runtime.errors import NotThere, Unusable
from xfer.runtime.sources import PcmSource
from xfer.runtime.sources.pcm import AHEAD_SECONDS, wav_header

FRAMES = np.random.default_rng(1).uniform(-1, 1, (2_000, 2))


def wav(subtype: str = "PCM_16", rate: int = 22_050, kind: str = "WAV") -> bytes:
    """As libsndfile writes it."""
    out = io.BytesIO()
    soundfile.write(out, FRAMES, rate, subtype=subtype, format=kind)
    return out.getvalue()


def read(content: bytes, sizes: list[int], **settings_: object) -> tuple[int, np.ndarray, tuple[str, ...]]:
    with pipe_of(content, sizes) as pipe:
        source = PcmSource(pipe, **settings_)  # type: ignore[arg-type]
        heard = [block.samples for block in source.blocks()]
        return source.rate, np.concatenate(heard), source.notes


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("name", ["S16_LE", "S24_3LE", "S32_LE", "FLOAT_LE", "U8"])
def test_its_header_is_believed(name: str, kind: str) -> None:
    content = wav(SUBTYPES[name], kind=kind)
    rate, heard, notes = read(content, [1, 333, 7])
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    assert rate == 22_050
    np.testing.assert_array_equal(heard, ((expected[:, 0] + expected[:, 1]) / np.float32(2)).astype(np.float32))
    assert notes == ()


def test_a_length_that_was_not_known_is_none_and_what_stands_after_the_samples_is_no_sound() -> None:
    content = wav()
    at = content.index(b"data") + 4
    for size in (0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x7FFFF000):
        endless = content[:at] + struct.pack("<I", size) + content[at + 4 :]
        assert len(read(endless, [999])[1]) == 2_000
    assert len(read(content + b"LIST" + struct.pack("<I", 4) + b"abcd", [999])[1]) == 2_000


def test_settings_that_say_another_thing_are_refused() -> None:
    assert read(wav(), [500], rate=22_050, channels=2)[0] == 22_050
    for wrong in ({"rate": 16_000}, {"channels": 1}, {"sample_format": "S32_LE"}):
        with pytest.raises(Unusable, match="leave --"):
            read(wav(), [5_000], **wrong)
    with pytest.raises(Unusable, match="format 7 with 8 bits"):
        read(wav("ULAW"), [500])


def test_a_channel_is_picked() -> None:
    expected = FRAMES.astype(np.float32)
    for channel in (1, 2):
        np.testing.assert_array_equal(read(wav("FLOAT"), [500], channel=channel)[1], expected[:, channel - 1])
    with pytest.raises(Unusable, match="no channel 3"):
        read(wav(), [500], channel=3)


@pytest.mark.parametrize("content", [b"RIFF", b"RIFF1234WAVX" + bytes(8), b"RIFX" + bytes(20), b"RI", b"R"])
def test_what_only_begins_like_one_is_samples(content: bytes) -> None:
    whole = content + bytes(len(content) % 2)
    assert len(read(whole, [1])[1]) == len(whole) // 2


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_header_is_too_broken(rest: bytes) -> None:
    found = None
    try:
        found = wav_header(b"RIFF0000WAVE" + rest)
    except Unusable:
        return
    assert found is None or found.bytes_long in (0, *range(20, 4_200))


def test_a_pipe_is_read_ahead_so_that_its_writer_need_not_wait() -> None:
    """While the listener is busy for a second, a writer of 5 s of sound gets rid of all of it; nothing is lost."""
    reading, writing = os.pipe()
    source = PcmSource(reading)
    done: list[float] = []
    content = np.arange(80_000, dtype="<i2").tobytes()

    def write() -> None:
        os.write(writing, content[:2])
        began = time.monotonic()
        for at in range(2, len(content), 4_096):
            os.write(writing, content[at : at + 4_096])
        done.append(time.monotonic() - began)
        os.close(writing)

    threading.Thread(target=write).start()
    blocks = source.blocks()
    heard = [next(block for block in blocks if len(block.samples))]
    time.sleep(1.0)
    assert done, "the writer had to wait"
    assert done[0] < 0.9
    heard += [block for block in blocks if len(block.samples)]
    assert b"".join((block.samples * 32_768).astype("<i2").tobytes() for block in heard) == content
    assert max(block.waiting for block in heard) > 0
    assert not any(block.hurry for block in heard), "what waits here is not lost"
    os.close(reading)


def test_it_is_not_read_ahead_without_end() -> None:
    reading, writing = os.pipe()
    source = PcmSource(reading)
    blocks = source.blocks()
    written: list[int] = []

    def write() -> None:
        try:
            for _ in range(100):
                written.append(os.write(writing, bytes(32_000)))  # a second
        except BrokenPipeError:
            return

    threading.Thread(target=write, daemon=True).start()
    next(block for block in blocks if len(block.samples))
    time.sleep(0.5)
    seconds = sum(written) / 32_000
    assert seconds < AHEAD_SECONDS + 7, "a pipe holds 2 s, a block 2 s, and one is taken"
    source.stop()
    time.sleep(0.3)
    os.close(reading)


def test_a_file_on_stdin_does_not_arrive_while_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(32_000))
    with open(tmp_path / "raw", "rb") as file:
        source = PcmSource(file.fileno())
        assert not source.live
        assert sum(len(block.samples) for block in source.blocks()) == 16_000


def test_a_descriptor_that_is_closed() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    os.close(reading)
    with pytest.raises(NotThere, match="stdin is closed"):
        PcmSource(reading)
