"""A graph without what only says sizes: the tracing exporter writes every constant and every shape as nodes.

A pad of three frames is eight nodes in its graphs, a mean over blocks of time ten. Both engines fold most of them when
they load a file, each time again; here they are folded once. What is left is what computes, and it reads like the net.
Values are computed by onnx's own reference; nothing that depends on the sound is touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_Constants = dict[str, npt.NDArray[Any]]

_LARGEST = 100_000
"""Values of a constant that is computed here; larger ones are weights, which stay as the exporter wrote them."""

_BATCH, _UNKNOWN = -1, -2
"""Among sizes: the batch's, the only one that a graph leaves open; one that is not known."""

_NEVER = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")


def tidied(model: Any) -> Any:
    """The same onnx.ModelProto in as few nodes as simple rules make it; what it computes is the same to the bit.

    Nodes of constants become initializers, reshapes to a known shape take it as a constant (-1 for the batch), and
    nodes that nobody reads are gone. Names of what is left stay.
    """
    import onnx

    while _fewer(model):
        pass
    onnx.checker.check_model(model, full_check=True)
    return model


def pruned(model: Any) -> Any:
    """The same onnx.ModelProto without the nodes and the constants that no output depends on."""
    graph = model.graph
    left = _read(list(graph.node), {output.name for output in graph.output})
    used = {name for node in left for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(left)
    graph.initializer.extend(kept)
    return model


def _fewer(model: Any) -> bool:
    """One pass over the graph; whether it changed anything. Sizes that it makes known are of use to the next."""
    import onnx

    graph = model.graph
    before = len(graph.node)
    constants: _Constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    stored, outputs = set(constants), {output.name for output in graph.output}
    shapes = _shapes(model)
    sizes_of: dict[str, list[int]] = {}
    same: dict[str, str] = {}
    left, changed = [], False
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
        if node.op_type == "Identity" and node.output[0] not in outputs:
            same[node.output[0]] = node.input[0]
            continue
        found = None if outputs & set(node.output) else _constant(node, constants, sizes_of)
        if found is not None:
            constants[node.output[0]] = found
            continue
        sizes = _sizes(node, shapes, constants, sizes_of)
        if sizes is not None:
            sizes_of[node.output[0]] = sizes
        if node.op_type == "Reshape" and node.input[1] in sizes_of:
            target = _target(sizes_of[node.input[1]], shapes.get(node.input[0]))
            if target is not None:
                name = f"{node.output[0]} shape"
                constants[name] = np.array(target, dtype=np.int64)
                node.input[1] = name
                changed = True
        left.append(node)
    left = _read(left, outputs)
    used = {name: None for node in left for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    kept += [onnx.numpy_helper.from_array(constants[name], name) for name in used if name in constants.keys() - stored]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(left)
    graph.initializer.extend(kept)
    return changed or len(left) < before


def _shapes(model: Any) -> dict[str, list[int]]:
    """Every tensor's shape, as far as it is known."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return {
        value.name: [
            size.dim_value if size.HasField("dim_value") else _BATCH if size.dim_param == "batch" else _UNKNOWN
            for size in value.type.tensor_type.shape.dim
        ]
        for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
        if value.type.tensor_type.HasField("shape")
    }


def _sizes(
    node: Any, shapes: dict[str, list[int]], constants: _Constants, sizes_of: dict[str, list[int]]
) -> list[int] | None:
    """The sizes that a node gives: a shape, a slice of one, or several joined; None for anything else.

    A -1 that a reshape is given stands for what is left over, a 0 for what was there: unknown, not the batch.
    """
    if node.op_type == "Shape" and not node.attribute:
        return shapes.get(node.input[0])
    if node.op_type == "Slice" and len(node.input) == 3 and node.input[0] in sizes_of:
        ends = [constants[name] for name in node.input[1:] if name in constants]
        return sizes_of[node.input[0]][int(ends[0][0]) : int(ends[1][0])] if len(ends) == 2 else None
    if node.op_type == "Concat":
        joined: list[int] = []
        for name in node.input:
            if name in sizes_of:
                joined += sizes_of[name]
            elif name in constants and constants[name].dtype == np.int64 and constants[name].ndim == 1:
                joined += [_UNKNOWN if size < 1 else int(size) for size in constants[name]]
            else:
                return None
        return joined
    return None


def _target(sizes: list[int], reshaped: list[int] | None) -> list[int] | None:
    """The constant that a reshape to these sizes can be given; None where more than the batch is open."""
    stays = reshaped is not None and sizes[:1] == reshaped[:1] == [_BATCH]
    target = [0, *sizes[1:]] if stays else sizes  # 0: as it was, which keeps its name
    return [max(size, -1) for size in target] if sum(size < 0 for size in target) <= 1 else None


def _constant(node: Any, constants: _Constants, sizes_of: dict[str, list[int]]) -> npt.NDArray[Any] | None:
    """What a node gives, where that is one small tensor which depends on constants only.

    `sizes_of`: what is known of the sizes that nodes give; a gather of known ones is a constant.
    """
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Gather" and node.input[0] in sizes_of and node.input[1] in constants:
        picked = np.array(sizes_of[node.input[0]], dtype=np.int64)[constants[node.input[1]]]
        return None if (picked < 0).any() else np.asarray(picked)
    names = [name for name in node.input if name]
    if node.op_type in _NEVER or len(node.output) != 1 or any(name not in constants for name in names):
        return None
    if any(constants[name].size > _LARGEST for name in names):
        return None
    (value,) = ReferenceEvaluator(node).run(None, {name: constants[name] for name in names})
    found = np.asarray(value)
    return found if found.size <= _LARGEST or node.op_type == "Constant" else None


def _read(nodes: list[Any], outputs: set[str]) -> list[Any]:
    """The nodes that an output depends on, in their order."""
    needed, left = set(outputs), []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= set(node.input)
            left.append(node)
    return left[::-1]
