"""`xfer export` as a user types it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.export.conftest import checkpoint  # noqa: F401  a fixture
from tests.recordings import recordings
from xfer.cli.app import main
from xfer.train.checkpoint import Checkpoint


@pytest.fixture
def run(checkpoint: Callable[[str], Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """An empty folder with one finished run in ./runs, where the command is typed."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/speaker-convnet-1")
    folder.mkdir(parents=True)
    (folder / "best.safetensors").write_bytes(checkpoint("convnet").path.read_bytes())
    (folder / "run.json").write_text('{"state": "finished"}')
    return folder


def test_the_newest_finished_run_and_what_to_type_next(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    unfinished = Path("runs/speaker-convnet-2")
    unfinished.mkdir()
    (unfinished / "run.json").write_text('{"state": "running"}')
    assert main(["export", "--format", "onnx"]) == 0
    said = capfd.readouterr()
    assert "models/speaker.onnx" in said.out
    assert "front-end" in said.out
    for command in ("xfer verify models/speaker.onnx", "xfer listen --task speaker"):
        assert command in said.err
    assert "Warning" not in said.err
    assert (run / "parity-onnx.json").exists()
    assert main(["verify", "models/speaker.onnx"]) == 0


def test_json_is_one_document(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "export",
        str(run / "best.safetensors"),
        "--format",
        "openvino",
        "--name",
        "mine",
        "--out",
        "elsewhere",
    ]
    assert main([*arguments, "--json", "--quiet"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["path"] == "elsewhere/mine.openvino"
    assert document["parity"]["ok"]
    assert document["bytes"] > 1e6
    milliseconds = document["frontend"]["milliseconds"]
    assert document["frontend"]["form"] == min(milliseconds, key=milliseconds.get)
    assert "OpenVINO" in document["frontend"]["measured_on"]


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--format", "onx"], 2, "onnx"),
        (["--precision", "fp23"], 2, "fp32"),
        (["--name", "../elsewhere"], 2, "--name"),
        (["--frontend", "ftt"], 2, "'fft'"),
        (["nowhere.safetensors"], 3, "xfer train"),
        (["--negatives", "nowhere"], 3, "nowhere"),
        (["--negatives", "runs"], 2, "runs"),
        (["--negatives", "few"], 2, "few: 3 clips that hold no label, and 20 are needed"),
        (["--negatives", "few", "--false-accepts", "0.01"], 2, "100 are needed for 1 % false accepts"),
        (["--false-accepts", "5"], 2, "0.05 is 5 %"),
    ],
)
def test_wrong_words(words: list[str], code: int, hint: str, run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.exists()
    strangers(Path("few"), 3)
    assert main(["export", *words]) == code
    said = capfd.readouterr()
    assert hint in said.err
    assert said.out == ""
    assert not list(Path.cwd().glob("models/*"))


def strangers(folder: Path, count: int) -> Path:
    """Recordings of real people in one folder, as somebody has them lying about."""
    folder.mkdir()
    for path in sorted(recordings("spoken_digits").rglob("*.wav"))[:count]:
        (folder / f"{path.parent.name} {path.name}").write_bytes(path.read_bytes())
    return folder


def test_a_threshold_is_found_told_and_kept_by_every_verb(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = strangers(Path("strangers"), 40)
    assert main(["export", "--negatives", "strangers", "--false-accepts", "0.1", "--json", "--quiet"]) == 0
    said = capfd.readouterr()
    document = json.loads(said.out)
    assert 0 < document["threshold"] < 1
    found = document["calibration"]
    assert (found["false_accepts"], found["clips"], found["accepted"]) == (0.1, 40, 4)
    assert "at most 10 %" in document["threshold_origin"]
    assert main(["verify", "models/speaker.onnx", "--quiet"]) == 0
    capfd.readouterr()
    assert main(["listen", "--model", "models/speaker.onnx", "--jsonl", "--windows", "--gate", "off", str(folder)]) == 0
    said = capfd.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert len({event["source"] for event in events if event["known"]}) == 4
    assert all(event["known"] == (event["score"] >= document["threshold"] - 1e-6) for event in events)
    assert all(event["label"] for event in events)  # the nearest
    assert "is called unknown: calibrated so that" in said.err
    assert "uncalibrated" not in said.err
    assert main(["listen", "--model", "models/speaker.onnx", "--windows", "--gate", "off", str(folder)]) == 0
    said = capfd.readouterr()
    assert said.out.count("unknown (nearest: ") == sum(not event["known"] for event in events)
    assert main(["models"]) == 0
    (line,) = [line for line in capfd.readouterr().out.splitlines() if line.endswith("  models/speaker.onnx")]
    assert f"below {document['threshold']:.4f}" in line


def test_noise_alone_leaves_it_uncalibrated_and_says_so(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("noise").mkdir()
    for k in range(20):
        soundfile.write(f"noise/{k}.wav", np.random.default_rng(k).normal(0, 0.1, 3 * 16_000), 16_000)
    assert main(["export", "--negatives", "noise", "--quiet"]) == 0
    said = capfd.readouterr()
    assert "unknown: uncalibrated: all 20 clips that hold no label are steady noise" in said.out
    assert "every sound gets a label" in said.err
    assert main(["listen", "--model", "models/speaker.onnx", "noise/0.wav"]) == 0
    assert "its threshold is uncalibrated" in capfd.readouterr().err
    assert main(["models"]) == 0
    assert "  uncalibrated  " in capfd.readouterr().out


def test_no_run_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export"]) == 3
    assert "xfer train" in capfd.readouterr().err


class Trap:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("sprung", "w")


@pytest.mark.parametrize(
    "name", ["trap.pt", "trap.safetensors", "cut.safetensors", "empty.safetensors", "half.safetensors"]
)
def test_what_is_no_checkpoint(name: str, run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 2; nothing is unpickled; the older model stays, byte for byte, and is named."""
    whole = (run / "best.safetensors").read_bytes()
    contents = {
        "trap": pickle.dumps(Trap()),
        "cut": b"\x10\0\0\0\0\0\0\0{}",
        "empty": b"",
        "half": whole[: len(whole) // 2],
    }
    Path(name).write_bytes(contents[name.partition(".")[0]])
    Path("models").mkdir()
    Path("models/speaker.onnx").write_bytes(b"older model file" * 100)
    assert main(["export", name, "--format", "onnx"]) == 2
    said = capfd.readouterr()
    assert name in said.err
    assert "older models/speaker.onnx" in said.err
    assert "Traceback" not in said.err
    assert not Path("sprung").exists()
    assert Path("models/speaker.onnx").read_bytes() == b"older model file" * 100
    assert [path.name for path in Path("models").iterdir()] == ["speaker.onnx"]
