"""int8 for ONNX Runtime: static, per channel, as pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from xfer.export.precisions.calibration import TAIL
from xfer.export.precisions.scopes import PRODUCTS, products
from xfer.runtime.engines import Array
from xfer.runtime.errors import need_extra

OPERATORS = PRODUCTS
"""What becomes int8."""

Range = tuple[np.float32, np.float32]

_LOOKED_AT = 100_000
"""Values of a tensor and window: the tail's edge is then the twentieth largest."""


class _Reader:
    """ONNX Runtime's calibration data reader, of one window: the ranges are told to it, and it only insists on one."""

    def __init__(self, window: Array) -> None:
        self._left = [window]

    def get_next(self) -> dict[str, Array] | None:
        """The window, (1, samples), or None at the end."""
        return {"audio": self._left.pop()} if self._left else None


def ranges(graph: Any, names: Sequence[str], windows: Sequence[Array]) -> dict[str, Range]:
    """The smallest and the largest value of each tensor of an onnx.ModelProto, zero among them, over all windows, but
    for `TAIL` of each window's values. windows: (1, samples) each."""
    import onnx
    import onnxruntime

    seen = onnx.ModelProto()
    seen.CopyFrom(graph)
    del seen.graph.output[:]
    seen.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(seen.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = dict.fromkeys(names, (np.float32(0), np.float32(0)))
    for window in windows:
        for name, values in zip(names, session.run(None, {"audio": window}), strict=True):
            some = values.ravel()[:: max(1, values.size // _LOOKED_AT)]
            low, high = np.quantile(some, [TAIL, 1 - TAIL])
            found[name] = (np.float32(min(found[name][0], low)), np.float32(max(found[name][1], high)))
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without its advice on graphs that are not simplified, which it gives through the root logger: ours are."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def reduce(graph: Any, windows: Sequence[Array], kept: Collection[str] = ()) -> Any:
    """A copy of an onnx.ModelProto with int8 products, but for the nodes named in `kept`.

    windows: (1, samples) each. Weights have seven bits: on processors without VNNI two products of eight bits overflow
    the sixteen that they are added in, and a file that is right on one box only is no file for us.
    Raises NotThere where onnxruntime is not installed.
    """
    import onnx

    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise need_extra("onnxruntime", "cpu") from error
    chosen = [name for name in products(graph) if name not in kept]
    if not chosen:  # to the quantizer an empty list means every node
        whole = onnx.ModelProto()
        whole.CopyFrom(graph)
        return whole
    layers = [node for node in graph.graph.node if node.name in chosen]
    tensors = list(dict.fromkeys(name for node in layers for name in (node.input[0], node.output[0])))
    told = {name: [{"rmin": low, "rmax": high}] for name, (low, high) in ranges(graph, tensors, windows).items()}
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        plain, done = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(graph, str(plain))
        quantization.quantize_static(
            str(plain),
            str(done),
            _Reader(windows[0]),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(PRODUCTS),
            nodes_to_quantize=chosen,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            # What a linear layer gives goes to the head in float32. A convolution needs a quantizer behind it: without
            # one ONNX Runtime computes it in float32 after all.
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"], "TensorQuantOverrides": told},
        )
        quantized = onnx.load(str(done))
    quantized.producer_name, quantized.producer_version = "xfer", ""
    onnx.checker.check_model(quantized, full_check=True)
    return quantized
