"""`xfer bench` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runtime.test_selftest import another_weight
from tests.runtime.tiny import write_tiny
from xfer.cli.app import main

ONE = ["--engine", "onnxruntime", "--threads", "1", "--seconds", "0.1"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XFER_MODELS", raising=False)
    return tmp_path


def test_a_table_a_verdict_and_what_is_kept(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_of = {"checkpoint_sha256": "a" * 64}
    write_tiny(lab / "models/speaker.onnx", provenance=made_of)
    write_tiny(lab / "models/speaker.int8.onnx", provenance=made_of, precision="int8")
    assert main(["bench", "models/speaker.onnx", "models/speaker.int8.onnx", *ONE]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    for word in ("precision", "p95 ms", "real time", "peak MB", "verify"):
        assert word in lines[0]
    assert "int8" in lines[2]
    assert lines[-1].startswith("verdict: int8 is ")
    assert "kept for xfer listen in" in err
    (kept,) = json.loads((lab / "home/bench.json").read_text())["verdicts"]
    assert kept["sentence"] in lines[-1]
    assert kept["checkpoint"] == "a" * 64


def test_json_is_one_document(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(lab / "a.onnx")
    assert main(["bench", "a.onnx", *ONE, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    assert "It keeps up" in document["verdict"]
    assert document["processor"]
    (row,) = document["rows"]
    assert row["measured"]["equal"] is True
    assert row["bytes"] == (lab / "a.onnx").stat().st_size
    assert document["kept"] is None


def test_exit_codes(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    another_weight(write_tiny(lab / "a.onnx"), "head", 1.05)
    assert main(["bench", "other.onnx", *ONE]) == 1
    assert "does not compute what was exported" in capsys.readouterr().err
    (lab / "text.onnx").write_text("no model")
    assert main(["bench", "text.onnx", *ONE]) == 2
    assert main(["bench", "a.onnx", "--engine", "onnx"]) == 2
    assert main(["bench", "none.onnx", *ONE]) == 3
    assert main(["bench"]) == 2
    said = capsys.readouterr().err
    assert "did you mean 'onnxruntime'" in said
    assert "Traceback" not in said
