"""The card: all that a model file says about itself. It travels inside the file as JSON, and is checked when read."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xfer.runtime.errors import Unusable, nearest
from xfer.runtime.strict_json import read_json, shown

if TYPE_CHECKING:  # a card is read without what decodes sound
    from xfer.runtime.audio import Short

SCHEMA = 3
"""Raised when an older xfer could no longer understand a card. 1: golden outputs in the card, no seal. 2: no field
`calibration`. What a card of this schema is, for other programs: card.schema.json beside this file."""

SEALED_SINCE = 2
"""From this schema on a model file without its seal is a damaged one."""

METADATA_KEY = "xfer.card"
"""Where an ONNX file keeps the card: in its metadata."""

LARGEST_CARD = 16_000_000
"""Characters. A card is some kilobytes; what is larger is no card."""

_LONGEST_WINDOW_SECONDS = 600

_NO_NAME = re.compile("[\t\n\r]")


@dataclass(frozen=True)
class Card:
    """What a model file is. `from_json` is the only way in from outside; it checks everything."""

    name: str
    """The model's own name, as in events."""
    task: str
    """What is recognised."""
    net: str
    """Registered name of the net that was exported."""
    labels: tuple[str, ...]
    """In the order of the scores."""
    sample_rate: int
    """Hz."""
    window: int
    """Samples that the net takes."""
    hop: int
    """Samples between two windows when listening, unless told otherwise."""
    embedding_size: int
    """Values of the embedding."""
    short: Short = "tile"
    """How the net was taught to hear sound shorter than its window: repeated (`tile`) or amid silence (`place`)."""
    frontend: dict[str, Any] = field(default_factory=dict)
    """The front-end's own description: kind, its numbers, how it normalises."""
    format: str = "onnx"
    """`onnx` or `openvino`."""
    precision: str = "fp32"
    """`fp32`, `fp16` or `int8`."""
    opset: int | None = None
    """ONNX operator set, where there is one."""
    threshold: float | None = None
    """A best score below this is called unknown; None: nothing is."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """Thresholds of single labels, in place of that of all."""
    threshold_origin: str = "uncalibrated"
    """How the threshold was found, in a sentence; where there is none, it begins with `uncalibrated`."""
    calibration: dict[str, Any] = field(default_factory=dict)
    """The same in numbers: target, clips of each source and how many were taken for a label, validation clips."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """As trained: clip and window accuracy, numbers of clips."""
    data: dict[str, Any] = field(default_factory=dict)
    """What it was trained on: name, layout, synthetic, classes, clips, hours, attribution, licence."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """SHA-256 of checkpoint, data and code, git commit, run, when, versions."""
    licence: str = ""
    """Of the weights."""
    parity: dict[str, Any] = field(default_factory=dict)
    """Summary of the measured difference to the checkpoint."""
    golden: tuple[dict[str, Any], ...] = ()
    """Schema 1: expected outputs for the inputs made by formula. Later: golden clips, which stand beside the card."""
    description: str = ""
    """What it can do and what it cannot, in plain words."""
    schema: int = SCHEMA
    """Version of this list of fields."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "golden", tuple(self.golden))

    @property
    def window_seconds(self) -> float:
        """Length of a window in seconds."""
        return self.window / self.sample_rate

    @property
    def synthetic(self) -> bool:
        """Was it trained on generated sound only?"""
        return bool(self.data.get("synthetic", False))

    def to_json(self) -> str:
        """One JSON document; `from_json` gives an equal card. Raises ValueError for NaN or infinite numbers in it."""
        fields = dataclasses.asdict(self)
        if not self.thresholds:  # unknown to readers before it, who need not refuse a card for nothing
            del fields["thresholds"]
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, where: object = "the card") -> Card:
        """Read a card; `where` names its file in messages. Raises Unusable for whatever is no card of this schema."""
        if len(text) > LARGEST_CARD:
            raise Unusable(f"{where}: its card has {len(text):,} characters, which no card has: export the model again")
        try:
            document = read_json(text)
        except (ValueError, RecursionError) as error:
            raise Unusable(f"{where}: its card is no JSON ({error}): export the model again") from error
        return _checked(document, where)


def _checked(document: Any, where: object) -> Card:
    """A card from parsed JSON, with every field's type and range checked."""
    if not isinstance(document, dict):
        raise _wrong(where, "it is no JSON object")
    schema = document.get("schema")
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        raise Unusable(
            f"{where}: its card has schema {schema}, and this xfer knows up to {SCHEMA}: "
            "upgrade with pip install -U xfer"
        )
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise _wrong(where, f"schema is {shown(schema)}, not 1 to {SCHEMA}")
    fields = {f.name: f for f in dataclasses.fields(Card)}
    for key in document:
        if key not in fields:
            raise _wrong(where, f"unknown field {shown(key)}, {nearest(key, fields)}")
    values: dict[str, Any] = {}
    for name, entry in fields.items():
        if name in document:
            values[name] = _typed(name, str(entry.type), document[name], where)
        elif entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise _wrong(where, f"{name!r} is missing")
    card = Card(**values)
    for wrong in _out_of_range(card):
        raise _wrong(where, wrong)
    return card


def _typed(name: str, kind: str, value: Any, where: object) -> Any:
    """A JSON value as the type that the field declares."""
    if kind in ("str", "Short") and isinstance(value, str):
        return value
    if kind.startswith("int") and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind.startswith("float") and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind.endswith("| None") and value is None:
        return None
    if kind.startswith("dict") and isinstance(value, dict):
        return value
    if kind == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind.startswith("tuple[dict") and isinstance(value, list) and all(isinstance(v, dict) for v in value):
        return tuple(value)
    raise _wrong(where, f"{name!r} is {shown(value)}, not of type {kind}")


def _out_of_range(card: Card) -> list[str]:
    """Values that no model has."""
    wrong = []
    if len(card.labels) < 1 or len(set(card.labels)) != len(card.labels) or "" in card.labels:
        wrong.append("labels are empty or doubled")
    if not 1000 <= card.sample_rate <= 768_000:
        wrong.append(f"sample_rate is {card.sample_rate} Hz")
    elif not 1 <= card.window <= _LONGEST_WINDOW_SECONDS * card.sample_rate:
        wrong.append(f"window is {card.window} samples")
    if card.hop < 1:
        wrong.append(f"hop is {card.hop} samples")
    if card.short not in ("tile", "place"):
        wrong.append(f"short is {shown(card.short)}, not tile or place")
    if card.embedding_size < 1:
        wrong.append(f"embedding_size is {card.embedding_size}")
    if card.threshold is not None and not (math.isfinite(card.threshold) and 0 <= card.threshold <= 1):
        wrong.append(f"threshold is {card.threshold}")
    for label, value in card.thresholds.items():
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
        if label not in card.labels or not fits:
            wrong.append(f"thresholds has {shown(label)}: {shown(value)}")
    if not card.task or not card.name:
        wrong.append("name or task is empty")
    for name in (card.name, card.task, card.net, *card.labels):
        if _NO_NAME.search(name):
            wrong.append(f"{shown(name)} is a name of several lines")
    return wrong


def _wrong(where: object, what: str) -> Unusable:
    return Unusable(f"{where}: its card cannot be used, {what}: export the model again")


def describe_metrics(metrics: Mapping[str, Any]) -> str:
    """The one number of a card's metrics that a list shows: test before validation, clips before windows."""
    for part in ("test", "validation"):
        for unit in ("clip", "window"):
            measured = metrics.get(part)
            value = measured.get(f"{unit}_accuracy") if isinstance(measured, dict) else None
            if isinstance(value, (int, float)):
                return f"{100 * value:.1f} % of {part} {unit}s"
    return ""


def describe_parity(parity: Mapping[str, Any]) -> str:
    """The one number of a card's parity that a list shows: the largest difference of a score."""
    value = parity.get("scores")
    return f"scores within {value:.0e}" if isinstance(value, (int, float)) else ""


def describe_threshold(card: Card) -> str:
    """What a card calls unknown: `below 0.8123`, or that its threshold is uncalibrated and why."""
    return card.threshold_origin if card.threshold is None else f"below {digits(card.threshold)}"


def digits(threshold: float) -> str:
    """A threshold with four decimals, or so many that it differs from 1 as a sure net's does."""
    near = 1.0 - threshold
    return f"{threshold:.{max(4, 2 - math.floor(math.log10(near))) if near > 0 else 4}f}"
