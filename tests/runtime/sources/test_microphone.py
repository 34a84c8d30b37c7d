"""The microphone: the ring loses the oldest and counts it; the real way from PortAudio to events."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.tiny import melody, tone, write_tiny
from tests.virtual_microphone import VirtualMicrophone, virtual_microphone
from xfer.runtime.sources.ring import Ring


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.one_of(st.integers(1, 50), st.just(0), st.integers(-3, -1)), max_size=60),
    capacity=st.integers(1, 120),
)
def test_the_ring_loses_the_oldest_and_counts_exactly(steps: list[int], capacity: int) -> None:
    """Positive: put so many; 0: get; negative: so many never arrived. Every sample's number is its value."""
    ring = Ring(capacity)
    written, read, pending = 0, 0, 0
    for step in [*steps, *[0] * 61]:
        if step < 0:
            pending -= step
        elif step > 0:
            written += pending
            ring.put(np.arange(written, written + step, dtype=np.float32), float(written), pending)
            written, pending = written + step, 0
        else:
            found = ring.get(0)
            if found is None:
                continue
            frames, arrived, missing = found
            assert frames[0] == arrived == read + missing
            read += missing + len(frames)
    assert read == written, "samples and losses do not add up"


def test_a_ring_that_keeps_up_loses_nothing() -> None:
    ring = Ring(1000)

    def write() -> None:
        for i in range(300):
            ring.put(np.full((7, 2), i, np.float32), time.monotonic())
            time.sleep(0.0005)

    thread = threading.Thread(target=write)
    thread.start()
    got, lost = 0, 0
    while got < 300:
        found = ring.get(1)
        assert found is not None
        assert found[0].shape == (7, 2)
        assert (found[0] == got).all()
        got, lost = got + 1, lost + found[2]
    thread.join()
    assert lost == 0
    begin = time.monotonic()
    assert ring.get(0.1) is None
    assert time.monotonic() - begin >= 0.09


def test_a_ring_holds_no_more_than_its_capacity() -> None:
    ring = Ring(100)
    for i in range(1000):
        ring.put(np.full(10, i, np.float32), 0.0)
    found = ring.get(0)
    assert found is not None
    assert found[0][0] == 990, "the oldest that is left"
    assert found[2] == 9_900


HEALTH = ("--health", "0.3")


class Listening:
    """`xfer listen --task speaker --jsonl` as a process."""

    def __init__(self, env: dict[str, str], *arguments: str) -> None:
        self._talk = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xfer.cli", "listen", "--task", "speaker", "--jsonl", *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._talk,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def next_event(self, timeout: float) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(self._lines.get(timeout=timeout))
        except queue.Empty:
            raise AssertionError(f"no event in {timeout} s; it says: {self.talk()}") from None
        return document

    def next_of(self, kind: str, state: str = "", label: str = "", timeout: float = 25) -> dict[str, Any]:
        """The next line of a kind; of health, in this state; of events, with this label."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            found = self.next_event(max(0.1, until - time.monotonic()))
            here = found.get("health", {}).get("state"), found["label"]
            if found["kind"] == kind and state in ("", here[0]) and label in ("", here[1]):
                return found
        raise AssertionError(f"no {kind} {state} in {timeout} s; it says: {self.talk()}")

    def wait_until_it_records(self, timeout: float = 25) -> None:
        """Until its health tells of a second of sound; opening a device may take that long."""
        until = time.monotonic() + timeout
        while self.next_of("health")["start"] < 1.0:
            assert time.monotonic() < until, f"it says: {self.talk()}"

    def end(self, timeout: float = 20) -> int:
        """Its exit code."""
        return self.process.wait(timeout)

    def talk(self) -> str:
        """What it said on stderr so far."""
        self._talk.seek(0)
        return self._talk.read()

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self._talk.close()


@pytest.fixture(scope="module")
def microphone() -> Iterator[VirtualMicrophone]:
    with virtual_microphone(48_000) as found:
        yield found


@pytest.mark.parametrize("rate", [None, 32_000])
def test_a_recording_played_into_the_microphone_is_heard(
    microphone: VirtualMicrophone, tmp_path: Path, rate: int | None
) -> None:
    """At its own rate, and at one that was asked for."""
    model = write_tiny(tmp_path / "speaker.onnx")
    soundfile.write(tmp_path / "melody.wav", melody(1.0, 48_000), 48_000)
    more = ["--rate", str(rate)] if rate else []
    with Listening(microphone.env, "--model", str(model), "--windows", "--gate", "-50", *HEALTH, *more) as xfer:
        xfer.wait_until_it_records()
        player = threading.Thread(target=microphone.play, args=(tmp_path / "melody.wav",))
        player.start()
        labels: list[str] = []
        latencies: list[float] = []
        until = time.monotonic() + 20
        while time.monotonic() < until and labels != ["low", "high", "middle"]:
            event = xfer.next_event(5)
            assert event["kind"] != "gap", "samples were lost"
            if event["kind"] == "health":
                continue
            assert event["source"] == "microphone"
            assert event["start"] > 0.5, "silence was not left out"
            latencies.append(event["latency_ms"])
            if event["score"] > 0.8 and event["label"] not in labels[-1:]:
                labels.append(event["label"])
        player.join()
        assert labels == ["low", "high", "middle"]
        assert event["dropped"] == 0
        assert 0 <= np.median(latencies) < 500
        xfer.process.send_signal(signal.SIGINT)
        assert xfer.end() == 130
        assert re.search(rf"at {rate or '(44100|48000)'} Hz", xfer.talk())
        for noise in ("Traceback", "ALSA"):
            assert noise not in xfer.talk()


def test_a_wrong_microphone_is_met_with_those_that_are_here(microphone: VirtualMicrophone, tmp_path: Path) -> None:
    model = write_tiny(tmp_path / "speaker.onnx")
    with Listening(microphone.env, "--model", str(model), "--mic", "no such microphone") as xfer:
        assert xfer.end() == 3
        assert re.search(r"here are: .*(default|pulse)", xfer.talk())


@pytest.mark.parametrize("way", ["removed", "suspended"])
def test_a_microphone_that_goes_away_is_told_and_comes_back(tmp_path: Path, way: str) -> None:
    """It is heard before and after; between lies a gap as long as it was away, in stream time."""
    model = write_tiny(tmp_path / "speaker.onnx")
    soundfile.write(tmp_path / "tone.wav", tone(1500, 1.5, 44_100), 44_100)
    words = ("--model", str(model), "--gate", "-50", *HEALTH)
    with virtual_microphone(44_100) as short, Listening(short.env, *words) as xfer:
        xfer.wait_until_it_records()
        short.play(tmp_path / "tone.wav")
        before = xfer.next_of("event", label="middle")
        away = time.monotonic()
        if way == "removed":
            short.remove()
        else:
            short.suspend(True)
        assert "went away" in xfer.next_of("health", "lost")["health"]["text"]
        assert time.monotonic() - away < 8, "suspended, it is missed when it has been silent for 5 s"
        time.sleep(1.0)
        if way == "removed":
            short.put_back()
        else:
            short.suspend(False)
        back = xfer.next_of("health", "listening")
        gone = time.monotonic() - away
        assert gone < 20
        short.play(tmp_path / "tone.wav")
        gap, after = xfer.next_of("gap"), xfer.next_of("event", label="middle")
        assert after["start"] > gap["end"] > gap["start"] > before["end"] - 0.1
        assert gap["end"] - gap["start"] == pytest.approx(gone, abs=1.5)
        assert after["dropped"] == pytest.approx(gap["dropped"])
        assert gap["dropped"] == pytest.approx((gap["end"] - gap["start"]) * 44_100, abs=2)
        assert "is back" in back["health"]["text"] or "is back" in xfer.talk()
        xfer.process.send_signal(signal.SIGTERM)
        assert xfer.end() == 0
        assert "Traceback" not in xfer.talk()


def test_two_listeners_on_one_microphone(microphone: VirtualMicrophone, tmp_path: Path) -> None:
    """PulseAudio gives it to both; each hears all of it."""
    model = write_tiny(tmp_path / "speaker.onnx")
    soundfile.write(tmp_path / "tone.wav", tone(3000, 1.0, 48_000), 48_000)
    words = ("--model", str(model), "--gate", "-50", *HEALTH)
    with Listening(microphone.env, *words) as one, Listening(microphone.env, *words) as other:
        for each in (one, other):
            each.wait_until_it_records()
        microphone.play(tmp_path / "tone.wav")
        for each in (one, other):
            each.next_of("event", label="high")


def test_without_a_microphone_the_file_form_is_named(tmp_path: Path) -> None:
    pytest.importorskip("sounddevice", reason="sounddevice is not here; it comes with: pip install 'xfer[mic]'")
    model = write_tiny(tmp_path / "speaker.onnx")
    env = {key: value for key, value in os.environ.items() if not key.startswith("PULSE_")}
    env |= {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    with Listening(env, "--model", str(model)) as xfer:
        try:
            code = xfer.end(10)
        except subprocess.TimeoutExpired:
            pytest.skip("this machine has a microphone")
        assert code == 3
        last = xfer.talk().splitlines()[-1]
        assert "microphone" in last or "PortAudio" in last
        assert "xfer listen --task speaker FILE" in last
        assert "ALSA" not in xfer.talk()


@pytest.mark.parametrize(
    ("raises", "says"),
    [
        ("ModuleNotFoundError('No module named sounddevice')", "pip install 'xfer[mic]'"),
        ("OSError('PortAudio library not found')", "apt-get install libportaudio2"),
    ],
)
def test_what_the_microphone_needs_is_named(tmp_path: Path, raises: str, says: str) -> None:
    """A `sounddevice` that fails on import, as it does where it or PortAudio is missing."""
    model = write_tiny(tmp_path / "speaker.onnx")
    (tmp_path / "sounddevice.py").write_text(f"raise {raises}")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    with Listening(env, "--model", str(model)) as xfer:
        assert xfer.end() == 3
        assert says in xfer.talk()


def test_a_tone_keeps_its_height_through_the_microphone(microphone: VirtualMicrophone, tmp_path: Path) -> None:
    """What arrives, measured: a wrong rate anywhere on the way would move the tone."""
    code = (
        "import numpy as np\n"
        "from xfer.runtime.sources.microphone import Microphone\n"
        "from xfer.runtime.audio import resample\n"
        "mic = Microphone(rate=48_000)\n"
        "held = []\n"
        "for block in mic.blocks():\n"
        "    held.append(block.samples)\n"
        "    if sum(map(len, held)) > 3 * 48_000: mic.stop()\n"
        "mic.close()\n"
        "wave = resample(np.concatenate(held), mic.rate, 16_000)[-16_000:]\n"
        "spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))\n"
        "print(int(spectrum.argmax()), float(np.abs(wave).max()))\n"
    )
    soundfile.write(tmp_path / "tone.wav", tone(1234, 5.5, 48_000), 48_000)
    thread = threading.Thread(target=microphone.play, args=(tmp_path / "tone.wav",))
    thread.start()
    time.sleep(1)
    run = subprocess.run([sys.executable, "-c", code], env=microphone.env, capture_output=True, text=True, timeout=60)
    thread.join()
    assert run.returncode == 0, run.stderr
    hz, peak = run.stdout.split()
    assert abs(int(hz) - 1234) <= 1
    assert 0.45 < float(peak) < 0.55


def test_a_rate_that_the_microphone_refuses(microphone: VirtualMicrophone) -> None:
    """Its own rate is taken; one that was asked for and refused is named."""
    code = (
        "from xfer.runtime.sources.microphone import Microphone\n"
        "from xfer.runtime.errors import NotThere\n"
        "mic = Microphone()\n"
        "assert len(next(block for block in mic.blocks() if len(block.samples)).samples)\n"
        "mic.close()\n"
        "print(mic.rate == mic.info.rate, mic.rate)\n"
        "for wrong in ({'rate': 700_000}, {'channel': 4_000}):\n"
        "    try: Microphone(**wrong)\n"
        "    except NotThere as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], env=microphone.env, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    first, second, third = run.stdout.splitlines()
    assert first in ("True 44100", "True 48000")
    assert "does not open at 700000 Hz" in second
    assert "leave --rate out" in second
    assert "there is no channel 4000" in third
