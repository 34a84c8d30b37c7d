"""`shards.json`: which shards belong together, so that a missing one, or one cut off, is noticed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from xfer.runtime.atomic import write_atomically
from xfer.runtime.errors import Unusable

NAME = "shards.json"
KIND = "xfer shards"
SCHEMA = 1
LARGEST = 50_000_000
"""Bytes; a longer one is none of ours."""


@dataclass(frozen=True)
class Entry:
    """One file that belongs to the shards."""

    name: str
    """Of the file in the folder of the manifest, without any folder; a background recording's is `background/...`."""
    bytes: int
    sha256: str
    clips: int = 0


@dataclass(frozen=True)
class Manifest:
    """What is known of all shards together."""

    complete: bool = False
    """False while they are being written: what is there then is no data set."""
    name: str = ""
    task: str = ""
    licence: str = "unknown"
    attribution: str = ""
    notes: tuple[str, ...] = ()
    value_names: tuple[str, ...] = ()
    shards: tuple[Entry, ...] = ()
    background: tuple[Entry, ...] = ()

    def write(self, folder: Path) -> None:
        """Write it, atomically. Raises OSError."""
        document = {"kind": KIND, "schema": SCHEMA, **asdict(self)}
        write_atomically(folder / NAME, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())

    def only(self, names: set[str]) -> Manifest:
        """The manifest of a part of the shards."""
        return replace(self, shards=tuple(entry for entry in self.shards if entry.name in names))


def read_manifest(path: Path) -> Manifest | None:
    """The manifest at `path`; None where there is none, or one that somebody else's program wrote.

    Raises Unusable for one of ours that is broken or newer; OSError.
    """
    if not path.is_file() or path.stat().st_size > LARGEST:
        return None
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, where: str) -> Manifest | None:
    """As `read_manifest`, from its bytes."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise Unusable(f"{where} is broken JSON: write or fetch the shards again") from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        return None
    if not isinstance(document.get("schema"), int) or document["schema"] > SCHEMA:
        raise Unusable(f"{where} was written by a newer xfer: update with pip install -U xfer")
    try:
        return Manifest(
            complete=document["complete"] is True,
            name=_text(document["name"]),
            task=_text(document["task"]),
            licence=_text(document["licence"]),
            attribution=_text(document["attribution"]),
            notes=tuple(map(_text, document["notes"])),
            value_names=tuple(map(_text, document["value_names"])),
            shards=tuple(_entry(each, "") for each in document["shards"]),
            background=tuple(_entry(each, "background/") for each in document["background"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable(f"{where} is no whole list of shards ({error}): write or fetch the shards again") from None


def _entry(told: Any, folder: str) -> Entry:
    entry = Entry(**{each.name: told[each.name] for each in fields(Entry)})
    plain = entry.name.removeprefix(folder)
    # A name from a file never leaves the folder.
    if not entry.name.startswith(folder) or plain in ("", ".", "..") or any(mark in plain for mark in "/\\\0"):
        raise ValueError(f"name {entry.name!r}")
    for number in (entry.bytes, entry.clips):
        if type(number) is not int or number < 0:
            raise ValueError(f"size of {entry.name!r}")
    return replace(entry, sha256=_text(entry.sha256))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def numbers(value: Any) -> tuple[float, ...]:
    """A list of finite numbers from JSON. Raises ValueError for anything else."""
    if not isinstance(value, list) or any(type(each) not in (int, float) or not math.isfinite(each) for each in value):
        raise ValueError(f"{value!r} are no numbers")
    return tuple(map(float, value))
