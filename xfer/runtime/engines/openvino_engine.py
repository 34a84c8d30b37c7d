"""OpenVINO: the engine of `<name>.openvino/` folders (model.xml, model.bin, card.json), on the CPU.

f32 is forced: on processors with bf16 or AMX OpenVINO would otherwise compute in bf16, and scores would move by
percents.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xfer.runtime.card import Card
from xfer.runtime.engines import Array, Outputs, check_outputs, check_shape
from xfer.runtime.errors import Unusable, need_extra

OUTPUTS = ("scores", "logits", "embedding")
PARTS = ("model.xml", "model.bin", "card.json")


def read_card(path: Path) -> Card:
    """The card beside the model. Raises Unusable where a part of the folder is missing."""
    for part in PARTS:
        if not (path / part).is_file():
            raise Unusable(f"{path} has no {part}, so it is no whole OpenVINO model: export it again")
    return Card.from_json((path / "card.json").read_bytes(), path / "card.json")


def open_engine(path: Path, card: Card, threads: int = 1, device: str = "auto") -> OpenVinoEngine:
    """Load a folder. Raises Unusable for a broken model or another device, NotThere for an absent package."""
    if device not in ("auto", "cpu"):
        raise Unusable(f"an OpenVINO model runs on the CPU, not on {device!r}: take --device cpu, or the .onnx file")
    try:
        import openvino
    except ImportError as error:
        raise need_extra("openvino", "openvino") from error
    return OpenVinoEngine(openvino, path, card, threads)


class OpenVinoEngine:
    """A compiled OpenVINO model."""

    notes: tuple[str, ...] = ()

    def __init__(self, openvino: Any, path: Path, card: Card, threads: int) -> None:
        self.card = card
        self._path = path
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            model = openvino.Core().read_model(str(path / "model.xml"))
            self._check_graph(model)
            self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        except RuntimeError as error:  # what OpenVINO raises for everything
            reason = " ".join(str(error).split())[-200:]
            raise Unusable(f"{path} cannot be loaded by OpenVINO ({reason}): export it again") from error
        version = openvino.__version__.partition("-")[0]
        self.description = f"OpenVINO {version} on CPU, {threads} thread{'s' * (threads > 1)}, f32"

    def run(self, windows: Array) -> Outputs:
        """Windows, float32 (n, window), to outputs. Raises Unusable where the graph is not what the card says."""
        return check_outputs(Outputs(*self.read(windows, OUTPUTS)), len(windows), self.card, self._path)

    def read(self, windows: Array, names: Sequence[str]) -> list[Array]:
        """Outputs of the graph by name, also those that only the twin of parity has. Raises Unusable."""
        try:
            self._request.infer({"audio": np.ascontiguousarray(windows, dtype=np.float32)})
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-200:]
            raise Unusable(f"{self._path} cannot run {len(windows)} windows ({reason}): export it again") from error
        return [np.array(self._request.get_tensor(name).data) for name in names]  # copied: the tensors are reused

    def _check_graph(self, model: Any) -> None:
        """Names and fixed sizes of the graph against the card."""
        inputs = {name: port for port in model.inputs for name in port.get_names()}
        outputs = {name: port for port in model.outputs for name in port.get_names()}
        if "audio" not in inputs or len(model.inputs) != 1 or not set(OUTPUTS) <= set(outputs):
            raise Unusable(
                f"{self._path}: its graph does not take audio and give {', '.join(OUTPUTS)}, as a model of xfer does: "
                "export it again"
            )
        check_shape(self._path, "audio", _last(inputs["audio"]), self.card.window, "window")
        for name in ("scores", "logits"):
            check_shape(self._path, name, _last(outputs[name]), len(self.card.labels), "labels")
        check_shape(self._path, "embedding", _last(outputs["embedding"]), self.card.embedding_size, "embedding_size")


def _last(port: Any) -> int | None:
    """The last size of a port where it is fixed."""
    shape = port.get_partial_shape()
    last = shape[len(shape) - 1]
    return int(last.get_length()) if last.is_static else None
