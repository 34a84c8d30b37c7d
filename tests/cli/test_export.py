"""`xfer export` as a user types it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.export.conftest import checkpoint  # noqa: F401  a fixture
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
    ],
)
def test_wrong_words(words: list[str], code: int, hint: str, run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.exists()
    assert main(["export", *words]) == code
    said = capfd.readouterr()
    assert hint in said.err
    assert said.out == ""
    assert not list(Path.cwd().glob("models/*"))


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
