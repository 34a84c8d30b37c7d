"""What is here: versions, engines that really run, microphones, and what is missing with the line that brings it."""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xfer import __version__
from xfer.runtime.engines.packages import installed, refuse_double_onnxruntime
from xfer.runtime.errors import XferError

EXTRAS = {
    "cpu": ("onnxruntime",),
    "gpu": ("onnxruntime-gpu",),
    "openvino": ("openvino",),
    "mic": ("sounddevice",),
    "media": ("av",),
    "train": (
        "torch",
        "torchaudio",
        "librosa",
        "scikit-learn",
        "scipy",
        "matplotlib",
        "safetensors",
        "tomli_w",
        "loky",
        "webdataset",
    ),
    "export": ("onnx", "onnxscript", "openvino", "nncf"),
    "tensorboard": ("tensorboard",),
}
"""Distributions that each extra brings, as in pyproject.toml."""
BASE = ("numpy", "soundfile", "soxr", "typer", "rich")


@dataclass(frozen=True)
class Provider:
    """A way to run models that a package offers."""

    engine: str
    name: str
    """As the engine calls it: CPUExecutionProvider, CUDAExecutionProvider, CPU, GPU, NPU ..."""
    usable: bool
    """A tiny session really ran on it."""
    problem: str = ""


def versions() -> dict[str, str | None]:
    """Versions of xfer, Python, the system and every package of every extra; None: not installed."""
    found: dict[str, str | None] = {
        "xfer": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for package in dict.fromkeys([*BASE, *(name for names in EXTRAS.values() for name in names)]):
        found[package] = installed(package)
    return found


def missing_extras() -> dict[str, tuple[str, ...]]:
    """Extras of which something is not installed, and what; `gpu` only where no engine of ONNX Runtime is."""
    missing = {}
    for extra, packages in EXTRAS.items():
        absent = tuple(package for package in packages if installed(package) is None)
        other = {"cpu": "onnxruntime-gpu", "gpu": "onnxruntime"}.get(extra)
        if absent and not (other and installed(other)):
            missing[extra] = absent
    return missing


def providers() -> list[Provider]:
    """Every provider of every installed engine, tried with a tiny session."""
    return [*_onnxruntime(), *_openvino()]


def _onnxruntime() -> list[Provider]:
    if installed("onnxruntime") is None and installed("onnxruntime-gpu") is None:
        return []
    try:
        refuse_double_onnxruntime()
    except XferError as error:
        return [Provider("onnxruntime", "none", False, str(error))]
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)

    def run(name: str) -> bool:
        session = onnxruntime.InferenceSession(tiny_model(), providers=[name])
        session.run(None, {"x": np.zeros(1, np.float32)})
        return name in session.get_providers()

    # The Azure provider sends audio to a remote service: no engine of this device.
    names = [name for name in onnxruntime.get_available_providers() if name != "AzureExecutionProvider"]
    return [_try("onnxruntime", name, run) for name in names]


def _openvino() -> list[Provider]:
    if installed("openvino") is None:
        return []
    import openvino

    core = openvino.Core()
    model = core.read_model(tiny_model())

    def run(name: str) -> bool:
        core.compile_model(model, name)([np.zeros(1, np.float32)])
        return True

    return [_try("openvino", name, run) for name in core.available_devices]


def _try(engine: str, name: str, run: Callable[[str], bool]) -> Provider:
    try:
        usable = run(name)
    except Exception as error:  # noqa: BLE001  each engine has its own errors, and all of them mean: not usable here
        return Provider(engine, name, False, str(error).strip().splitlines()[0][:200])
    return Provider(engine, name, usable, "" if usable else "it fell back to another provider")


def tiny_model() -> bytes:
    """An ONNX model that gives back its one input, float32 (1,), written field by field: `onnx` is not here."""

    def field(number: int, payload: bytes | int) -> bytes:
        if isinstance(payload, int):
            return struct.pack("BB", number << 3, payload)
        return struct.pack("BB", number << 3 | 2, len(payload)) + payload

    def value(name: bytes) -> bytes:  # a tensor of one float
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, field(1, field(1, 1)))))

    node = field(1, b"x") + field(2, b"y") + field(4, b"Identity")
    graph = field(1, node) + field(2, b"tiny") + field(11, value(b"x")) + field(12, value(b"y"))
    return field(1, 8) + field(7, graph) + field(8, field(2, 17))


def microphones_here() -> tuple[list[dict[str, Any]], str]:
    """Every microphone as plain values, and why there is none to list."""
    from xfer.runtime.sources.portaudio import microphones, rates_of, start

    try:
        sounddevice = start()
        found = microphones(sounddevice)
    except XferError as error:
        return [], str(error)
    listed = [{**vars(each), "rates": rates_of(sounddevice, each)} for each in found]
    return listed, "" if found else "PortAudio sees no microphone"


def python_is_supported() -> bool:
    """3.11 to 3.13."""
    return (3, 11) <= sys.version_info[:2] <= (3, 13)
