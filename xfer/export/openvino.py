"""OpenVINO IR, converted from the very ONNX graph: a folder of model.xml, model.bin and card.json.

Weights stay fp32 (its own saving would make them fp16 without a word); f32 at inference is forced by the engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xfer.export import onnx as onnx_files
from xfer.export.onnx import OUTPUTS
from xfer.export.place import reserve, write_file
from xfer.runtime.card import Card
from xfer.runtime.engines import PROBE
from xfer.runtime.engines.openvino_folder import GOLDEN, write_card
from xfer.runtime.errors import Unusable, need_extra


def to_shipped(twin: Any) -> Any:
    """The same graph, an onnx.ModelProto or an openvino.Model, without what only the twin gives."""
    if not _is_converted(twin):
        return onnx_files.to_shipped(twin)
    shipped = twin.clone()
    for result in list(shipped.get_results()):
        if not {*OUTPUTS, PROBE} & result.input_value(0).get_names():
            shipped.remove_result(result)
    return shipped


def converted(graph: Any) -> Any:
    """An onnx.ModelProto as an openvino.Model. Raises NotThere where openvino is not installed, RuntimeError where it
    cannot take the graph."""
    try:
        import openvino
    except ImportError as error:
        raise need_extra("openvino", "openvino") from error
    # Not openvino.convert_model: it reports its use over the network where telemetry was not refused.
    return openvino.Core().read_model(graph.SerializeToString(), b"")


def write(model: Any, card: Card, path: Path, golden: str = "") -> None:
    """Write an onnx.ModelProto or an openvino.Model, its card and golden clips as the folder `path`; the card lists
    the others' hashes.

    Raises OSError (a full disk), NotThere where openvino is not installed, Unusable where it cannot take the graph.
    """
    try:
        import openvino
    except ImportError as error:
        raise need_extra("openvino", "openvino") from error
    path.mkdir()
    # OpenVINO reports a full disk as any other failure, or not at all: what it will need is asked for first.
    reserve(path / "model.bin", _bytes_of(model) + 1_000_000)
    try:
        graph = model.clone() if _is_converted(model) else converted(model)
        graph.set_rt_info(card.to_json(), ["xfer", "card"])
        openvino.save_model(graph, str(path / "model.xml"), compress_to_fp16=False)
    except RuntimeError as error:  # what OpenVINO raises for everything
        reason = " ".join(str(error).split())[-200:]
        raise Unusable(
            f"OpenVINO cannot take the graph of {card.net} ({reason}): export it with --format onnx"
        ) from error
    if golden:
        write_file(path / GOLDEN, golden.encode())
    write_file(path / "card.json", write_card(path, card).encode())


def _is_converted(graph: Any) -> bool:
    return hasattr(graph, "get_results")


def _bytes_of(graph: Any) -> int:
    """Of all constants."""
    if not _is_converted(graph):
        return len(graph.SerializeToString())
    return sum(node.get_byte_size() for node in graph.get_ops() if node.get_type_name() == "Constant")
