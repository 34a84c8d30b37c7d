"""ONNX Runtime: the engine of `.onnx` files.

One thread that does not spin and no memory arena: a listener that shares a small box with other work runs a window in
milliseconds now and then, and should cost nothing in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xfer.runtime.card import METADATA_KEY, Card
from xfer.runtime.engines import Array, Outputs, check_outputs, check_shape
from xfer.runtime.engines.onnx_file import read_metadata
from xfer.runtime.engines.packages import refuse_double_onnxruntime
from xfer.runtime.errors import NotThere, Unusable, need_extra

OUTPUTS = ("scores", "logits", "embedding")
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def read_card(path: Path) -> Card:
    """The card in the file's metadata. Raises Unusable."""
    metadata = read_metadata(path)
    if METADATA_KEY not in metadata:
        raise Unusable(f"{path} is an ONNX file without a card, so xfer did not make it: export it with xfer export")
    return Card.from_json(metadata[METADATA_KEY], path)


def open_engine(path: Path, card: Card, threads: int = 1, device: str = "auto") -> OnnxRuntimeEngine:
    """Load an ONNX file. Raises Unusable for a broken file, NotThere for an absent package or provider."""
    refuse_double_onnxruntime()
    try:
        import onnxruntime
    except ImportError as error:
        raise need_extra("onnxruntime", "cpu") from error
    return OnnxRuntimeEngine(onnxruntime, path, card, threads, device)


class OnnxRuntimeEngine:
    """An ONNX Runtime session over one model file."""

    def __init__(self, onnxruntime: Any, path: Path, card: Card, threads: int, device: str) -> None:
        self.card = card
        self._path = path
        onnxruntime.set_default_logger_severity(4)
        providers = _providers(onnxruntime, device)
        self._failures = _failures(onnxruntime)
        self._session = _session(onnxruntime, path, threads, providers)
        self._check_graph()
        used = self._session.get_providers()[0]
        self.notes: tuple[str, ...] = ()
        if len(providers) > 1 and used == _CPU:  # ONNX Runtime falls back without a word
            missing = "the CUDA provider is installed but cannot be used here (driver, CUDA or cuDNN libraries)"
            if device != "auto":
                raise NotThere(f"{missing}: look at xfer doctor, or take --device cpu")
            self.notes = (f"{missing}: this runs on the CPU",)
        where = "CUDA" if used == _CUDA else f"CPU, {threads} thread{'s' * (threads > 1)}"
        self.description = f"ONNX Runtime {onnxruntime.__version__} on {where}"

    def run(self, windows: Array) -> Outputs:
        """Windows, float32 (n, window), to outputs. Raises Unusable where the graph is not what the card says."""
        return check_outputs(Outputs(*self.read(windows, OUTPUTS)), len(windows), self.card, self._path)

    def read(self, windows: Array, names: Sequence[str]) -> list[Array]:
        """Outputs of the graph by name, also those that only the twin of parity has. Raises Unusable."""
        try:
            found: list[Array] = self._session.run(names, {"audio": np.ascontiguousarray(windows, dtype=np.float32)})
        except self._failures as error:
            reason = " ".join(str(error).split())[:200]
            raise Unusable(f"{self._path} cannot run {len(windows)} windows ({reason}): export it again") from error
        return found

    def _check_graph(self) -> None:
        """Names and fixed sizes of the graph against the card."""
        inputs = {node.name: node.shape for node in self._session.get_inputs()}
        outputs = {node.name: node.shape for node in self._session.get_outputs()}
        if list(inputs) != ["audio"] or not set(OUTPUTS) <= set(outputs):
            raise Unusable(
                f"{self._path}: its graph takes {', '.join(inputs)} and gives {', '.join(outputs)}, where a model of "
                f"xfer takes audio and gives {', '.join(OUTPUTS)}: export it again"
            )
        check_shape(self._path, "audio", inputs["audio"][-1], self.card.window, "window")
        for name in ("scores", "logits"):
            check_shape(self._path, name, outputs[name][-1], len(self.card.labels), "labels")
        check_shape(self._path, "embedding", outputs["embedding"][-1], self.card.embedding_size, "embedding_size")


def _providers(onnxruntime: Any, device: str) -> list[Any]:
    """Execution providers to ask for, best first."""
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise Unusable(f"device {device!r} is not known: auto, cpu, cuda or cuda:N")
    if kind == "cpu":
        return [_CPU]
    if _CUDA not in onnxruntime.get_available_providers():
        if kind == "cuda":
            raise NotThere(
                "this onnxruntime has no CUDA provider; it comes with: "
                "pip uninstall -y onnxruntime && pip install 'xfer[gpu]' (or take --device cpu)"
            )
        return [_CPU]
    if hasattr(onnxruntime, "preload_dlls"):  # CUDA and cuDNN from the packages that the extra `gpu` brings
        onnxruntime.preload_dlls(msvc=False)
    # TF32 would keep 10 bits of a product: parity was measured in fp32.
    return [(_CUDA, {"device_id": number or "0", "use_tf32": "0"}), _CPU]


def _session(onnxruntime: Any, path: Path, threads: int, providers: list[Any]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except _failures(onnxruntime) as error:
        reason = " ".join(str(error).split())[:200]
        raise Unusable(f"{path} cannot be loaded by ONNX Runtime ({reason}): export it again") from error


def _failures(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises when it cannot load or run a graph; its errors share no base of their own."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
    return tuple(getattr(state, name) for name in names)
