"""What `xfer doctor` asks: the extras are those of pyproject.toml, and the tiny model really runs."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import pytest

from xfer.runtime import inventory

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_extras_are_those_of_the_project():
    project = tomllib.loads(PROJECT.read_text())["project"]

    def names(lines: list[str]) -> set[str]:
        return {re.split(r"[\[<>=!~ ]", line)[0].replace("-", "_") for line in lines}

    for extra, packages in inventory.EXTRAS.items():
        assert {package.replace("-", "_") for package in packages} == names(project["optional-dependencies"][extra]), (
            extra
        )
    assert set(inventory.BASE) == names(project["dependencies"])
    assert set(project["optional-dependencies"]) == {*inventory.EXTRAS, "all", "test"}


def test_the_tiny_model_is_a_model_and_gives_back_what_it_gets():
    content = inventory.tiny_model()
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    onnxruntime = pytest.importorskip("onnxruntime", reason="no ONNX Runtime here: pip install 'xfer[cpu]'")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.array([3.5], np.float32)})[0].tolist() == [3.5]


def test_a_provider_that_cannot_run_says_why():
    def run(name: str) -> bool:
        raise RuntimeError(f"{name}: no such device\nand a second line")

    found = inventory._try("engine", "NPU", run)
    assert (found.usable, found.problem) == (False, "NPU: no such device")
    assert inventory._try("engine", "NPU", lambda name: False).problem


def test_missing_extras_name_what_is_absent(monkeypatch):
    def only(*here: str):
        monkeypatch.setattr(inventory, "installed", lambda package: "1.0" if package in here else None)
        return inventory.missing_extras()

    assert only("onnxruntime", "openvino", "sounddevice", "av").keys() == {"train", "export", "tensorboard"}
    assert "nncf" in only("openvino")["export"]
    assert only("onnxruntime-gpu")["mic"] == ("sounddevice",)
    assert "cpu" not in only("onnxruntime-gpu")
    assert {"cpu", "gpu"} <= only().keys()


def test_versions_are_those_that_are_installed():
    versions = inventory.versions()
    assert versions["soxr"] == metadata.version("soxr")
    assert versions["onnxruntime-gpu"] is None
