"""Containers and network streams through PyAV: the samples, what is refused, and streams that come back."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.runtime.tiny import melody, tone
from xfer.runtime.errors import FileNotThere, NotThere, Unusable
from xfer.runtime.sources.media import MediaSource, is_address

av = pytest.importorskip("av", reason="PyAV is not here; it comes with: pip install 'xfer[media]'")


def encode(samples: np.ndarray, rate: int, codec: str, form: str) -> bytes:
    """Samples, (channels, n), in a container."""
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = {1: "mono", 2: "stereo"}[len(samples)]
        kind = stream.codec_context.codec.audio_formats[0].name
        resampler = av.AudioResampler(
            format=kind, layout=stream.layout, rate=rate, frame_size=stream.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), "fltp", stream.layout.name)
        frame.sample_rate = rate
        for each in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(each))
        container.mux(stream.encode(None))
    return out.getvalue()


def heard(source: MediaSource) -> np.ndarray:
    with closing(source):
        return np.concatenate([block.samples for block in source.blocks()])


def loudest(samples: np.ndarray, rate: int) -> float:
    """Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()])


@pytest.mark.parametrize(("codec", "form"), [("pcm_s16le", "matroska"), ("alac", "ipod"), ("pcm_f32le", "mov")])
def test_what_is_stored_exactly_is_heard_exactly(tmp_path: Path, codec: str, form: str) -> None:
    wave = (melody(0.3) * 32_767).astype(np.int16).astype(np.float32) / 32_768
    (tmp_path / "a.mkv").write_bytes(encode(np.stack([wave, np.zeros_like(wave)]), 16_000, codec, form))
    source = MediaSource(tmp_path / "a.mkv")
    assert (source.rate, source.live) == (16_000, False)
    np.testing.assert_allclose(heard(source), wave / 2, atol=1e-7)
    np.testing.assert_allclose(heard(MediaSource(tmp_path / "a.mkv", channel=1)), wave, atol=1e-7)
    with pytest.raises(Unusable, match="no channel 3"):
        heard(MediaSource(tmp_path / "a.mkv", channel=3))


@pytest.mark.parametrize(("codec", "form", "rate"), [("aac", "ipod", 44_100), ("libopus", "webm", 48_000)])
def test_a_tone_keeps_its_height_and_length(tmp_path: Path, codec: str, form: str, rate: int) -> None:
    (tmp_path / "a.x").write_bytes(encode(tone(1_234, 2.0, rate)[None], rate, codec, form))
    source = MediaSource(tmp_path / "a.x")
    samples = heard(source)
    assert source.rate == rate
    assert len(samples) / rate == pytest.approx(2.0, abs=0.06)
    assert loudest(samples, rate) == pytest.approx(1_234, abs=1)
    assert source.notes == ()


def test_what_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no container")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("text.mp4", "empty.mp4"):
        with pytest.raises(Unusable, match="no container"):
            MediaSource(tmp_path / name)
    with pytest.raises(FileNotThere):
        MediaSource(tmp_path / "none.mp4")
    with pytest.raises(Unusable, match="regular"):
        MediaSource(tmp_path)
    picture = io.BytesIO()
    with av.open(picture, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    (tmp_path / "silent.mkv").write_bytes(picture.getvalue())
    with pytest.raises(Unusable, match="no audio stream"):
        MediaSource(tmp_path / "silent.mkv")


def test_a_file_that_breaks_off_is_heard_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = encode(tone(440, 3.0, 16_000)[None], 16_000, "pcm_s16le", "matroska")
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) // 2])
    assert 1.0 < len(heard(MediaSource(tmp_path / "a.mkv"))) / 16_000 < 1.6


def test_a_playlist_reads_no_files_of_this_machine(tmp_path: Path) -> None:
    """HLS from the network that names a local file, and a local one that names the network."""
    soundfile.write(tmp_path / "secret.wav", melody(), 16_000)
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
    with served(lambda out: out.write(text.format(f"file://{tmp_path}/secret.wav").encode())) as address:
        with pytest.raises((NotThere, Unusable)):
            heard(MediaSource(f"{address}/a.m3u8"))
        asked: list[str] = []
        with served(lambda out: asked.append("asked")) as other:
            (tmp_path / "a.m3u8").write_text(text.format(f"{other}/a.ts"))
            with pytest.raises(Unusable):
                heard(MediaSource(tmp_path / "a.m3u8"))
        assert not asked


@contextmanager
def served(write: Any, **headers: str) -> Iterator[str]:
    """A server on loopback that answers whatever is asked with what `write` writes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):
                write(self.wfile)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_over_http_ends_where_it_ends() -> None:
    wave = encode(tone(700, 1.0, 16_000)[None], 16_000, "pcm_s16le", "wav")
    with served(lambda out: out.write(wave), Content_Length=str(len(wave))) as address:
        source = MediaSource(f"{address}/a.wav")
        assert not source.live
        assert len(heard(source)) == 16_000


def test_a_radio_that_goes_away_is_told_and_comes_back() -> None:
    """An endless stream of ADTS AAC that breaks off after two seconds: heard again, with the time between missing."""
    content = encode(tone(700, 2.0, 16_000)[None], 16_000, "aac", "adts")
    with served(lambda out: out.write(content), Content_Type="audio/aac") as address:
        source = MediaSource(f"{address}/radio")
        assert source.live
        news: list[str] = []
        missing = samples = 0
        for block in source.blocks():
            samples += len(block.samples)
            missing += block.missing
            if block.news is not None:
                news.append(block.news.state)
            if news.count("back") == 2:
                break
        source.stop()
        source.close()
    assert news[:4] == ["lost", "back", "lost", "back"]
    assert samples / 16_000 > 3.8
    assert missing > 0


def test_an_address_that_does_not_answer() -> None:
    began = time.monotonic()
    with pytest.raises(NotThere, match="does not answer"):
        MediaSource("http://127.0.0.1:9/none")
    assert time.monotonic() - began < 12


@pytest.mark.parametrize(
    ("text", "yes"),
    [("http://a/b", True), ("rtsp://cam", True), ("HTTPS://x", True), ("a.mp4", False), ("c:/a.mp4", False),
     ("file:///etc/passwd", False), ("concat://x", False), ("-", False), ("subfile://x", False)],
)  # fmt: skip
def test_addresses(text: str, yes: bool) -> None:
    assert is_address(text) == yes
