"""`xfer verify` and `xfer models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runtime.test_selftest import another_weight
from tests.runtime.tiny import write_tiny
from xfer.cli.app import main
from xfer.runtime.engines.onnxruntime_engine import DEVICES


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XFER_MODELS", raising=False)
    return tmp_path


def test_equal(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(lab / "models" / "speaker.onnx")
    assert main(["verify", "models/speaker.onnx"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("ONNX Runtime")
    assert all(": equal  (front-end " in line for line in lines[:-1])
    assert len(lines) >= 2
    assert lines[-1].startswith("equal: models/speaker.onnx on ")
    assert lines[-1].endswith("4 golden clips, 1 of them recorded")
    assert "xfer listen --task speaker" in err


def test_other_forms_beside_it_are_named(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_of = {"checkpoint_sha256": "a" * 64}
    write_tiny(lab / "a.onnx", provenance=made_of)
    write_tiny(lab / "a.int8.onnx", provenance=made_of, precision="int8")
    write_tiny(lab / "b.onnx", provenance={"checkpoint_sha256": "b" * 64})
    (lab / "c.onnx").write_text("no model")
    assert main(["verify", "a.onnx", "--engine", "onnxruntime", "--threads", "1"]) == 0
    steps = capsys.readouterr().err.splitlines()[1:]
    assert [step.strip() for step in steps[1:]] == ["xfer verify a.int8.onnx", "xfer bench a.onnx a.int8.onnx"]


def test_where_it_differs(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    another_weight(write_tiny(lab / "a.onnx"), "head", 1.01)
    one = ["--engine", "onnxruntime", "--threads", "1"]
    assert main(["verify", "other.onnx", *one]) == 1
    out, err = capsys.readouterr()
    assert "1 thread: DIFFERS" in out
    assert "real: melody: logits by " in out
    assert out.splitlines()[-1].startswith("1 of 1 differ: other.onnx on ")
    assert "does not compute what was exported" in err
    assert main(["verify", "other.onnx", *one, "--json", "--quiet"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["equal"] is False
    assert document["processor"]
    (engine,) = document["engines"]
    assert {row["equal"] for row in engine["inputs"]} >= {False}


def test_an_engine_that_cannot_run_it_is_named_and_is_no_difference(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    write_tiny(lab / "a.onnx")
    monkeypatch.setattr("xfer.runtime.engines.openvino_engine._compiled", _refuse)
    assert main(["verify", "a.onnx", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "OpenVINO on CPU, 1 thread: not compared: a.onnx cannot be loaded by OpenVINO (no such operation)" in out
    assert main(["verify", "a.onnx", "--threads", "1", "--engine", "openvino"]) == 2, "where it alone was asked for"


def _refuse(*_: object) -> None:
    raise RuntimeError("no such operation")


def test_a_device_that_is_not_here(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for: exit 3, unless the CPU is allowed, and then it is said."""
    import onnxruntime

    write_tiny(lab / "a.onnx")
    device = next(word for word, name in DEVICES.items() if name not in onnxruntime.get_available_providers())
    for words in (["verify", "a.onnx"], ["listen", "--model", "a.onnx", "none.wav"]):
        assert main([*words, "--device", device]) == 3
        assert f"no {device.upper() if device == 'cuda' else device} provider" in capsys.readouterr().err
    assert main(["verify", "a.onnx", "--device", device, "--allow-cpu"]) == 0
    assert "this runs on the CPU" in capsys.readouterr().err


def test_missing_and_broken(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "none.onnx"]) == 3
    (lab / "text.onnx").write_text("no model")
    assert main(["verify", "text.onnx"]) == 2
    assert main(["verify", "."]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_the_models_that_are_here(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(lab / "models" / "bell.onnx", task="doorbell", parity={"scores": 2e-7})
    (lab / "models" / "broken.onnx").write_text("no model")
    assert main(["models"]) == 0
    out, err = capsys.readouterr()
    row = next(line for line in out.splitlines() if "bell.onnx" in line)
    for word in ("doorbell", "tiny", "3", "100.0 % of validation clips", "(synthetic)"):
        assert word in row
    assert "broken.onnx is no ONNX model" in err
    assert main(["models", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = {Path(entry["path"]).name: entry for entry in document["models"]}
    assert found["bell.onnx"]["synthetic"] is True
    assert found["bell.onnx"]["labels"] == ["low", "middle", "high"]
    assert "problem" in found["broken.onnx"]
    assert document["places"][0] == "models"
