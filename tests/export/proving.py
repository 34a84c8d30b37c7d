"""An export without its last steps, so that what is between the folded net and its file can be tampered with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xfer.export import onnx as graphs
from xfer.export.describe import card_of
from xfer.export.fold import InferenceNet, fold
from xfer.export.formats import Form, form_of
from xfer.export.inputs import parity_inputs
from xfer.export.parity import ParityReport, Reference, Subject, Way, prove, ways_of
from xfer.runtime.card import Card
from xfer.runtime.engines import Array
from xfer.train.checkpoint import Checkpoint

Sabotage = Callable[[InferenceNet], None]
ONNX = form_of("onnx", "fp32")


def parity(
    checkpoint: Checkpoint,
    folder: Path,
    form: Form = ONNX,
    sabotage: Sabotage = lambda folded: None,
    surgery: Callable[[Any], None] = lambda graph: None,
    inputs: dict[str, Array] | None = None,
    reference: Reference | None = None,
    file_card: Callable[[Card], Card] = lambda card: card,
    ways: Callable[[list[Way]], list[Way]] = lambda found: found,
) -> ParityReport:
    """Fold, write, prove; each step in between can be changed."""
    net = checkpoint.net
    folded = fold(net)
    sabotage(folded)
    twin = graphs.to_twin(folded)
    surgery(twin)
    card = card_of(checkpoint, "model", form)
    shipped = graphs.to_shipped(twin)
    places = [folder / f"{name}{form.suffix}" for name in ("model", "twin")]
    for graph, place in zip((shipped, twin), places, strict=True):
        form.writer(graph, file_card(card), place)
    found, notes = ways_of(*places)
    inputs = parity_inputs(net.window, net.sample_rate) if inputs is None else inputs
    return prove(reference or Reference(net), Subject(card, ways(found), shipped, tuple(notes)), inputs)
