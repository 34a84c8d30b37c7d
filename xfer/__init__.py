"""xfer: audio transfer learning that ends on the edge.

From Python: `model = xfer.load("speaker.onnx")`, then `model(wave, rate)` and `for event in model.listen(source)`;
docs/python.md has the rest. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from xfer.runtime.errors import AnswerIsNo, FileNotThere, NotThere, Unusable, XferError

if TYPE_CHECKING:
    from xfer.runtime.hearer import Hearer

__version__ = "0.1.0"
__all__ = ["AnswerIsNo", "FileNotThere", "NotThere", "Unusable", "XferError", "__version__", "load"]


def load(
    model: str | PathLike[str],
    *,
    threads: int = 1,
    device: str = "auto",
    engine: str = "",
    people: bool = True,
    threshold: float | None = None,
) -> Hearer:
    """Load a model file, or the one that is found for a task: `xfer.load("speaker.onnx")`, `xfer.load("speaker")`.

    threads: of the engine
    device: auto, cpu, cuda, cuda:N, gpu, npu ...
    engine: onnxruntime or openvino; by default the format's own
    people: name the people who are enrolled with this model, where there are any, in place of its own labels
    threshold: below this score it is unknown, in place of the model's own

    Raises FileNotThere; Unusable for what is broken or no model; NotThere for a package or device that is missing.
    """
    from xfer.runtime.hearer import open_hearer

    return open_hearer(model, threads, device, engine, people, threshold)
