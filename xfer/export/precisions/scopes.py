"""Which parts of a graph stay in float32 whatever the precision of the file.

Nodes are named by the module that they come from. The front-end and the input's normalisation: quiet sound underflows
in float16, and a quantized spectrum ruins every score behind it. The scaling of feature maps: sigmoids of means, few
products and a wide range. Norms, softmax and the last layer: what they cost is nothing, what they lose is the decision.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

FLOAT_SCOPES = ("/frontend", "/head", "/Softmax", "/probe")
"""Beginnings of the names of nodes."""
GATES = "/scaling/"
"""Feature map scaling, anywhere in a name."""
PRODUCTS = ("Conv", "MatMul", "Gemm")
"""Operators that int8 is for. A GRU stays in float32: no engine has it in static int8 on a CPU."""


def stays_float(name: str) -> bool:
    """Does the node of that name stay in float32?"""
    return name.startswith(FLOAT_SCOPES) or GATES in name


def products(graph: Any, operators: Collection[str] = PRODUCTS) -> list[str]:
    """Names of the nodes of an onnx.ModelProto that int8 may take, in their order."""
    return [node.name for node in graph.graph.node if node.op_type in operators and not stays_float(node.name)]
