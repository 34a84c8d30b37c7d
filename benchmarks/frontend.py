"""How fast and how exact the forms of the STFT are: beside numpy's transform, librosa and ONNX's own STFT operator.

    python benchmarks/frontend.py [--rounds 60]

Writes its table into docs/benchmarks.md. All ways hear the same window of 3 s on one thread, one after the other in
turns, so that what else the machine does falls on all; the fastest turn counts. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from xfer.export.fold import FORMS
from xfer.export.formats import OPSET
from xfer.export.frontend import ENGINES, graph_of
from xfer.export.onnx import FEATURES
from xfer.runtime.selftest import processor_name
from xfer.train.nets.frontends import Stft

REPORT = Path("docs/benchmarks.md")
EDGE = "<!-- frontend -->"
SIZES = ((400, 160), (512, 128), (1024, 512), (2048, 512))
WINDOW, MOST_FRAMES = 66_150, 128

Way = Callable[[np.ndarray], object]


def ways_of(stft: Stft) -> dict[str, Way]:
    """Everything that is compared, by name: sound (1, window), float32, to whatever it gives."""
    size, hop, frames = stft.n_fft, stft.hop, stft.frames
    hann = np.hanning(size).astype(np.float32)
    ready = np.ascontiguousarray(framed(np.zeros(WINDOW, np.float32), size, hop, frames))

    def by_librosa(audio: np.ndarray) -> np.ndarray:
        found = librosa.stft(audio[0], n_fft=size, hop_length=hop, window=hann, pad_mode="reflect")
        return np.abs(found[:, :frames]).T

    ways: dict[str, Way] = {
        "`numpy.fft.rfft` of frames that lie ready": lambda audio: np.fft.rfft(ready),
        "the same with padding, framing, window and magnitude": lambda audio: np.abs(
            np.fft.rfft(framed(audio[0], size, hop, frames) * hann)
        ),
        "`librosa.stft` and magnitude": by_librosa,
    }
    for format in ("onnx", "openvino"):
        engine, load = ENGINES[format]()
        for form in FORMS:
            ways[f"{form}, {engine}"] = load(graph_of(stft, WINDOW, form))
        if format == "onnx":
            ways[f"the STFT operator, {engine}"] = load(operator_graph(stft))
    return ways


def framed(wave: np.ndarray, size: int, hop: int, frames: int) -> np.ndarray:
    """Centred frames, ends reflected: a view, (frames, size)."""
    padded = np.pad(wave, size // 2, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:frames]


def operator_graph(stft: Stft) -> bytes:
    """The same by ONNX's own operator: `audio` to `features`."""
    half, bins = stft.n_fft // 2, stft.n_fft // 2 + 1
    length = (stft.frames - 1) * stft.hop + stft.n_fft
    constants: dict[str, Any] = {
        "pads": np.array([0, half, 0, half]),
        "begin": np.array([0]),
        "end": np.array([length]),
        "axis": np.array([1]),
        "last": np.array([-1]),
        "hop": np.array(stft.hop),
        "hann": np.hanning(stft.n_fft).astype(np.float32),
        "size": np.array(stft.n_fft),
    }
    nodes = [
        helper.make_node("Pad", ["audio", "pads"], ["padded"], mode="reflect"),
        helper.make_node("Slice", ["padded", "begin", "end", "axis"], ["seen"]),
        helper.make_node("STFT", ["seen", "hop", "hann", "size"], ["spectrum"], onesided=1),
        helper.make_node("ReduceL2", ["spectrum", "last"], ["magnitude"], keepdims=0),
        helper.make_node("Unsqueeze", ["magnitude", "axis"], [FEATURES]),
    ]
    graph = helper.make_graph(
        nodes,
        "operator",
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["batch", WINDOW])],
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", 1, stft.frames, bins])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def table(rounds: int) -> Iterator[str]:
    """Ratios to numpy's transform, and errors against it in float64."""
    yield "| way | " + " | ".join(f"{size}, hop {hop}" for size, hop in SIZES) + " |"
    yield "| --- |" + " --- |" * len(SIZES)
    audio = np.random.default_rng(0).normal(0, 0.1, (1, WINDOW)).astype(np.float32)
    rows: dict[str, list[str]] = {}
    for size, hop in SIZES:
        stft = Stft(size, hop, min(MOST_FRAMES, 1 + (WINDOW - 1) // hop))
        truth = np.abs(np.fft.rfft(framed(audio[0].astype(np.float64), size, hop, stft.frames) * np.hanning(size)))
        ways = ways_of(stft)
        fastest = dict.fromkeys(ways, float("inf"))
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                way(audio)
                fastest[name] = min(fastest[name], time.perf_counter() - began)
        first = next(iter(ways))
        for name, way in ways.items():
            found = way(audio)
            found = found if isinstance(found, np.ndarray) else np.array(found[0])  # type: ignore[index]
            cell = f"{fastest[name] / fastest[first]:.2f}"
            if name != first:
                cell += f" ({np.linalg.norm(found.reshape(truth.shape) - truth) / np.linalg.norm(truth):.0e})"
            rows.setdefault(name, []).append(cell)
    for name, cells in rows.items():
        yield f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=60)
    rounds = options.parse_args().rounds
    torch.set_num_threads(1)
    lines = [f"{processor_name()}, {os.cpu_count()} cores, numpy {np.__version__}, librosa {librosa.__version__}.", ""]
    for line in table(rounds):
        print(line, flush=True)
        lines.append(line)
    text = REPORT.read_text(encoding="utf-8")
    before, _, rest = text.partition(EDGE)
    _, _, after = rest.partition(EDGE)
    REPORT.write_text(f"{before}{EDGE}\n" + "\n".join(lines) + f"\n{EDGE}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
