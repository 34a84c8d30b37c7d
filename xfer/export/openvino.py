"""OpenVINO IR, converted from the very ONNX graph: a folder of model.xml, model.bin and card.json.

Weights stay fp32 (its own saving would make them fp16 without a word); f32 at inference is forced by the engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xfer.export.place import reserve, write_file
from xfer.runtime.card import Card
from xfer.runtime.engines.openvino_folder import GOLDEN, write_card
from xfer.runtime.errors import Unusable, need_extra


def write(model: Any, card: Card, path: Path, golden: str = "") -> None:
    """Write an onnx.ModelProto, its card and golden clips as the folder `path`; the card lists the others' hashes.

    Raises OSError (a full disk), NotThere where openvino is not installed, Unusable where it cannot take the graph.
    """
    try:
        import openvino
    except ImportError as error:
        raise need_extra("openvino", "openvino") from error
    path.mkdir()
    content = model.SerializeToString()
    # OpenVINO reports a full disk as any other failure, or not at all: what it will need is asked for first.
    reserve(path / "model.bin", len(content) + 1_000_000)
    try:
        # Not openvino.convert_model: it reports its use over the network where telemetry was not refused.
        graph = openvino.Core().read_model(content, b"")
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
