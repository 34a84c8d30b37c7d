"""What can be exported: a table. A new format, or another precision of one, is a row and the module that writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

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
    """Where `write(model, card, path, golden="")` is, which takes the graph as an onnx.ModelProto."""
    opset: int | None = None
    """ONNX operator set of the file, where it is one."""

    @property
    def writer(self) -> Callable[..., None]:
        """The writer, imported now: `write(model, card, path, golden="")`."""
        write: Callable[..., None] = import_module(self.module).write
        return write


OPSET = 18
"""Of every graph: reductions with axes as inputs, nothing later that these nets need; ONNX Runtime 1.14 knows it."""

FORMS = (
    Form("onnx", "fp32", ".onnx", "xfer.export.onnx", OPSET),
    Form("openvino", "fp32", ".openvino", "xfer.export.openvino"),
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
