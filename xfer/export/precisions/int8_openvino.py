"""int8 for OpenVINO, through NNCF, calibrated on the same windows as ONNX Runtime's."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Collection, Sequence
from typing import Any

from xfer.export.openvino import converted
from xfer.export.precisions.calibration import TAIL
from xfer.export.precisions.scopes import FLOAT_SCOPES, GATES
from xfer.runtime.engines import Array
from xfer.runtime.errors import need_extra

OPERATORS = ("Conv",)
"""What becomes int8. Not linear layers, of which there are few: on Arm OpenVINO (2026.4) multiplies all channels of an
int8 one with the scale of the first, which moved a ConvNet's embedding by 0.21 of its peak."""

FLOAT_TYPES = ("MatMul", "GRUSequence", "GRUCell", "Add", "Subtract", "Multiply", "Divide")
"""Operators that stay in float32. NNCF would quantize the sums of residuals and what is left of norms too: on a trained
RawNet2 the logits then moved by 0.20 of their size, without by 0.14, with steps that are not about zero by 0.08; and
each was faster than the one before."""


def reduce(graph: Any, windows: Sequence[Array], kept: Collection[str] = ()) -> Any:
    """An openvino.Model with int8 products, from an onnx.ModelProto, but for the nodes named in `kept`.

    windows: (1, samples) each. All weights have half the range, for the reason that `int8_onnx` gives.
    Raises NotThere where openvino or nncf is not installed.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # nncf makes it say that there is no CUDA
    try:
        import nncf
        from nncf.quantization.range_estimator import (
            AggregatorType,
            RangeEstimatorParameters,
            StatisticsCollectorParameters,
            StatisticsType,
        )
    except ImportError as error:
        raise need_extra("nncf", "export") from error
    model = converted(graph)
    patterns = [f"{re.escape(scope)}.*" for scope in FLOAT_SCOPES] + [f".*{re.escape(GATES)}.*"]
    patterns += [f"{re.escape(name)}(/.*)?" for name in kept]
    nncf.set_log_level(40)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        return nncf.quantize(
            model,
            nncf.Dataset(list(windows)),
            subset_size=len(windows),
            preset=nncf.QuantizationPreset.MIXED,  # steps from the smallest value to the largest, not about zero
            target_device=nncf.TargetDevice.CPU,
            ignored_scope=nncf.IgnoredScope(patterns=patterns, types=list(FLOAT_TYPES), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE,
                # Its default is the mean of the windows' ranges, which a loud window is beyond.
                activations_range_estimator_params=RangeEstimatorParameters(
                    StatisticsCollectorParameters(StatisticsType.QUANTILE, AggregatorType.MIN, None, TAIL),
                    StatisticsCollectorParameters(StatisticsType.QUANTILE, AggregatorType.MAX, None, TAIL),
                ),
            ),
        )
