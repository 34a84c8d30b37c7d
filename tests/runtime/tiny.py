"""A tiny model of this project's form, made with onnx.helper: which of three tones is the loudest.

Front-end: quadrature filters at 500, 1500 and 3000 Hz (a strided convolution), squared and averaged over the window.
It is real sound in, a real graph and a real card, in a few kilobytes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from xfer.runtime.card import METADATA_KEY, Card
from xfer.runtime.engines import PROBE
from xfer.runtime.engines.onnx_file import GOLDEN_KEY, sealed
from xfer.runtime.engines.openvino_folder import write_card
from xfer.runtime.models import load_model
from xfer.runtime.selftest import Golden, GoldenClip, answer_of, as_16_bit, formula_inputs
from xfer.runtime.selftest.golden import FORMULA, RECORDED, to_text
from xfer.runtime.selftest.probe import COUNT, probe_places

TONES = {"low": 500, "middle": 1500, "high": 3000}
RATE = 16_000
WINDOW = 4_000
FILTER = 128


def tiny_card(**changes: Any) -> Card:
    """The card of the tiny model, without golden outputs."""
    card = Card(
        name="tiny",
        task="speaker",
        net="tiny",
        labels=tuple(TONES),
        sample_rate=RATE,
        window=WINDOW,
        hop=WINDOW // 2,
        embedding_size=len(TONES),
        frontend={"kind": "tones"},
        opset=17,
        data={"name": "tones", "synthetic": True, "classes": 3},
        metrics={"validation": {"clip_accuracy": 1.0}},
        description="Tells three tones apart, for tests.",
    )
    return replace(card, **changes)


OUTPUTS = ("scores", "logits", "embedding", PROBE)


def kernels_of_tones() -> np.ndarray:
    """The front-end's filters, cosine and sine of each tone, (6, 128), float64."""
    t = np.arange(FILTER) / RATE
    waves = np.array([wave(2 * np.pi * hz * t) for hz in TONES.values() for wave in (np.cos, np.sin)])
    return np.asarray(waves * np.hanning(FILTER) / FILTER * 4)


def bands(samples: np.ndarray) -> np.ndarray:
    """What the front-end gives for one window, in float64 from its formula: (6, frames)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), FILTER)[:: FILTER // 2]
    return kernels_of_tones() @ frames.T


def tiny_graph(window: int | str = WINDOW, labels: int = len(TONES), outputs: tuple[str, ...] = OUTPUTS) -> Any:
    """The ModelProto. `window` may be a name: then the graph does not fix it."""
    onnx = pytest.importorskip("onnx", reason="the tiny model is made with onnx: pip install 'xfer[export]'")
    from onnx import TensorProto, helper, numpy_helper

    kernels = kernels_of_tones().astype(np.float32)[:, None, :]
    pairs = np.repeat(np.eye(len(TONES)), 2, axis=0).astype(np.float32)
    head = (np.eye(len(TONES), labels) * 0.2).astype(np.float32)
    floor, axis = np.float32(1e-6), np.array([1], np.int64)
    constants = {"kernels": kernels, "pairs": pairs, "head": head, "floor": floor, "axis": axis}
    nodes = [
        helper.make_node("Unsqueeze", ["audio", "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernels"], ["bands"], strides=[FILTER // 2]),
        helper.make_node("Mul", ["bands", "bands"], ["power"]),
        helper.make_node("ReduceMean", ["power"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["mean", "pairs"], ["tones"]),
        helper.make_node("Add", ["tones", "floor"], ["above"]),
        helper.make_node("Log", ["above"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "head"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    sizes = {"scores": labels, "logits": labels, "embedding": len(TONES)}
    if PROBE in outputs:
        nodes += [
            helper.make_node("Flatten", ["bands"], ["flat"], axis=1),
            helper.make_node("Gather", ["flat", "places"], [PROBE], axis=1),
        ]
        constants["places"] = probe_places(bands(np.zeros(WINDOW, np.float32)).size)
        sizes[PROBE] = COUNT
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["batch", window])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", sizes[name]]) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def write_model(path: Path, card: Card | str | None, model: Any = None, golden: str = "", seal: bool = True) -> Path:
    """Write a model file with this card (or this text in its place, or none)."""
    model = tiny_graph() if model is None else model
    for key, value in ((METADATA_KEY, card), (GOLDEN_KEY, golden)):
        if value:
            entry = model.metadata_props.add()
            entry.key, entry.value = key, value if isinstance(value, str) else value.to_json()
    path.parent.mkdir(parents=True, exist_ok=True)
    content = model.SerializeToString()
    path.write_bytes(sealed(content) if seal else content)
    return path


def tiny_golden(path: Path, card: Card, recorded: bool = True) -> str:
    """Golden clips of a tiny model that is there: what it says itself, on a chirp, on noise, and on a melody."""
    engine = load_model(path).engine
    formulas = formula_inputs(card.window, card.sample_rate)
    inputs = {name: (FORMULA, formulas[name]) for name in ("chirp", "noise at -30 dBFS", "silence")}
    if recorded:
        inputs["real: melody"] = (RECORDED, as_16_bit(melody(0.1)[: card.window]))
    clips = []
    for name, (kind, samples) in inputs.items():
        window = samples[None, :]
        probe = engine.read(window, [PROBE])[0][0] if PROBE in engine.outputs else None
        peak = 0.0 if probe is None else float(np.abs(bands(samples)).max())
        clips.append(GoldenClip(name, kind, samples, answer_of(engine.run(window), card, probe, peak)))
    return to_text(Golden(tuple(clips), "MIT", "nobody"), card.sample_rate)


def write_tiny(path: Path, **changes: Any) -> Path:
    """Write the tiny model with its golden clips."""
    card = tiny_card(**changes)
    write_model(path, card)
    return write_model(path, card, golden=tiny_golden(path, card))


@cache
def _converted() -> dict[str, bytes]:
    """The tiny graph as OpenVINO writes it: takes seconds, and is the same each time."""
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'xfer[openvino]'")
    with TemporaryDirectory() as folder:
        xml = Path(folder) / "model.xml"
        model = openvino.Core().read_model(tiny_graph().SerializeToString(), b"")
        openvino.save_model(model, str(xml), compress_to_fp16=False)
        return {path.name: path.read_bytes() for path in (xml, xml.with_suffix(".bin"))}


def write_tiny_openvino(folder: Path, **changes: Any) -> Path:
    """The tiny model as an OpenVINO folder."""
    card = tiny_card(format="openvino", opset=None, **changes)
    onnx_path = write_model(folder.parent / "for-openvino.onnx", card)
    folder.mkdir(parents=True)
    for name, content in _converted().items():
        (folder / name).write_bytes(content)
    (folder / "golden.json").write_text(tiny_golden(onnx_path, card), encoding="utf8")
    (folder / "card.json").write_text(write_card(folder, card), encoding="utf8")
    onnx_path.unlink()
    return folder


def tone(hz: float, seconds: float, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    """A sine, float32 (n,)."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def melody(seconds: float = 0.6, rate: int = RATE) -> np.ndarray:
    """Low, high, middle: three tones one after the other."""
    return np.concatenate([tone(hz, seconds, rate) for hz in (500, 3000, 1500)])
