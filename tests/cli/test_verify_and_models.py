"""`xfer verify` and `xfer models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runtime.tiny import tiny_graph, write_model, write_tiny
from xfer.cli.app import main
from xfer.runtime.models import load_model


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XFER_MODELS", raising=False)
    return tmp_path


def another_weight(path: Path) -> Path:
    """A model whose card was stored for another head."""
    from onnx import numpy_helper

    card = load_model(path).card
    graph = tiny_graph()
    head = next(constant for constant in graph.graph.initializer if constant.name == "head")
    head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) * 1.01, "head"))
    return write_model(path, card, graph)


def test_equal(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(lab / "models" / "speaker.onnx")
    assert main(["verify", "models/speaker.onnx"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith("equal: models/speaker.onnx with ONNX Runtime")
    assert len(out.splitlines()) == 11
    assert "xfer listen --task speaker" in err


def test_where_it_differs(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    another_weight(write_tiny(lab / "a.onnx"))
    assert main(["verify", "a.onnx"]) == 1
    out, err = capsys.readouterr()
    assert "DIFFERS: " in out
    assert "inputs differ" in out.splitlines()[-1]
    assert "does not compute what was exported" in err
    assert main(["verify", "a.onnx", "--json", "--quiet"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["equal"] is False
    assert document["processor"]
    assert {row["equal"] for row in document["inputs"]} >= {False}


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
