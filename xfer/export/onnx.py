"""The graph: a folded net as ONNX, and its file with the card in the metadata.

Two exporters of PyTorch were measured on both nets (torch 2.11, opset 18, one thread). Both give one GRU node and equal
outputs and latency. The older one, which traces, takes 0.4 s and 1.7 s where the one over torch.export takes 7 s and
15 s, and the newer one writes stack traces with this machine's paths into the file; so the older one it is, its notice
of deprecation kept from the user. torch is pinned below the version that may drop it.

No STFT op and no formula of a filter reaches the graph: in ONNX Runtime that op is slower and less exact than the
convolution, or the two matrix products, with constant tables that the folded front-end is.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from xfer.export.fold import InferenceNet
from xfer.export.formats import OPSET
from xfer.export.place import write_file
from xfer.export.probe import with_probe
from xfer.export.tidy import pruned, tidied
from xfer.runtime.card import METADATA_KEY, Card
from xfer.runtime.engines import PROBE
from xfer.runtime.engines.onnx_file import GOLDEN_KEY, sealed
from xfer.runtime.errors import Unusable, need_extra

EXAMPLE_BATCH = 2
"""A batch of one would be taken for a constant: the GRU's first state then is of batch 1 for ever."""

OUTPUTS = ("scores", "logits", "embedding")
"""What a model file gives, beside the probe."""

FEATURES = "features"
"""The front-end's output, which only the twin gives."""

TAP = "tap "
"""Prefix of a stage's output, which only the twin gives: `tap block0`."""


def to_twin(net: InferenceNet) -> Any:
    """The graph with the probe, the front-end's features and every tap as further outputs; dynamic batch, fixed window.

    An onnx.ModelProto. The taps are called `TAP` and the stage's name.

    Raises NotThere where onnx is not installed.
    """
    names = [*OUTPUTS, FEATURES, *(f"{TAP}{stage}" for stage in net.net.stages)]
    size = net.net.frontend(torch.zeros(1, net.net.window)).numel()
    return with_probe(traced(net, net.net.window, names), FEATURES, size)


def traced(net: torch.nn.Module, window: int, names: list[str]) -> Any:
    """The graph of a module that takes `audio`, (n, window), and gives so many outputs; an onnx.ModelProto.

    Raises NotThere where onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise need_extra("onnx", "export") from error
    example = torch.zeros(EXAMPLE_BATCH, window)
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter's own notices (deprecation, constants that it leaves to the engine, "a GRU with a batch other
        # than 1"): parity at batches 1, 2 and 7 is the answer to all of them.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (example,),
            file,  # type: ignore[arg-type]  # its signature names paths only; buffers are taken as well
            dynamo=False,
            opset_version=OPSET,
            input_names=["audio"],
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in ("audio", *names)},
        )
    model = onnx.load_from_string(file.getvalue())
    model.producer_name, model.producer_version = "xfer", ""
    return tidied(model)


def to_shipped(twin: Any) -> Any:
    """The same graph, node for node, without what only the twin gives and what only leads there."""
    import onnx

    shipped = onnx.ModelProto()
    shipped.CopyFrom(twin)
    kept = [output for output in shipped.graph.output if output.name in (*OUTPUTS, PROBE)]
    del shipped.graph.output[:]
    shipped.graph.output.extend(kept)
    pruned(shipped)
    onnx.checker.check_model(shipped, full_check=True)
    return shipped


def write(model: Any, card: Card, path: Path, golden: str = "") -> None:
    """Write graph, card and golden clips as one sealed file at `path`.

    Raises OSError (a full disk), Unusable for a graph beyond 2 GB.
    """
    import onnx

    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()} | ({GOLDEN_KEY: golden} if golden else {}))
    try:
        content = model.SerializeToString()
    except ValueError as error:  # protobuf's own limit
        raise Unusable(f"this net is too large for one ONNX file ({error}): a file holds 2 GB") from error
    write_file(path, sealed(content))


def operators(model: Any) -> dict[str, int]:
    """How often each operator is in the graph."""
    found: dict[str, int] = {}
    for node in model.graph.node:
        found[node.op_type] = found.get(node.op_type, 0) + 1
    return found
