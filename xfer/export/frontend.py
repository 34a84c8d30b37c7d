"""Which form of its front-end a model file gets: measured on this machine, in the engine of the format.

The convolution and the transform in two stages compute the same (`fold.stft`); which is faster depends on the size, the
engine and the processor. Each form is a small graph of its own here and hears the same window in turns, one thread, as
listening does; the fastest turn counts, because what else the machine does only ever adds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xfer.export.fold import FORMS, TwoStageStft, checked_form, forms_of, split_of
from xfer.export.onnx import FEATURES, traced
from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable, nearest, need_extra
from xfer.runtime.selftest import processor_name
from xfer.train.nets.frontends import Frontend, Stft

WORDS = ("auto", *FORMS)
"""What `--frontend` takes."""

_SECONDS = 0.4
"""Of measuring, all forms together, beside loading them."""

_TURNS = 30
_FEWEST = 5


@dataclass(frozen=True)
class Choice:
    """The form that a front-end gets, and why."""

    form: str
    """`conv` or `fft`."""
    split: tuple[int, int] | None = None
    """Points of the two stages of `fft`."""
    by: str = "only"
    """`only`: there is no other form; `asked`: by the user; `measured`."""
    milliseconds: dict[str, float] = field(default_factory=dict)
    """Each form's fastest turn with one window, where that was measured."""
    on: str = ""
    """Engine and processor of the measurement."""

    def to_json(self) -> dict[str, Any]:
        """For the card."""
        told: dict[str, Any] = {"form": self.form, "chosen": self.by}
        if self.split:
            told["split"] = list(self.split)
        if self.milliseconds:
            told |= {"milliseconds": self.milliseconds, "measured_on": self.on}
        return told


def checked_word(wanted: str) -> str:
    """What `--frontend` was given. Raises Unusable for a word that it does not know, naming the nearest."""
    if wanted not in WORDS:
        raise Unusable(f"--frontend knows no form {wanted!r}: {nearest(wanted, WORDS)}")
    return wanted


def choose(frontend: Frontend, window: int, format: str, wanted: str = "auto") -> Choice:
    """The form of a front-end in a model file of that format.

    `wanted`: auto, conv or fft. Raises Unusable for another word, naming the nearest, or for a form that this front-end
    cannot have; NotThere where the format's engine is not installed and something has to be measured.
    """
    if checked_word(wanted) != "auto":
        return Choice(checked_form(frontend, wanted), _split(frontend, wanted), "asked")
    forms = forms_of(frontend)
    if len(forms) == 1:
        return Choice(forms[0])
    spent, engine = measure(frontend, window, format)
    form = min(spent, key=lambda each: spent[each])
    milliseconds = {name: float(f"{1000 * seconds:.3g}") for name, seconds in spent.items()}
    return Choice(form, _split(frontend, form), "measured", milliseconds, f"{engine}, {processor_name()}")


def measure(frontend: Frontend, window: int, format: str) -> tuple[dict[str, float], str]:
    """Seconds of each form's fastest turn with one window, and the engine. Raises NotThere without the engine."""
    engine, load = ENGINES[format]()
    ways = {form: load(graph_of(frontend, window, form)) for form in forms_of(frontend)}
    audio = np.random.default_rng(0).normal(0, 0.1, (1, window)).astype(np.float32)
    return _in_turns(ways, audio), engine


def graph_of(frontend: Frontend, window: int, form: str) -> bytes:
    """A front-end alone as an ONNX graph: `audio` to `features`."""
    graph: bytes = traced(_Alone(frontend, form).eval(), window, [FEATURES]).SerializeToString()
    return graph


class _Alone(nn.Module):
    """A front-end in one form; the one that is given stays as it is. Shape: (n, window) -> features."""

    def __init__(self, frontend: Frontend, form: str) -> None:
        super().__init__()
        self.frontend: nn.Module = frontend
        if form == "fft" and isinstance(frontend, Stft):
            self.frontend = TwoStageStft(frontend)

    def forward(self, audio: Tensor) -> Tensor:
        """Shape: (n, window) -> features."""
        with torch.no_grad():
            features: Tensor = self.frontend(audio)
        return features


def _split(frontend: Frontend, form: str) -> tuple[int, int] | None:
    split = split_of(frontend.n_fft) if form == "fft" and isinstance(frontend, Stft) else None
    return (split.first, split.second) if split else None


def _in_turns(ways: dict[str, Callable[[Array], object]], audio: Array) -> dict[str, float]:
    """Each way's fastest turn in seconds, after one turn that does not count."""
    fastest = dict.fromkeys(ways, float("inf"))
    for run in ways.values():
        run(audio)
    began = time.perf_counter()
    for turn in range(_TURNS):
        if turn >= _FEWEST and time.perf_counter() - began > _SECONDS:
            break
        for name, run in ways.items():
            start = time.perf_counter()
            run(audio)
            fastest[name] = min(fastest[name], time.perf_counter() - start)
    return fastest


Loader = Callable[[bytes], Callable[[Array], object]]


def _onnxruntime() -> tuple[str, Loader]:
    try:
        import onnxruntime
    except ImportError as error:
        raise need_extra("onnxruntime", "cpu") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4

    def load(graph: bytes) -> Callable[[Array], object]:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return lambda audio: session.run([FEATURES], {"audio": audio})

    return f"ONNX Runtime {onnxruntime.__version__}", load


def _openvino() -> tuple[str, Loader]:
    try:
        import openvino
    except ImportError as error:
        raise need_extra("openvino", "openvino") from error
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}

    def load(graph: bytes) -> Callable[[Array], object]:
        request = core.compile_model(core.read_model(graph, b""), "CPU", settings).create_infer_request()
        return lambda audio: request.infer({"audio": audio}, share_inputs=True, share_outputs=True)

    return f"OpenVINO {openvino.__version__.partition('-')[0]}", load


ENGINES: dict[str, Callable[[], tuple[str, Loader]]] = {"onnx": _onnxruntime, "openvino": _openvino}
"""By format: the engine's name and version, and what loads a graph into it, one thread, as the runtime does."""
