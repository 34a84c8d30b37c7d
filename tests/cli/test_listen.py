"""`xfer listen` as a user meets it: exit codes, what is said, how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.runtime.tiny import TONES, melody, tiny_card, tiny_graph, write_model, write_tiny
from xfer.cli.app import main

XFER = [sys.executable, "-m", "xfer.cli"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `models/speaker.onnx` and `melody.wav`, and no model elsewhere but those that ship."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XFER_MODELS", raising=False)
    monkeypatch.setattr("xfer.runtime.models.shipped_models", lambda: tmp_path / "shipped")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    write_tiny(tmp_path / "models" / "speaker.onnx")
    soundfile.write(tmp_path / "melody.wav", melody(), 16_000)
    return tmp_path


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(lab: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run a command line here: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "\x1b[" not in out + err
        return code, out, err

    return run


def test_a_file_is_listened_to(call: Call) -> None:
    code, out, err = call("listen", "--task", "speaker", "melody.wav")
    assert code == 0
    assert {line.split()[4] for line in out.splitlines()} == set(TONES)
    assert "models/speaker.onnx" in err
    assert "ONNX Runtime" in err
    assert "synthetic" in err
    assert "uncalibrated" in err


def test_json_lines_and_nothing_else_on_stdout(call: Call) -> None:
    code, out, err = call("listen", "melody.wav", "--task", "speaker", "--jsonl", "--quiet", "--top", "2")
    assert code == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert all(len(event["top"]) == 2 for event in events)
    assert events[-1]["end"] == pytest.approx(1.8)
    assert err == ""


def test_what_a_card_promises_is_not_warned_about(call: Call, lab: Path) -> None:
    write_tiny(lab / "models" / "speaker.onnx", threshold=0.5, threshold_origin="test", data={"name": "real"})
    err = call("listen", "melody.wav", "--task", "speaker")[2]
    assert "synthetic" not in err
    assert "uncalibrated" not in err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--task", "speeker", "melody.wav"], 2, "did you mean 'speaker'"),
        (["--task", "command", "melody.wav"], 3, "looked in models"),
        (["melody.wav"], 2, "--task speaker"),
        (["--taks", "speaker"], 2, "--task"),
        (["--task", "speaker", "none.wav"], 3, "none.wav does not exist"),
        (["--task", "speaker", "models/speaker.onnx"], 2, "no recording"),
        (["--task", "genre", "--model", "models/speaker.onnx", "melody.wav"], 2, "for task 'speaker'"),
        (["--task", "speaker", "--model", "none.onnx", "melody.wav"], 3, "none.onnx does not exist"),
        (["--task", "speaker", "melody.wav", "--rate", "8000"], 2, "raw PCM"),
        (["--task", "speaker", "melody.wav", "--mic", "1"], 2, "two sources"),
        (["--task", "speaker", "--format", "S16_LE"], 2, "stdin"),
        (["--task", "speaker", "-", "--format", "S16"], 2, "S16_LE"),
        (["--task", "speaker", "-", "--rate", "0"], 2, "rate"),
        (["--task", "speaker", "melody.wav", "--hop", "0"], 2, "--hop"),
        (["--task", "speaker", "melody.wav", "--hop", "soon"], 2, "hop"),
        (["--task", "speaker", "melody.wav", "--threads", "0"], 2, "threads"),
        (["--task", "speaker", "melody.wav", "--device", "tpu"], 2, "auto, cpu, cuda"),
        (["--task", "speaker", "models"], 2, "no recordings"),
    ],
)
def test_wrong_usage_is_one_sentence_with_the_way_out(call: Call, words: list[str], code: int, says: str) -> None:
    found, out, err = call("listen", *words)
    assert found == code, err
    assert says in err
    assert out == ""


def test_samples_that_are_no_sound_are_told_and_not_answered(call: Call, lab: Path) -> None:
    wave = melody()
    wave[9_000:9_100] = np.nan
    soundfile.write(lab / "nan.wav", wave, 16_000, subtype="FLOAT")
    code, out, err = call("listen", "--task", "speaker", "nan.wav", "--jsonl", "--quiet")
    assert code == 0
    assert "NaN" not in out
    assert [event["kind"] for event in map(json.loads, out.splitlines())].count("gap") == 1
    assert "from 0.562 s to 0.569 s" in err


def test_a_cut_file_is_told(call: Call, lab: Path) -> None:
    whole = (lab / "melody.wav").read_bytes()
    (lab / "melody.wav").write_bytes(whole[: len(whole) // 2])
    code, out, err = call("listen", "--task", "speaker", "melody.wav", "--quiet")
    assert code == 0
    assert out
    assert err == "melody.wav: cut off: 0.9 s of 1.8 s announced\n"


def test_a_folder_goes_on_after_a_broken_file(call: Call, lab: Path) -> None:
    for name in ("a", "c"):
        soundfile.write(lab / f"{name}.flac", melody(), 16_000)
    (lab / "b.flac").write_text("no recording")
    code, out, err = call("listen", "--task", "speaker", ".", "--jsonl")
    assert code == 1
    assert list(dict.fromkeys(event["source"] for event in map(json.loads, out.splitlines()))) == [
        "a.flac", "c.flac", "melody.wav"
    ]  # fmt: skip
    assert err.count("b.flac") == 1
    assert "1 of 4" in err
    (lab / "b.flac").unlink()
    assert call("listen", "--task", "speaker", ".")[0] == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no model", "no ONNX model"),
        (bytes(range(256)) * 20, "no ONNX model"),
        (tiny_graph, "without a card"),
        (lambda: write_model(Path("x.onnx"), '{"schema": 99}'), "upgrade"),
        (lambda: write_model(Path("x.onnx"), tiny_card(window=4_001)), "window 4001"),
    ],
)
def test_a_foreign_model_is_refused(call: Call, lab: Path, content: Any, says: str) -> None:
    made = content() if callable(content) else content
    (lab / "m.onnx").write_bytes(
        made if isinstance(made, bytes) else made.read_bytes() if isinstance(made, Path) else made.SerializeToString()
    )
    for words in (["listen", "--task", "speaker", "--model", "m.onnx", "melody.wav"], ["verify", "m.onnx"]):
        code, out, err = call(*words)
        assert (code, out) == (2, "")
        assert says in err
        assert len(err.splitlines()) == 1


def events_of(out: str) -> list[tuple[Any, ...]]:
    found = [json.loads(line) for line in out.splitlines()]
    return [(one["start"], one["end"], one["label"], one["score"], one["top"]) for one in found]


def piped(words: list[str], content: bytes, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*XFER, "listen", *words], input=content, capture_output=True, cwd=cwd, timeout=60)


@pytest.mark.parametrize(("more_words", "least"), [([], 3), (["--windows"], 11), (["--gate", "off", "--early"], 6)])
def test_a_file_and_stdin_are_one(call: Call, lab: Path, more_words: list[str], least: int) -> None:
    wave = (melody() * 32_767).astype("<i2")
    soundfile.write(lab / "melody.wav", wave, 16_000)
    words = ["--task", "speaker", "--jsonl", *more_words]
    file = events_of(call("listen", "melody.wav", *words)[1])
    assert len(file) >= least
    forms: list[tuple[list[str], bytes]] = [
        ([], wave.tobytes()),
        (["--format", "FLOAT_LE"], (wave / 32_768).astype("<f4").tobytes()),
        (["--format", "S32_LE", "--channels", "2"], np.repeat(wave.astype("<i4") * 65_536, 2).tobytes()),
    ]
    for more, content in forms:
        run = piped(["-", *words, *more], content, lab)
        assert run.returncode == 0, run.stderr
        assert events_of(run.stdout.decode()) == file


def test_nothing_on_stdin(lab: Path) -> None:
    run = piped(["-", "--task", "speaker"], b"", lab)
    assert run.returncode == 2
    assert b"no sound came on stdin" in run.stderr


def start(lab: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*XFER, "listen", "-", "--task", "speaker", *words],
        cwd=lab,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # what is read here must not be held back from `communicate`
    )


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_an_end_when_told(lab: Path, sign: signal.Signals, code: int) -> None:
    process = start(lab, "--jsonl")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write((melody() * 32_767).astype("<i2").tobytes())  # fits a pipe
    process.stdin.flush()
    first = process.stdout.readline()
    begin = time.monotonic()
    process.send_signal(sign)
    out, err = process.communicate(timeout=10)
    assert time.monotonic() - begin < 2
    assert process.returncode == code, err
    assert all(json.loads(line) for line in [first, *out.splitlines()]), "a line is torn"
    if sign == signal.SIGINT:
        assert b"stopped after" in err
    assert b"Traceback" not in err


def test_a_reader_that_goes_away(lab: Path) -> None:
    soundfile.write(lab / "long.wav", np.tile(melody(), 100), 16_000)
    command = f"{' '.join(XFER)} listen --task speaker long.wav --jsonl 2>talk | head -1"
    run = subprocess.run(["bash", "-c", command], cwd=lab, capture_output=True, timeout=60)
    assert json.loads(run.stdout)["start"] == 0
    talk = (lab / "talk").read_text()
    assert "Traceback" not in talk
    assert "Pipe" not in talk


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk(lab: Path) -> None:
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [*XFER, "listen", "--task", "speaker", "melody.wav"],
            cwd=lab,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert run.returncode == 3
    assert b"disk is full" in run.stderr
    assert b"Traceback" not in run.stderr


def on_a_terminal(lab: Path, env: dict[str, str]) -> str:
    """What `xfer listen -` draws on a terminal while a melody comes in."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*XFER, "listen", "-", "--task", "speaker"],
        cwd=lab,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"} | env,
        stdin=subprocess.PIPE,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    assert process.stdin is not None
    wave = (melody() * 32_767).astype("<i2").tobytes()
    for at in range(0, len(wave), 8_000):
        process.stdin.write(wave[at : at + 8_000])
        process.stdin.flush()
        time.sleep(0.05)
    process.stdin.close()
    shown = b""
    while process.poll() is None or select.select([leader], [], [], 0.2)[0]:
        try:
            shown += os.read(leader, 65_536)
        except OSError:  # the other end is closed
            break
    os.close(leader)
    assert process.wait(20) == 0
    return shown.decode()


def test_the_live_view_and_the_lines_above_it(lab: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key == "NO_COLOR"}
    assert not environment, "NO_COLOR is set: nothing is drawn"
    shown = on_a_terminal(lab, {})
    assert "\x1b[" in shown
    assert "dBFS" in shown
    assert "█" in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert len(re.findall(r"0:01\.\d\d - 0:01\.80  middle", plain)) == 1, "a line is lost or doubled"


def test_nothing_is_drawn_with_no_color(lab: Path) -> None:
    shown = on_a_terminal(lab, {"NO_COLOR": "1"})
    assert "\x1b[" not in shown
    assert "dBFS" not in shown
    assert "middle" in shown
