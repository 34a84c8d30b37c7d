"""What can be exported: a table. A new format, or another precision of one, is a row and the module that writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from xfer.runtime.errors import Unusable, nearest


@dataclass(frozen=True)
class Form:
    """A format in a precision."""

    format: str
    """As `--format` and the card name it; the runtime's engine of that name opens it."""
    precision: str
    suffix: str
    """`models/<task><suffix>`"""
    module: str
    """Where `write(graph, card, path, golden="")` is, which takes what `shipped(twin)` there gives."""
    opset: int | None = None
    """ONNX operator set of the file, where it is one."""
    reducer: str = ""
    """Where `reduce(twin, windows, kept)` is, which makes the precision of the float32 graph; fp32 has none."""
    calibrated: bool = False
    """Does the reducer need windows of sound?"""

    @property
    def writer(self) -> Callable[..., None]:
        """The writer, imported now: `write(graph, card, path, golden="")`."""
        write: Callable[..., None] = import_module(self.module).write
        return write

    @property
    def shipped(self) -> Callable[[Any], Any]:
        """From the twin graph to the one that is shipped."""
        shipped: Callable[[Any], Any] = import_module(self.module).to_shipped
        return shipped


OPSET = 18
"""Of every graph: reductions with axes as inputs, nothing later that these nets need; ONNX Runtime 1.14 knows it."""

_ONNX, _OPENVINO, _PRECISIONS = "xfer.export.onnx", "xfer.export.openvino", "xfer.export.precisions"

FORMS = (
    Form("onnx", "fp32", ".onnx", _ONNX, OPSET),
    Form("onnx", "fp16", ".fp16.onnx", _ONNX, OPSET, f"{_PRECISIONS}.half"),
    Form("onnx", "int8", ".int8.onnx", _ONNX, OPSET, f"{_PRECISIONS}.int8_onnx", calibrated=True),
    Form("openvino", "fp32", ".openvino", _OPENVINO),
    Form("openvino", "fp16", ".fp16.openvino", _OPENVINO, None, f"{_PRECISIONS}.half"),
    Form("openvino", "int8", ".int8.openvino", _OPENVINO, None, f"{_PRECISIONS}.int8_openvino", calibrated=True),
)


def form_of(name: str, precision: str) -> Form:
    """The row for a format and a precision. Raises Unusable for one that is not in the table, naming the nearest."""
    formats = list(dict.fromkeys(form.format for form in FORMS))
    if name not in formats:
        raise Unusable(f"no format is called {name!r}: {nearest(name, formats)}")
    precisions = [form.precision for form in FORMS if form.format == name]
    if precision not in precisions:
        raise Unusable(f"format {name} has no precision {precision!r}: {nearest(precision, precisions)}")
    return next(form for form in FORMS if (form.format, form.precision) == (name, precision))
