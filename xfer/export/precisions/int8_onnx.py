"""int8 for ONNX Runtime: static, per channel, as pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from xfer.export.precisions.scopes import PRODUCTS, products
from xfer.runtime.engines import Array
from xfer.runtime.errors import need_extra


class _Reader:
    """ONNX Runtime's calibration data reader."""

    def __init__(self, windows: Sequence[Array]) -> None:
        self._left = iter(windows)

    def get_next(self) -> dict[str, Array] | None:
        """The next window, (1, samples), or None at the end."""
        window = next(self._left, None)
        return None if window is None else {"audio": window}


def quantize(graph: Any, windows: Sequence[Array], kept: Collection[str] = ()) -> Any:
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
    logging.getLogger().setLevel(max(logging.getLogger().level, logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        plain, done = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(graph, str(plain))
        quantization.quantize_static(
            str(plain),
            str(done),
            _Reader(windows),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(PRODUCTS),
            nodes_to_quantize=chosen,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        quantized = onnx.load(str(done))
    quantized.producer_name, quantized.producer_version = "xfer", ""
    onnx.checker.check_model(quantized, full_check=True)
    return quantized
