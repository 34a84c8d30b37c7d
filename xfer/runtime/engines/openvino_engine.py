"""OpenVINO: the engine of `<name>.openvino/` folders (model.xml, model.bin, card.json); it also opens `.onnx` files.

f32 is forced: on processors with bf16 or AMX, and on every GPU, OpenVINO would otherwise compute in less, and scores
would move by percents. bf16 is there for who asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xfer.runtime.card import Card
from xfer.runtime.engines import OUTPUTS, Array, Outputs, Wish, check_names, check_outputs, check_sizes
from xfer.runtime.errors import NotThere, Unusable, need_extra

DEVICES = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}
"""A device's word to OpenVINO's; `gpu:N` where there are several. `auto` is the CPU, which parity was measured on."""

_IN_BF16 = (
    "bf16 keeps 8 bits of each number, of the front-end's too: xfer verify --bf16 tells whether that is near enough"
)
_IN_FP16 = "an NPU computes in fp16: xfer verify tells whether that is near enough"


def open_engine(path: Path, card: Card, wish: Wish) -> OpenVinoEngine:
    """Load a folder or an ONNX file. Raises Unusable for a broken model, NotThere for an absent package or device."""
    kind, _, number = wish.device.partition(":")
    if kind not in ("auto", *DEVICES) or (number and not (kind == "gpu" and number.isdigit())):
        raise Unusable(f"device {wish.device!r} is not known to OpenVINO: auto, cpu, gpu, gpu:N or npu")
    try:
        import openvino
    except ImportError as error:
        raise need_extra("openvino", "openvino") from error
    return OpenVinoEngine(openvino, path, card, wish)


class OpenVinoEngine:
    """A compiled OpenVINO model."""

    def __init__(self, openvino: Any, path: Path, card: Card, wish: Wish) -> None:
        self.card = card
        self._path = path
        core = openvino.Core()
        kind, _, number = wish.device.partition(":")
        wanted = "CPU" if kind in ("auto", "cpu") else f"{DEVICES[kind]}{f'.{number}' if number else ''}"
        missing = "" if wanted == "CPU" else _missing(core, wanted)
        if missing and not wish.allow_cpu:
            raise NotThere(f"{missing} (or take --device cpu, or add --allow-cpu): look at xfer doctor")
        try:
            model = core.read_model(str(path / "model.xml" if path.is_dir() else path))
            self.outputs = _check_graph(path, card, model)
            compiled, wanted, refused = _compiled(core, model, "CPU" if missing else wanted, wish)
            self._request = compiled.create_infer_request()
        except RuntimeError as error:  # what OpenVINO raises for everything
            raise Unusable(f"{path} cannot be loaded by OpenVINO ({_reason(error)}): export it again") from error
        notes = [f"{missing or refused}: this runs on the CPU"] if missing or refused else []
        self.notes: tuple[str, ...] = (
            *notes,
            *([_IN_FP16] if wanted.startswith("NPU") else [_IN_BF16] if wish.bf16 else []),
        )
        used = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string()) if wish.bf16 else "f32"
        if wish.bf16 and used != "bf16":
            raise NotThere(f"{wanted} computes this in {used}, not in bf16: leave bf16 out")
        version = openvino.__version__.partition("-")[0]
        where = f"CPU, {wish.threads} thread{'s' * (wish.threads > 1)}" if wanted == "CPU" else wanted
        self.description = f"OpenVINO {version} on {where}, {'f16' if wanted.startswith('NPU') else used}"

    def run(self, windows: Array) -> Outputs:
        """Windows, float32 (n, window), to outputs. Raises Unusable where the graph is not what the card says."""
        return check_outputs(Outputs(*self.read(windows, OUTPUTS)), len(windows), self.card, self._path)

    def read(self, windows: Array, names: Sequence[str]) -> list[Array]:
        """Outputs of the graph by name, also those that only the twin of parity has. Raises Unusable."""
        try:
            self._request.infer({"audio": np.ascontiguousarray(windows, dtype=np.float32)})
        except RuntimeError as error:
            raise Unusable(
                f"{self._path} cannot run {len(windows)} windows ({_reason(error)}): export it again"
            ) from error
        return [np.array(self._request.get_tensor(name).data) for name in names]  # copied: the tensors are reused


def _missing(core: Any, wanted: str) -> str:
    """Why a device cannot be asked for; empty where it is there. With several GPUs `GPU` is the first."""
    here = list(core.available_devices)
    if any(name == wanted or name.split(".")[0] == wanted for name in here) or (wanted == "GPU.0" and "GPU" in here):
        return ""
    return f"OpenVINO sees no {wanted} here, only {', '.join(here) or 'nothing'} (its driver may be missing)"


def _compiled(core: Any, model: Any, wanted: str, wish: Wish) -> tuple[Any, str, str]:
    """The compiled model, the device that really runs it, and why that is not the one that was asked for."""
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if wish.bf16:
        if "BF16" not in core.get_property(wanted, "OPTIMIZATION_CAPABILITIES"):
            raise NotThere(f"{core.get_property(wanted, 'FULL_DEVICE_NAME')} has no units for bf16: leave bf16 out")
        settings["INFERENCE_PRECISION_HINT"] = "bf16"
    elif not wanted.startswith("NPU"):
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    # Not pinned: OpenVINO would put the one thread of every listener on the same core, and leave it there.
    on_cpu = settings | {"INFERENCE_NUM_THREADS": wish.threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    if wanted == "CPU":
        return core.compile_model(model, wanted, on_cpu), wanted, ""
    try:
        compiled = core.compile_model(model, wanted, settings)
        used = [str(name) for name in compiled.get_property("EXECUTION_DEVICES")]
        if all(name.split(".")[0] == wanted.split(".")[0] for name in used):
            return compiled, wanted, ""
        refused = f"OpenVINO runs this on {', '.join(used)}, not on {wanted}"
    except RuntimeError as error:
        refused = f"OpenVINO cannot run this on {wanted} ({_reason(error)})"
    if not wish.allow_cpu:
        raise NotThere(f"{refused}: take --device cpu, or add --allow-cpu")
    on_cpu["INFERENCE_PRECISION_HINT"] = "f32"
    return core.compile_model(model, "CPU", on_cpu), "CPU", refused


def _check_graph(path: Path, card: Card, model: Any) -> tuple[str, ...]:
    """Names and fixed sizes of the graph against the card; the names of its outputs. Raises Unusable."""
    inputs = {name: port for port in model.inputs for name in port.get_names()}
    outputs = {name: port for port in model.outputs for name in port.get_names()}
    taken = ["audio"] if "audio" in inputs and len(model.inputs) == 1 else list(inputs)
    check_names(path, taken, tuple(outputs))
    check_sizes(path, card, _last(inputs["audio"]), {name: _last(outputs[name]) for name in OUTPUTS})
    return tuple(outputs)


def _last(port: Any) -> int | None:
    """The last size of a port where it is fixed."""
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic or len(shape) == 0:
        return None
    last = shape[len(shape) - 1]
    return int(last.get_length()) if last.is_static else None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]
