"""Engines: every format computes the same, and what is no model is refused before it runs."""

from __future__ import annotations

import importlib.metadata
import pickle
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.tiny import (
    RATE,
    TONES,
    WINDOW,
    melody,
    tiny_card,
    tiny_graph,
    tone,
    write_model,
    write_tiny,
    write_tiny_openvino,
)
from xfer.runtime.engines import FORMATS, Outputs, able, check_outputs, open_engine, read_card
from xfer.runtime.engines.packages import MEND_ONNXRUNTIME, refuse_double_onnxruntime
from xfer.runtime.errors import FileNotThere, NotThere, Unusable

MAKERS: dict[str, Callable[[Path], Path]] = {"onnx": write_tiny, "openvino": write_tiny_openvino}


@pytest.fixture(params=FORMATS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name = request.param
    pytest.importorskip({"onnx": "onnxruntime"}.get(name, name))
    return MAKERS[name](tmp_path / f"speaker{FORMATS[name].suffix}")


def expected(window: np.ndarray) -> np.ndarray:
    """The tiny model's scores once more, in float64 from its formula."""
    t = np.arange(128) / RATE
    frames = np.lib.stride_tricks.sliding_window_view(window.astype(np.float64), 128)[::64]
    power = []
    for hz in TONES.values():
        pair = [frames @ (wave(2 * np.pi * hz * t) * np.hanning(128) / 32) for wave in (np.cos, np.sin)]
        power.append(np.mean(pair[0] ** 2) + np.mean(pair[1] ** 2))
    logits = 0.2 * np.log(np.array(power) + 1e-6)
    return np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize("threads", [1, 2])
def test_every_engine_computes_the_formula(model: Path, threads: int) -> None:
    engine = open_engine(model, threads=threads)
    windows = np.stack([*(tone(hz, WINDOW / RATE) for hz in (500, 1500, 3000, 700)), melody(0.1)[:WINDOW]])
    outputs = engine.run(windows)
    np.testing.assert_allclose(outputs.scores, [expected(window) for window in windows], atol=1e-5)
    np.testing.assert_allclose(outputs.scores.sum(axis=1), 1, atol=1e-6)
    assert outputs.logits.shape == (5, 3)
    assert outputs.embedding.shape == (5, 3)
    assert "CPU" in engine.description
    assert f"{threads} thread" in engine.description


def test_outputs_are_not_overwritten_by_the_next_run(model: Path) -> None:
    engine = open_engine(model)
    first = engine.run(tone(500, WINDOW / RATE)[None])
    kept = first.scores.copy()
    engine.run(tone(3000, WINDOW / RATE)[None])
    np.testing.assert_array_equal(first.scores, kept)


def test_the_card_is_read_without_the_engine(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, package, None)
    assert read_card(model).labels == tuple(TONES)
    with pytest.raises(NotThere, match=r"pip install 'xfer\[") as error:
        open_engine(model)
    assert error.value.exit_code == 3


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx")
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("a CUDA provider is installed here")
    with pytest.raises(NotThere, match=r"xfer\[gpu\]"):
        open_engine(path, device="cuda")
    assert "CPU" in open_engine(path, device="auto").description
    for device in ("gpu", "cuda:x", "cpu:1", ""):
        with pytest.raises(Unusable, match="auto, cpu, cuda"):
            open_engine(path, device=device)


def test_openvino_runs_on_no_other_device(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cpu"):
        open_engine(write_tiny_openvino(tmp_path / "a.openvino"), device="cuda")


def test_bf16_is_computed_in_bf16_or_not_at_all(tmp_path: Path) -> None:
    """OpenVINO takes the wish without a word on a processor that cannot, and computes in f32."""
    openvino = pytest.importorskip("openvino")
    path = write_tiny_openvino(tmp_path / "a.openvino")
    window = tone(1500, WINDOW / RATE)[None]
    plain = open_engine(path)
    assert plain.description.endswith("f32")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        rough = open_engine(path, bf16=True)
        assert rough.description.endswith("bf16")
        off = float(np.abs(rough.run(window).logits - plain.run(window).logits).max())
        assert 1e-6 < off < 0.1
    else:
        with pytest.raises(NotThere, match="no units for bf16"):
            open_engine(path, bf16=True)
    onnx = write_tiny(tmp_path / "a.onnx")
    with pytest.raises(Unusable, match="ONNX Runtime does not compute"):
        open_engine(onnx, bf16=True, engine="onnxruntime")


def test_int8_is_opened_by_its_own_engine_only(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.int8.onnx", tiny_card(precision="int8"))
    assert [kind.name for kind in able(path)] == ["onnxruntime"]
    assert [kind.name for kind in able(write_tiny(tmp_path / "a.onnx"))] == ["onnxruntime", "openvino"]
    with pytest.raises(Unusable, match="onnxruntime"):
        open_engine(path, engine="openvino")


class Trap:
    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.sprung), "w"))


def foreign_onnx(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Contents that are no model of this project, and a word of what is said."""
    whole = write_tiny(folder / "whole.onnx").read_bytes()
    bare = tiny_graph().SerializeToString()
    middle = len(bare) // 2
    bad_graph = write_model(folder / "b.onnx", tiny_card(), _with_unknown_operator()).read_bytes()
    return {
        "empty": (b"", "no ONNX model"),
        "text": (b"no model", "no ONNX model"),
        "long text": (b"this is no model\n" * 1000, "no ONNX model"),
        "bytes": (random.Random(2).randbytes(5000), "no ONNX model"),
        "zeros": (bytes(5000), "no ONNX model"),
        "pickle": (pickle.dumps(Trap(folder / "sprung")), "no ONNX model"),
        "zip": (b"PK\x03\x04" + bytes(300), "no ONNX model"),
        "cut": (whole[:middle], "cut off or damaged"),
        "last byte": (whole[:-1], "cut off or damaged"),
        "no card": (bare, "without a card"),
        "unknown operator": (bad_graph, "cannot be loaded"),
    }


def _with_unknown_operator() -> Any:
    model = tiny_graph()
    model.graph.node[2].op_type = "Mull"
    return model


def test_what_is_no_onnx_model_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, (content, says) in foreign_onnx(tmp_path).items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(Unusable, match=says) as error:
            open_engine(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(FileNotThere):
        open_engine(tmp_path / "none.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(Unusable, match="no file"):
        open_engine(tmp_path / "folder.onnx")
    (tmp_path / "model.pt").write_bytes(b"PK")
    with pytest.raises(Unusable, match=r"\.onnx or \.openvino"):
        open_engine(tmp_path / "model.pt")
    assert capfd.readouterr().err == "", "the engine talks by itself"


@pytest.mark.parametrize(
    ("card", "graph", "says"),
    [
        (tiny_card(window=WINDOW + 1), {}, "audio of its graph has 4000"),
        (tiny_card(labels=("a", "b")), {}, "scores of its graph has 3"),
        (tiny_card(embedding_size=4), {}, "embedding of its graph has 3"),
        (tiny_card(), {"outputs": ("scores", "logits")}, "takes audio and gives scores, logits"),
    ],
)
def test_a_card_that_does_not_fit_its_graph_is_refused(tmp_path: Path, card: Any, graph: Any, says: str) -> None:
    path = write_model(tmp_path / "a.onnx", card, tiny_graph(**graph))
    with pytest.raises(Unusable, match=says):
        open_engine(path)


def test_outputs_of_another_shape_are_refused() -> None:
    """A graph whose sizes are not fixed is checked when it runs."""
    outputs = Outputs(*(np.zeros((2, 3), np.float32) for _ in range(3)))
    assert check_outputs(outputs, 2, tiny_card(), Path("a.onnx")) is outputs
    for windows, card in ((1, tiny_card()), (2, tiny_card(labels=("a", "b"))), (2, tiny_card(embedding_size=4))):
        with pytest.raises(Unusable, match=r"a\.onnx: its graph gives"):
            check_outputs(outputs, windows, card, Path("a.onnx"))


def test_what_is_no_whole_openvino_folder_is_refused(tmp_path: Path) -> None:
    whole = write_tiny_openvino(tmp_path / "whole.openvino")
    for part in ("model.xml", "model.bin", "card.json"):
        path = tmp_path / f"without-{part}.openvino"
        shutil.copytree(whole, path)
        (path / part).unlink()
        with pytest.raises(Unusable, match=part):
            open_engine(path)
        (path / part).write_text("text")
        with pytest.raises(Unusable):
            open_engine(path)
    card = whole / "card.json"
    card.write_text(replace(tiny_card(schema=1), labels=("a", "b"), format="openvino").to_json())
    with pytest.raises(Unusable, match="labels 2"):
        open_engine(whole)


def test_both_onnxruntime_packages_are_refused_with_the_lines_that_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_double_onnxruntime()
    for name, version in (("onnxruntime", "1.20.0"), ("onnxruntime-gpu", "1.21.0")):
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    found: list[Distribution] = list(importlib.metadata.distributions(name="onnxruntime-gpu"))
    assert found, "the made-up installation is not seen"
    with pytest.raises(NotThere) as error:
        refuse_double_onnxruntime()
    for line in MEND_ONNXRUNTIME:
        assert line in str(error.value)
    path = write_model(tmp_path / "a.onnx", tiny_card())
    with pytest.raises(NotThere, match="pip uninstall"):
        open_engine(path)
