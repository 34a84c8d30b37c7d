"""Golden clips of an export: which inputs travel with the model file, and what the checkpoint says about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from xfer.export.inputs import REAL
from xfer.runtime.card import Card
from xfer.runtime.engines import Array, Engine, Outputs
from xfer.runtime.selftest import Golden, GoldenClip, answer_of, as_16_bit, formula_inputs
from xfer.runtime.selftest.golden import FORMULA, RECORDED, to_flac, to_text
from xfer.runtime.selftest.probe import probe_places

COUNT = 8
RECORDINGS = 4
LARGEST = 1_000_000
"""Bytes of text in the file."""

_FORMULAS = (
    "chirp",  # every frequency
    "clipped",  # hard edges, full scale, pauses
    "noise at -60 dBFS",  # underflows where something computes in fp16
    "impulse",  # every filter's own response
    "noise in bursts",
    "square",
    "noise at -30 dBFS",
    "silence",  # nothing over nothing, where a front-end normalises
)
"""The first ones beside recordings, all of them without."""

_FREE = re.compile(
    r"(cc0|public domain|cc[ -]by([ -]sa)?|apache([ -]license)?|mit|bsd|isc|same as xfer)([ -]\d|$)",
    re.IGNORECASE,
)
_NOT_FREE = re.compile(r"\bn[cd]\b|non[ -]?commercial|no[ -]?deriv|proprietary|all rights|sampling", re.IGNORECASE)
_NAMES_SOMEBODY = re.compile(r"cc[ -]by", re.IGNORECASE)


class Reference(Protocol):
    """Whose answers the clips hold: the checkpoint's, as parity has them."""

    def run(self, windows: Array) -> Outputs:
        """Windows, (n, window), to outputs."""
        ...

    def features(self, window: Array) -> Array:
        """What the front-end gives for one window, without the batch axis."""
        ...


class AsExported:
    """The answers of a model file in a smaller precision, where it was proved: the checkpoint's are not its own.

    What lies between the two is parity's and the gate's to judge; here another device is held against this one.
    """

    def __init__(self, engine: Engine, checkpoint: Reference) -> None:
        self._engine, self._checkpoint = engine, checkpoint

    def run(self, windows: Array) -> Outputs:
        """Windows, (n, window), to outputs."""
        return self._engine.run(windows)

    def features(self, window: Array) -> Array:
        """The front-end's are the checkpoint's: it is in float32 in every precision."""
        return self._checkpoint.features(window)


def golden_clips(reference: Reference, card: Card, clips: Mapping[str, Array]) -> tuple[Golden, str]:
    """The golden clips for a card, and a sentence on what they are.

    `clips` are real windows by name. They travel only where the licence of the data allows copies: of somebody's
    private recordings nothing ever goes into a model file unasked.
    """
    kept_out = why_not(card)
    heard = {} if kept_out else dict(list(clips.items())[:RECORDINGS])
    recorded = [_clip(reference, card, f"{REAL}{name}", RECORDED, as_16_bit(heard[name])) for name in heard]
    formulas = formula_inputs(card.window, card.sample_rate)
    made = [_clip(reference, card, name, FORMULA, formulas[name]) for name in _FORMULAS[: COUNT - len(recorded)]]
    golden = _small_enough(Golden((*made, *recorded), card.licence, str(card.data.get("attribution") or "")), card)
    if golden.recorded:
        return golden, f"{golden.inputs} ({golden.licence})"
    reason = kept_out or (
        "one window is too large to travel" if recorded else "no real window is here, or none shall travel"
    )
    return Golden(golden.clips), f"{len(golden.clips)} golden clips, all by formula: {reason}"


def why_not(card: Card) -> str:
    """Why no window of the data may travel with the model; empty where one may. What is not known is not allowed."""
    licence = card.licence.strip()
    if not licence or licence == "unknown":
        return "the licence of the data is not known (data.licence in the recipe says it)"
    if _NOT_FREE.search(licence) or not _FREE.match(licence):
        return f"the licence of the data, {licence!r}, is not known to allow copies of a window"
    if _NAMES_SOMEBODY.search(licence) and not card.data.get("attribution"):
        return f"the licence of the data, {licence!r}, wants somebody named (data.attribution in the recipe says whom)"
    return ""


def _clip(reference: Reference, card: Card, name: str, kind: str, samples: Array) -> GoldenClip:
    features = np.asarray(reference.features(samples), dtype=np.float32)
    probe = features.reshape(-1)[probe_places(features.size)]
    expected = answer_of(reference.run(samples[None, :]), card, probe, float(np.abs(features).max()))
    return GoldenClip(name, kind, samples, expected)


def _small_enough(golden: Golden, card: Card) -> Golden:
    """The same with so many clips that their text stays under 1 MB, recordings dropped first, the largest first."""
    clips = list(golden.clips)
    while len(to_text(Golden(tuple(clips)), card.sample_rate)) > LARGEST - 10_000 and len(clips) > 1:
        recorded = [clip for clip in clips if clip.kind == RECORDED]
        clips.remove(
            max(recorded, key=lambda clip: len(to_flac(clip.samples, card.sample_rate))) if recorded else clips[-1]
        )
    return Golden(tuple(clips), golden.licence, golden.attribution)
