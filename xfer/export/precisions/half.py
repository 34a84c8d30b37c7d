"""float16: weights and products of the body in half precision; half the size, and faster only where a device has it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from xfer.export.precisions.scopes import PRODUCTS, stays_float
from xfer.export.tidy import pruned
from xfer.runtime.engines import Array
from xfer.runtime.errors import need_extra

FLOAT, FLOAT16 = 1, 10
"""Numbers of ONNX's types."""
OPERATORS = PRODUCTS
"""What the gate may put back."""
FLOAT_OPERATORS = ("BatchNormalization", "Softmax", "ReduceMean", "ReduceSum", "ReduceMax", "GRU")
"""Long sums and wide ranges; a GRU of ONNX Runtime's CPU has no float16 at all."""


def reduce(graph: Any, _windows: Sequence[Array] = (), kept: Collection[str] = ()) -> Any:
    """A copy of an onnx.ModelProto whose body is float16, but for the nodes named in `kept`; in- and outputs are
    float32. Nothing is calibrated, so no window is looked at.

    Raises NotThere where onnxruntime is not installed.
    """
    import onnx

    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise need_extra("onnxruntime", "cpu") from error
    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    floats = [
        node.name
        for node in graph.graph.node
        if node.name in kept or stays_float(node.name) or node.op_type in FLOAT_OPERATORS
    ]
    half = convert_float_to_float16(copied, keep_io_types=True, node_block_list=floats)
    _without_round_trips(half)
    _sort(half)
    pruned(half)
    onnx.checker.check_model(half, full_check=True)
    return half


def _without_round_trips(model: Any) -> None:
    """Between two float32 nodes, and before an output, the converter goes to float16 and back, which quiet sound would
    not survive."""
    graph = model.graph
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
    source: dict[str, str] = {}
    for name, back in casts.items():
        there = casts.get(back.input[0])
        if there is not None and (back.attribute[0].i, there.attribute[0].i) == (FLOAT, FLOAT16):
            source[name] = there.input[0]
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = source.get(name, name)
    outputs = {output.name for output in graph.output}
    own = {source[name]: name for name in source.keys() & outputs}
    for node in list(graph.node):
        if node.op_type == "Cast" and node.output[0] in own.values():
            graph.node.remove(node)
            continue
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = own.get(name, name)


def _sort(model: Any) -> None:
    """Nodes behind what they need; the converter puts its own at the end."""
    made = {name for node in model.graph.node for name in node.output}
    left, done, ordered = list(model.graph.node), set[str](), []
    while left:
        ready = [node for node in left if all(name in done or name not in made for name in node.input)]
        ordered += ready
        done |= {name for node in ready for name in node.output}
        left = [node for node in left if not set(node.output) <= done]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
