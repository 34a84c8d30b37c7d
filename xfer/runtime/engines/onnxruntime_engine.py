"""ONNX Runtime: the engine of `.onnx` files, on the CPU or on what its other execution providers drive.

One thread that does not spin and no memory arena: a listener that shares a small box with other work runs a window in
milliseconds now and then, and should cost nothing in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xfer.runtime.card import Card
from xfer.runtime.engines import OUTPUTS, Array, Outputs, Wish, check_names, check_outputs, check_sizes
from xfer.runtime.engines.packages import refuse_double_onnxruntime
from xfer.runtime.errors import NotThere, Unusable, XferError, need_extra

DEVICES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "cann": "CANNExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}
"""A device's word to the provider's name."""

_NUMBERED = ("cuda", "tensorrt", "rocm", "migraphx", "directml")
_CPU = DEVICES["cpu"]


def open_engine(path: Path, card: Card, wish: Wish) -> OnnxRuntimeEngine:
    """Load an ONNX file. Raises Unusable for a broken file, NotThere for an absent package or provider."""
    if wish.bf16:
        raise Unusable("ONNX Runtime does not compute a float32 file in bf16: take OpenVINO (--engine openvino)")
    refuse_double_onnxruntime()
    try:
        import onnxruntime
    except ImportError as error:
        raise need_extra("onnxruntime", "cpu") from error
    return OnnxRuntimeEngine(onnxruntime, path, card, wish)


class OnnxRuntimeEngine:
    """An ONNX Runtime session over one model file."""

    def __init__(self, onnxruntime: Any, path: Path, card: Card, wish: Wish) -> None:
        self.card = card
        self._path = path
        onnxruntime.set_default_logger_severity(4)
        self._failures = _failures(onnxruntime)
        self._session, word, missing = _session_on(onnxruntime, path, wish)
        self.notes: tuple[str, ...] = (f"{missing}: this runs on the CPU",) if missing else ()
        inputs = {node.name: node.shape for node in self._session.get_inputs()}
        outputs = {node.name: node.shape for node in self._session.get_outputs()}
        self.outputs = tuple(outputs)
        check_names(path, list(inputs), self.outputs)
        check_sizes(path, card, _last(inputs["audio"]), {name: _last(outputs[name]) for name in OUTPUTS})
        # What only verify asks for (the probe) costs a listener nothing.
        self._only_asked = onnxruntime.RunOptions()
        self._only_asked.only_execute_path_to_fetches = True
        where = f"CPU, {wish.threads} thread{'s' * (wish.threads > 1)}" if word == "cpu" else word.upper()
        self.description = f"ONNX Runtime {onnxruntime.__version__} on {where}"

    def run(self, windows: Array) -> Outputs:
        """Windows, float32 (n, window), to outputs. Raises Unusable where the graph is not what the card says."""
        return check_outputs(Outputs(*self.read(windows, OUTPUTS)), len(windows), self.card, self._path)

    def read(self, windows: Array, names: Sequence[str]) -> list[Array]:
        """Outputs of the graph by name, also those that only the twin of parity has. Raises Unusable."""
        audio = {"audio": np.ascontiguousarray(windows, dtype=np.float32)}
        try:
            found: list[Array] = self._session.run(names, audio, self._only_asked)
        except self._failures as error:
            raise Unusable(
                f"{self._path} cannot run {len(windows)} windows ({_reason(error)}): export it again"
            ) from error
        return found


def _session_on(onnxruntime: Any, path: Path, wish: Wish) -> tuple[Any, str, str]:
    """A session, the word of the device that it really uses, and why that is not the one that was hoped for.

    ONNX Runtime falls back to the CPU without a word, so what is in use is asked after loading. Raises NotThere where
    a device was asked for, is not there, and the CPU is not allowed; Unusable for an unknown device or a broken file.
    """
    kind, _, number = wish.device.partition(":")
    known = ("auto", *DEVICES)
    if kind not in known or (number and not (kind in _NUMBERED and number.isdigit())):
        raise Unusable(f"device {wish.device!r} is not known to ONNX Runtime: auto, cpu, cuda, cuda:N, or {_others()}")
    here = onnxruntime.get_available_providers()
    word = ("cuda" if DEVICES["cuda"] in here else "cpu") if kind == "auto" else kind
    if word == "cpu":
        return _session(onnxruntime, path, wish.threads, [_CPU]), word, ""
    missing = f"{word} is installed but cannot be used here (driver, libraries or device)"
    if DEVICES[word] not in here:
        missing = f"this onnxruntime has no {word.upper() if word == 'cuda' else word} provider"
        if word == "cuda":
            missing += "; it comes with: pip uninstall -y onnxruntime && pip install 'xfer[gpu]'"
    else:
        try:
            session = _session(onnxruntime, path, wish.threads, [*_settings(onnxruntime, word, number), _CPU])
            if session.get_providers()[0] == DEVICES[word]:
                return session, word, ""
        except XferError as error:
            missing = f"{missing}: {error}"
    if kind != "auto" and not wish.allow_cpu:
        raise NotThere(f"{missing} (or take --device cpu, or add --allow-cpu): look at xfer doctor")
    return _session(onnxruntime, path, wish.threads, [_CPU]), "cpu", missing


def _settings(onnxruntime: Any, word: str, number: str) -> list[Any]:
    """The provider to ask for, with its options."""
    if word in ("cuda", "tensorrt") and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls(msvc=False)  # CUDA and cuDNN from the packages that the extra `gpu` brings
    options = {"device_id": number or "0"} if word in _NUMBERED else {}
    if word == "cuda":
        options["use_tf32"] = "0"  # TF32 would keep 10 bits of a product: parity was measured in fp32
    return [(DEVICES[word], options)]


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
        raise Unusable(f"{path} cannot be loaded by ONNX Runtime ({_reason(error)}): export it again") from error


def _failures(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises when it cannot load or run a graph; its errors share no base of their own."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
    return tuple(getattr(state, name) for name in names)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _others() -> str:
    return ", ".join(word for word in DEVICES if word not in ("cpu", "cuda"))


def _last(shape: Sequence[object]) -> object:
    return shape[-1] if len(shape) else None
