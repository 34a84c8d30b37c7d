"""Channels made equally loud before int8 takes them, and the weights behind them as much louder: the same sums.

Behind a front-end some bands are a hundred times others, and one quantizer for all of them leaves the quiet ones no
steps. After Xiao et al. 2023, "SmoothQuant", equation 4. Only the first layer: with every convolution so treated, the
logits of a trained RawNet2 moved more again (0.10 of their size, against 0.047 with the first alone and 0.11 without).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SHARES = (0.5, 0.75)
"""Of a channel's range that moves into the weights. Measured on trained nets, how far int8 moves the logits: ConvNet
0.107 of their size without, 0.044 and 0.029 with these shares; RawNet2 0.110, 0.047 and 0.064."""
LEAST = 1e-3
"""Of the loudest channel's: a channel that was never heard keeps finite weights."""
NAME = "/frontend/Equalise"
"""Of the node: it belongs to the front-end, and is float32."""


def first_convolution(graph: Any, layers: list[str]) -> Any:
    """The first of the named layers where it is a convolution: its node in an onnx.ModelProto, or None."""
    node = next((node for node in graph.graph.node if node.name in layers[:1]), None)
    return node if node is not None and node.op_type == "Conv" and _group(node) == 1 else None


def equalised(graph: Any, layer: str, loudest: npt.NDArray[np.floating[Any]], share: float) -> Any:
    """A copy of an onnx.ModelProto in which one convolution hears every channel about as loud.

    loudest: each channel's largest magnitude at the layer's input, (channels,).
    """
    import onnx

    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    at, conv = next((at, node) for at, node in enumerate(copied.graph.node) if node.name == layer)
    place = next(index for index, each in enumerate(copied.graph.initializer) if each.name == conv.input[1])
    weight = onnx.numpy_helper.to_array(copied.graph.initializer[place])
    steepest = np.abs(weight).max(axis=(0, *range(2, weight.ndim)))
    scale = np.maximum(loudest, 1e-9) ** share / np.maximum(steepest, 1e-9) ** (1 - share)
    scale = np.maximum(scale, LEAST * scale.max()).astype(np.float32)
    shape = (1, len(scale), *[1] * (weight.ndim - 2))
    louder = (weight * scale.reshape(shape)).astype(np.float32)
    copied.graph.initializer[place].CopyFrom(onnx.numpy_helper.from_array(louder, conv.input[1]))
    copied.graph.initializer.append(onnx.numpy_helper.from_array((1 / scale).reshape(shape), NAME))
    heard, conv.input[0] = conv.input[0], f"{NAME}_output_0"
    copied.graph.node.insert(at, onnx.helper.make_node("Mul", [heard, NAME], [f"{NAME}_output_0"], name=NAME))
    onnx.checker.check_model(copied, full_check=True)
    return copied


def _group(conv: Any) -> int:
    return next((each.i for each in conv.attribute if each.name == "group"), 1)
