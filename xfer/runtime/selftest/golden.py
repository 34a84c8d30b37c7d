"""Golden clips: short inputs with the expected answers that travel with a model file, so any device can verify itself.

Some are made by formula, some are real recordings as FLAC; numbers are float32, base64. What is read is checked: the
samples by a hash, every answer by its length.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from xfer.runtime.card import Card
from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable
from xfer.runtime.selftest.compare import EMBEDDING_HEAD, Answer
from xfer.runtime.selftest.formula import formula_inputs

VERSION = 1
FORMULA, RECORDED = "formula", "recorded"


@dataclass(frozen=True)
class GoldenClip:
    """One input of one window and what the model must say about it."""

    name: str
    kind: str
    """`formula` or `recorded`."""
    samples: Array
    """(window,), as 16-bit PCM holds them."""
    expected: Answer


@dataclass(frozen=True)
class Golden:
    """The golden clips of one model file."""

    clips: tuple[GoldenClip, ...]
    licence: str = ""
    """Of the recorded ones."""
    attribution: str = ""
    """Who must be named for them."""

    @property
    def recorded(self) -> int:
        """How many are real."""
        return sum(clip.kind == RECORDED for clip in self.clips)

    @property
    def inputs(self) -> str:
        """In words: `8 golden clips, 4 of them recorded`."""
        return f"{len(self.clips)} golden clips" + (f", {self.recorded} of them recorded" if self.recorded else "")


def to_text(golden: Golden, rate: int) -> str:
    """The clips as a model file carries them: JSON; recorded sound, at `rate` Hz, as FLAC."""
    document = {
        "version": VERSION,
        "licence": golden.licence,
        "attribution": golden.attribution,
        "clips": [_entry(clip, rate) for clip in golden.clips],
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def from_text(text: str, card: Card, path: Path) -> Golden:
    """Read clips for the model of a card. Raises Unusable for whatever is damaged or fits another model."""
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise Unusable(
                f"{path}: its golden clips are of version {document['version']!r}, and this xfer knows {VERSION}: "
                "upgrade with pip install -U xfer"
            )
        formulas = formula_inputs(card.window, card.sample_rate)
        clips = tuple(_clip(entry, card, formulas) for entry in document["clips"])
        if not clips:
            raise ValueError("there are none")
        return Golden(clips, str(document["licence"]), str(document["attribution"]))
    except Unusable:
        raise
    except (KeyError, TypeError, ValueError, RecursionError, soundfile.LibsndfileError) as error:
        raise Unusable(f"{path}: its golden clips are damaged ({_words(error)}): export it again") from error


def of_schema_1(card: Card, path: Path) -> Golden:
    """What cards of schema 1 store themselves: ten inputs by formula, of each embedding a part. Raises Unusable."""
    formulas, clips = formula_inputs(card.window, card.sample_rate), []
    for stored in card.golden:
        name = stored.get("input")
        if name not in formulas:
            raise Unusable(f"{path}: its stored input {name!r} is not known to this xfer: export it again")
        if stored.get("decision") not in card.labels:
            raise Unusable(f"{path}: its stored outputs (decision) are damaged: export it again")
        head = _listed(stored, "embedding_head", min(EMBEDDING_HEAD, card.embedding_size), path)
        norm = _listed({"embedding_norm": [stored.get("embedding_norm")]}, "embedding_norm", 1, path)
        scores, logits = (_listed(stored, key, len(card.labels), path) for key in ("scores", "logits"))
        answer = Answer(scores, logits, np.concatenate([head, norm]), stored["decision"], shortened=True)
        clips.append(GoldenClip(name, FORMULA, formulas[name], answer))
    return Golden(tuple(clips))


def _entry(clip: GoldenClip, rate: int) -> dict[str, Any]:
    answer = clip.expected
    entry: dict[str, Any] = {
        "name": clip.name,
        "kind": clip.kind,
        "sha256": _hash(clip.samples),
        "scores": _packed(answer.scores),
        "logits": _packed(answer.logits),
        "embedding": _packed(answer.embedding),
        "decision": answer.label,
    }
    if answer.probe is not None:
        entry |= {"probe": _packed(answer.probe), "peak": float(answer.peak)}
    if clip.kind == RECORDED:
        entry["flac"] = base64.b64encode(to_flac(clip.samples, rate)).decode()
    return entry


def to_flac(samples: Array, rate: int) -> bytes:
    """One window as FLAC of 16 bits, mono."""
    file = io.BytesIO()
    soundfile.write(file, _pcm(samples), rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _clip(entry: Any, card: Card, formulas: dict[str, Array]) -> GoldenClip:
    """A clip, checked. Raises KeyError, TypeError or ValueError for what is not as `_entry` makes it."""
    name, kind, label = str(entry["name"]), entry["kind"], entry["decision"]
    samples = _sound(entry["flac"], card) if kind == RECORDED else formulas[name]
    if kind not in (FORMULA, RECORDED) or label not in card.labels:
        raise ValueError(f"kind {kind!r}, decision {label!r}")
    if _hash(samples) != entry["sha256"]:
        raise ValueError(f"{name}: its samples are not those that were heard at export")
    scores, logits = (_unpacked(entry, key, len(card.labels)) for key in ("scores", "logits"))
    embedding = _unpacked(entry, "embedding", card.embedding_size)
    if "probe" not in entry:
        return GoldenClip(name, kind, samples, Answer(scores, logits, embedding, label))
    peak = float(entry["peak"])
    if not np.isfinite(peak):
        raise ValueError("peak")
    return GoldenClip(name, kind, samples, Answer(scores, logits, embedding, label, _unpacked(entry, "probe"), peak))


def _sound(text: str, card: Card) -> Array:
    file = io.BytesIO(_bytes(text))
    about = soundfile.info(file)
    if (about.samplerate, about.frames, about.channels) != (card.sample_rate, card.window, 1):
        raise ValueError(f"a recording of {about.frames} samples at {about.samplerate} Hz")
    file.seek(0)
    pcm, _ = soundfile.read(file, dtype="int16")
    return np.asarray(pcm.astype(np.float32) / 32768, dtype=np.float32)


def _hash(samples: Array) -> str:
    return hashlib.sha256(_pcm(samples).astype("<i2").tobytes()).hexdigest()


def _pcm(samples: Array) -> npt.NDArray[np.int16]:
    return np.clip(np.round(samples.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)


def _packed(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def _unpacked(entry: Any, key: str, length: int | None = None) -> Array:
    values = np.frombuffer(_bytes(entry[key]), dtype="<f4").astype(np.float32)
    if (length is not None and len(values) != length) or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"{key} has {len(values)} values")
    return values


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error


def _listed(stored: dict[str, Any], key: str, length: int, path: Path) -> Array:
    values = stored.get(key)
    if not isinstance(values, list) or len(values) != length or not all(_is_number(value) for value in values):
        raise Unusable(f"{path}: its stored outputs ({key}) are damaged: export it again")
    return np.array(values, dtype=np.float32)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
