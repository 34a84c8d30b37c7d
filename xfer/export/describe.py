"""The card of an export: what the checkpoint knows of itself, in the words that travel with the model file."""

from __future__ import annotations

import math
from typing import Any

from xfer.export.formats import Form
from xfer.export.frontend import Choice
from xfer.export.provenance import provenance_of
from xfer.export.unknown import Threshold
from xfer.runtime.audio import Short
from xfer.runtime.card import Card, digits
from xfer.train.checkpoint import Checkpoint
from xfer.train.data.clips import DataSet


def card_of(
    checkpoint: Checkpoint, name: str, form: Form, choice: Choice | None = None, recorded: DataSet | None = None
) -> Card:
    """Everything but golden outputs, parity and threshold, which are measured. `recorded`: the run's data set.

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
        provenance=provenance_of(checkpoint, recorded),
        licence=str(data.get("licence") or ""),
        description=describe(checkpoint),
    )


def short_of(checkpoint: Checkpoint) -> Short:
    """How the net was taught to hear sound shorter than its window; a checkpoint that does not say: repeated."""
    windows = checkpoint.recipe.get("windows")
    return "place" if isinstance(windows, dict) and windows.get("short") == "place" else "tile"


def describe(checkpoint: Checkpoint, threshold: Threshold | None = None) -> str:
    """What the model can do and what it cannot, in a few honest sentences."""
    net, data = checkpoint.net, checkpoint.data
    sentences = [
        f"Tells {len(checkpoint.labels)} labels apart (task {checkpoint.task}) in windows of "
        f"{net.window / net.sample_rate:.2f} s at {net.sample_rate:,} Hz.",
        _trained_on(data),
        "It knows these labels only. " + _unknown(threshold),
    ]
    if data.get("synthetic"):
        sentences.insert(
            2, "That sound is SYNTHETIC: made by a program, no people; it says nothing about real recordings."
        )
    return " ".join(sentences)


def _unknown(threshold: Threshold | None) -> str:
    if threshold is None:
        return "Its threshold is uncalibrated: any other sound gets one of them too."
    total, known = threshold.total, threshold.known
    stay = f", and {known.accepted} of {known.clips} validation clips stay known" if known.clips else ""
    return (
        f"What scores below {digits(threshold.value)} is called unknown: of {total.clips} clips that hold none of "
        f"them {total.accepted} are still taken for one{stay}."
    )


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
