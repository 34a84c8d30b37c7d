"""float16: weights and products of the body in half precision; half the size, and faster only where a device has it."""

from __future__ import annotations

from typing import Any

from xfer.export.precisions.scopes import stays_float
from xfer.runtime.errors import need_extra

FLOAT_OPERATORS = ("BatchNormalization", "Softmax", "ReduceMean", "ReduceSum", "ReduceMax", "GRU")
"""Long sums and wide ranges; a GRU of ONNX Runtime's CPU has no float16 at all."""


def to_half(graph: Any) -> Any:
    """A copy of an onnx.ModelProto whose body is float16 between float32 in- and outputs.

    Raises NotThere where onnxruntime is not installed.
    """
    import onnx

    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise need_extra("onnxruntime", "cpu") from error
    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    kept = [node.name for node in graph.graph.node if stays_float(node.name) or node.op_type in FLOAT_OPERATORS]
    half = convert_float_to_float16(copied, keep_io_types=True, node_block_list=kept)
    onnx.checker.check_model(half, full_check=True)
    return half
