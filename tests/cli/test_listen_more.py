"""`xfer listen` with several models, gate, containers, WAV on a pipe; and `xfer doctor --mic`."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.cli.test_listen import Call, call, lab  # noqa: F401  fixtures
from tests.runtime.tiny import TONES, melody, write_tiny
from tests.virtual_microphone import virtual_microphone


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_several_tasks_on_one_stream(call: Call, lab: Path) -> None:  # noqa: F811
    write_tiny(lab / "models" / "command.onnx", name="other", task="command", labels=("x", "y", "z"))
    code, out, err = call("listen", "--task", "speaker", "--task", "command", "melody.wav", "--jsonl")
    assert code == 0
    events = lines(out)
    for task, labels in (("speaker", list(TONES)), ("command", ["x", "y", "z"])):
        alone = lines(call("listen", "--task", task, "melody.wav", "--jsonl")[1])
        mine = [event for event in events if event["task"] == task]
        assert [(event["start"], event["label"]) for event in mine] == [
            (event["start"], event["label"]) for event in alone
        ]
        assert {event["label"] for event in mine} == set(labels)
    assert err.count("listening with") == 2
    named = ["--model", "models/command.onnx"]
    code, out, _ = call("listen", *named, "--task", "speaker", "--task", "command", "melody.wav", "--jsonl")
    assert {event["task"] for event in lines(out)} == {"speaker", "command"}
    code, _, err = call("listen", *named, "--task", "speaker", "melody.wav")
    assert (code, "for task 'command', not 'speaker'" in err) == (2, True)


def test_silence_is_not_heard_and_this_is_said(call: Call, lab: Path) -> None:  # noqa: F811
    soundfile.write(lab / "quiet.wav", melody() * 1e-4, 16_000, subtype="FLOAT")
    code, out, err = call("listen", "--task", "speaker", "quiet.wav", "--jsonl")
    assert (code, out) == (0, "")
    assert "quiet.wav: nothing in it is above -70 dBFS: --gate off hears it all" in err
    for gate in ("off", "-100"):
        assert call("listen", "--task", "speaker", "quiet.wav", "--jsonl", "--gate", gate)[1]


def test_windows_and_events_that_begin(call: Call, lab: Path) -> None:  # noqa: F811
    words = ("listen", "--task", "speaker", "melody.wav", "--jsonl")
    whole, windows, early = (lines(call(*words, *more)[1]) for more in ([], ["--windows"], ["--early"]))
    assert {event["state"] for event in whole} == {"ended"}
    assert len(windows) > 2 * len(whole)
    assert [event for event in (dict(each) for each in early) if event["state"] == "ended"].__len__() == len(whole)
    assert {event["start"] for event in early if event["state"] == "began"} == {event["start"] for event in whole}
    assert "..." in call(*words[:-1], "--early")[1]
    assert whole[-1]["end"] == 1.8
    long = lines(call(*words, "--set", "merge_seconds=5", "--threshold", "1")[1])
    assert [(event["known"], event["start"], event["end"]) for event in long] == [(False, 0.0, 1.8)]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--gate", "maybe"], 2, "auto, off, or a level"),
        (["--set", "merge"], 2, "--set merge_seconds=2"),
        (["--set", "merge=1"], 2, "did you mean 'merge_seconds'"),
        (["--set", "averaged=many"], 2, "averaged cannot be 'many'"),
        (["--set", "averaged=0"], 2, "averaged cannot be 0"),
        (["--set", "hold=nan"], 2, "hold"),
        (["--threshold", "1.5"], 2, "threshold"),
        (["--channel", "2"], 2, "no channel 2"),
        (["--channel", "0"], 2, "channel"),
        (["-"], 2, "alone"),
    ],
)
def test_wrong_usage(call: Call, words: list[str], code: int, says: str) -> None:  # noqa: F811
    found, out, err = call("listen", "--task", "speaker", "melody.wav", *words)
    assert (found, out) == (code, ""), err
    assert says in err


def test_a_container_and_one_of_its_channels(call: Call, lab: Path) -> None:  # noqa: F811
    av = pytest.importorskip("av", reason="PyAV is not here; it comes with: pip install 'xfer[media]'")
    wave = np.stack([melody(), np.zeros_like(melody())])
    with av.open(str(lab / "clip.mkv"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16_000)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(wave.T.reshape(1, -1).astype(np.float32).copy(), "flt", "stereo")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    left = lines(call("listen", "--task", "speaker", "clip.mkv", "--channel", "1", "--jsonl")[1])
    soundfile.write(lab / "left.wav", melody(), 16_000, subtype="FLOAT")
    same = lines(call("listen", "--task", "speaker", "left.wav", "--jsonl")[1])
    assert [(event["start"], event["score"]) for event in left] == [(event["start"], event["score"]) for event in same]
    assert not call("listen", "--task", "speaker", "clip.mkv", "--channel", "2", "--jsonl")[1]
    (lab / "both").mkdir()
    for name in ("clip.mkv", "left.wav"):
        (lab / name).rename(lab / "both" / name)
    assert {event["source"] for event in lines(call("listen", "--task", "speaker", "both", "--jsonl")[1])} == {
        "both/clip.mkv",
        "both/left.wav",
    }


def test_a_container_without_pyav(lab: Path) -> None:  # noqa: F811
    (lab / "av.py").write_text("raise ImportError('no av')")
    (lab / "clip.mp4").write_bytes(b"x")
    run = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, '.')\nfrom xfer.cli.app import main\n"
         "sys.exit(main(['listen', '--task', 'speaker', 'clip.mp4']))"],
        cwd=lab, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 3
    assert "pip install 'xfer[media]'" in run.stderr


def test_a_wav_stream_on_stdin(call: Call, lab: Path) -> None:  # noqa: F811
    content = io.BytesIO()
    soundfile.write(content, melody(rate=44_100), 44_100, format="WAV")
    (lab / "a.wav").write_bytes(content.getvalue())
    command = [sys.executable, "-m", "xfer.cli", "listen", "-", "--task", "speaker", "--jsonl"]
    run = subprocess.run(command, cwd=lab, input=content.getvalue(), capture_output=True, timeout=60)
    file = lines(call("listen", "--task", "speaker", "a.wav", "--jsonl")[1])
    assert [(event["start"], event["score"]) for event in lines(run.stdout.decode())] == [
        (event["start"], event["score"]) for event in file
    ]


def test_doctor_tries_a_microphone(lab: Path) -> None:  # noqa: F811
    soundfile.write(lab / "long.wav", np.tile(melody(), 4), 16_000)
    with virtual_microphone(48_000) as microphone:
        command = [sys.executable, "-m", "xfer.cli", "doctor", "--mic", "default", "--seconds", "2"]
        player = subprocess.Popen(["paplay", "--device=virtual", str(lab / "long.wav")], env=microphone.env)
        run = subprocess.run([*command, "--json"], env=microphone.env, capture_output=True, text=True, timeout=60)
        player.wait(20)
        found = json.loads(run.stdout)
        assert found["seconds"] >= 2
        assert found["dropped"] == 0
        assert found["peak_dbfs"] == pytest.approx(-6, abs=1)
        run = subprocess.run(command, env=microphone.env, capture_output=True, text=True, timeout=60)
        assert run.returncode == 1
        assert re.search(r"problem +nothing but zeros", run.stdout)
        listed = subprocess.run(command[:4], env=microphone.env, capture_output=True, text=True, timeout=60).stdout
        assert re.search(r"microphone +\d+ 'default'.*opens at .*48000", listed)
