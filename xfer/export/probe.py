"""The probe: a small further output of the graph, front-end values at fixed places, by which a device checks itself.

The whole front-end output is tens of megabytes for some nets; 256 of its values tell a wrong window, a wrong hop or a
reduced precision as well, and cost a gather that only `xfer verify` asks for.
"""

from __future__ import annotations

from typing import Any

from xfer.runtime.engines import PROBE
from xfer.runtime.selftest.probe import probe_places

_PLACES, _FLAT = "probe places", "probe features"


def with_probe(model: Any, features: str, size: int) -> Any:
    """The same onnx.ModelProto with the output `probe`, (n, 256): its output `features` flattened, and gathered.

    `size`: how many values a window's features have.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    places = probe_places(size)
    graph.initializer.append(numpy_helper.from_array(places, _PLACES))
    graph.node.append(helper.make_node("Flatten", [features], [_FLAT], name="/probe/Flatten", axis=1))
    graph.node.append(helper.make_node("Gather", [_FLAT, _PLACES], [PROBE], name="/probe/Gather", axis=1))
    graph.output.append(helper.make_tensor_value_info(PROBE, TensorProto.FLOAT, ["batch", len(places)]))
    onnx.checker.check_model(model, full_check=True)
    return model
