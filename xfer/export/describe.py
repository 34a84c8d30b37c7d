"""The card of an export: what the checkpoint knows of itself, in the words that travel with the model file."""

from __future__ import annotations

import math
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import xfer
from xfer.export.formats import Form
from xfer.export.frontend import Choice
from xfer.runtime.audio import Short
from xfer.runtime.card import Card
from xfer.train.checkpoint import Checkpoint

_PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "numpy")


def card_of(checkpoint: Checkpoint, name: str, form: Form, choice: Choice | None = None) -> Card:
    """Everything but golden outputs and parity, which are measured.

    Of this machine only the run's name goes in and, with a measured `choice` of the front-end's form, the processor.
    """
    net, data = checkpoint.net, checkpoint.data
    return Card(
        name=name,
        task=checkpoint.task,
        net=net.name,
        labels=checkpoint.labels,
        sample_rate=net.sample_rate,
        window=net.window,
        hop=net.window // 2,  # each instant is heard twice, as in the ConvNet's original
        embedding_size=net.embedding_size,
        short=short_of(checkpoint),
        frontend=net.frontend.describe() | ({"computed": choice.to_json()} if choice else {}),
        format=form.format,
        precision=form.precision,
        opset=form.opset,
        threshold=None,
        threshold_origin="uncalibrated",
        metrics=_finite(checkpoint.metrics),
        data=_finite(data),
        provenance={
            "checkpoint_sha256": checkpoint.sha256,
            "run": checkpoint.path.resolve().parent.name,
            "options": dict(net.options),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "xfer": xfer.__version__,
            "python": platform.python_version(),
            **{package: found for package in _PACKAGES if (found := _version(package))},
        },
        licence=str(data.get("licence") or ""),
        description=describe(checkpoint),
    )


def short_of(checkpoint: Checkpoint) -> Short:
    """How the net was taught to hear sound shorter than its window; a checkpoint that does not say: repeated."""
    windows = checkpoint.recipe.get("windows")
    return "place" if isinstance(windows, dict) and windows.get("short") == "place" else "tile"


def describe(checkpoint: Checkpoint) -> str:
    """What the model can do and what it cannot, in a few honest sentences."""
    net, data = checkpoint.net, checkpoint.data
    sentences = [
        f"Tells {len(checkpoint.labels)} labels apart (task {checkpoint.task}) in windows of "
        f"{net.window / net.sample_rate:.2f} s at {net.sample_rate:,} Hz.",
        _trained_on(data),
        "It knows these labels only: until a threshold is calibrated, any other sound gets one of them too.",
    ]
    if data.get("synthetic"):
        sentences.insert(
            2, "That sound is SYNTHETIC: made by a program, no people; it says nothing about real recordings."
        )
    return " ".join(sentences)


def _trained_on(data: dict[str, Any]) -> str:
    amount = [f"{data['clips']} clips"] if "clips" in data else []
    if isinstance(data.get("hours"), (int, float)):
        amount.append(f"{60 * data['hours']:.0f} minutes" if data["hours"] < 2 else f"{data['hours']:.1f} hours")
    return f"Trained on {data.get('name') or 'data without a name'}" + (f" ({', '.join(amount)})." if amount else ".")


def _finite(value: Any) -> Any:
    """The same JSON with null for numbers that are not finite, which a card cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
