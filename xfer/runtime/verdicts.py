"""What `xfer bench` found best on this device, for `listen`: kept in `$XFER_HOME/bench.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from xfer.runtime.atomic import write_atomically
from xfer.runtime.card import Card
from xfer.runtime.errors import Unusable
from xfer.runtime.home import home

_VERSION = 1
_LARGEST = 4_000_000


@dataclass(frozen=True)
class Stored:
    """For one checkpoint on one processor: which of its forms to take."""

    task: str
    checkpoint: str
    """SHA-256 of the checkpoint that the compared files were made of."""
    processor: str
    format: str
    precision: str
    sentence: str
    time: str
    """ISO 8601."""


def checkpoint_of(card: Card) -> str:
    """SHA-256 of the checkpoint that a model file was made of; empty where its card does not say."""
    return str(card.provenance.get("checkpoint_sha256") or "")


def place() -> Path:
    """Where verdicts are kept."""
    return home() / "bench.json"


def find(card: Card, processor: str) -> Stored | None:
    """The verdict on a model's checkpoint here. Raises Unusable where what is kept is damaged."""
    wanted = checkpoint_of(card)
    if not wanted:
        return None
    return next((each for each in _all() if (each.checkpoint, each.processor) == (wanted, processor)), None)


def keep(verdict: Stored) -> Path:
    """Keep a verdict in place of the one before on the same checkpoint and processor. Raises OSError."""
    try:
        others = [
            each for each in _all() if (each.checkpoint, each.processor) != (verdict.checkpoint, verdict.processor)
        ]
    except Unusable:  # it is written anew
        others = []
    document = {"version": _VERSION, "verdicts": [asdict(each) for each in (*others, verdict)]}
    write_atomically(place(), json.dumps(document, ensure_ascii=False, indent=2).encode())
    return place()


def _all() -> list[Stored]:
    path = place()
    if not path.is_file():
        return []
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        document = json.loads(path.read_bytes())
        if document["version"] != _VERSION:
            raise ValueError(f"version {document['version']!r}")
        return [
            Stored(**{each.name: str(entry[each.name]) for each in fields(Stored)}) for entry in document["verdicts"]
        ]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Unusable(f"{path}, where xfer bench keeps its verdicts, is damaged ({error}): remove it") from error
