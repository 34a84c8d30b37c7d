"""Enrolled people on disk: `$XFER_HOME/speakers/<model's key>.json`, one file a checkpoint, for its owner's eyes only.

JSON with a schema and a seal; embeddings are float32, base64. No sound is kept. A file is replaced whole, under a lock
that the system lets go of when its holder dies.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from xfer.runtime.atomic import write_atomically
from xfer.runtime.engines import Array
from xfer.runtime.errors import NotThere, Unusable
from xfer.runtime.home import home
from xfer.runtime.sealing import sealed_json, unsealed_json
from xfer.runtime.speakers.binding import WITNESSES, Binding
from xfer.runtime.speakers.people import Calibration, Person, Recording, Store, check_name

SCHEMA = 1
"""Raised when an older xfer could no longer understand a store."""

LARGEST = 256_000_000
"""Bytes; a person with ten recordings takes about 0.1 to 0.5 MB."""

LOCK_SECONDS = 20.0
"""How long one waits for another that writes."""


def folder() -> Path:
    """Where stores are."""
    return home() / "speakers"


def path_of(key: str) -> Path:
    """The store for a model's key."""
    return folder() / f"{key[:32]}.json"


def read_store(path: Path) -> Store | None:
    """A store; None where there is no file. Raises Unusable for one that is damaged or of a newer xfer."""
    if not path.exists():
        return None
    if path.stat().st_size > LARGEST:
        raise _damaged(path, f"it has {path.stat().st_size:,} bytes")
    content = path.read_bytes()
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
        schema = document["schema"]
        if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
            raise Unusable(
                f"{path}, where enrolled people are kept, has schema {schema}, and this xfer knows up to {SCHEMA}: "
                "upgrade with pip install -U xfer"
            )
        if isinstance(schema, bool) or schema != SCHEMA:
            raise _damaged(path, f"schema is {schema!r}")
        whole, sealed = _unsealed(content, path)
        if not sealed:
            raise _damaged(path, "its seal is missing")
        return _store(json.loads(whole))
    except Unusable:
        raise
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(path, " ".join(f"{type(error).__name__}: {error}".split())[:120]) from error


def write_store(path: Path, store: Store) -> None:
    """Write a store whole, for its owner alone (0600); one without people is removed. Call it under `locked`.

    Raises OSError.
    """
    if not store.people:
        path.unlink(missing_ok=True)
        return
    text = sealed_json(json.dumps(_document(store), ensure_ascii=False, allow_nan=False))
    write_atomically(path, text.encode(), mode=0o600)


@contextmanager
def locked(seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Only one process at a time between reading and writing. Raises NotThere where another holds on for too long."""
    place = folder()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.chmod(0o700)
    lock = place / ".lock"
    with open(lock, "ab") as file:
        lock.chmod(0o600)
        until = time.monotonic() + seconds
        while not _taken(file):
            if time.monotonic() > until:
                raise NotThere(f"another xfer has been writing in {place} for {seconds:g} s: end it, then try again")
            time.sleep(0.05)
        yield  # closing the file lets go, and so does the system when this process dies


def _taken(file: IO[bytes]) -> bool:
    """Try to lock a file for this process alone."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _unsealed(content: bytes, path: Path) -> tuple[bytes, bool]:
    try:
        return unsealed_json(content, path)
    except Unusable as error:
        raise _damaged(path, "its bytes are not those that were written") from error


def _damaged(path: Path, how: str) -> Unusable:
    return Unusable(
        f"{path}, where enrolled people are kept, is cut off or damaged ({how}): put back a copy of it, or remove it "
        "and enrol again with xfer speakers add"
    )


def _document(store: Store) -> dict[str, Any]:
    bound = store.binding
    return {
        "schema": SCHEMA,
        "model": {"key": bound.key, "name": bound.model, "form": bound.form, "witness": _packed(bound.witness)},
        "embedding_size": bound.witness.shape[1],
        "calibration": None if store.calibration is None else dataclasses.asdict(store.calibration),
        "people": [
            {
                "name": person.name,
                "recordings": [vars(each) | {"embeddings": _packed(each.embeddings)} for each in person.recordings],
            }
            for person in store.people
        ],
    }


def _store(document: Any) -> Store:
    """A store from parsed JSON, everything checked. Raises KeyError, TypeError or ValueError."""
    _only(document, {"schema", "model", "embedding_size", "calibration", "people"})
    size = document["embedding_size"]
    if not isinstance(size, int) or not 1 <= size <= 100_000:
        raise ValueError(f"embedding_size {size!r}")
    model = document["model"]
    _only(model, {"key", "name", "form", "witness"})
    witness = _unpacked(model["witness"], size)
    if len(witness) != len(WITNESSES):
        raise ValueError("witness")
    binding = Binding(_text(model["key"]), _text(model["name"]), _text(model["form"]), witness)
    people = tuple(_person(each, size) for each in document["people"])
    if not people or len({each.name for each in people}) != len(people):
        raise ValueError("nobody, or a name twice")
    found = document["calibration"]
    return Store(binding, people, None if found is None else _calibration(found))


def _person(entry: Any, size: int) -> Person:
    _only(entry, {"name", "recordings"})
    recordings = []
    for each in entry["recordings"]:
        _only(each, {field.name for field in dataclasses.fields(Recording)})
        values = _unpacked(each["embeddings"], size)
        name, sha256, added = (_text(each[key]) for key in ("name", "sha256", "added"))
        recordings.append(Recording(name, sha256, _number(each["seconds"]), added, values))
    if not recordings or check_name(entry["name"]) != entry["name"]:
        raise ValueError(f"person {entry['name']!r}")
    return Person(entry["name"], tuple(recordings))


def _calibration(entry: Any) -> Calibration:
    _only(entry, {field.name for field in dataclasses.fields(Calibration)})
    interval = entry["interval"]
    return Calibration(
        _number(entry["threshold"]),
        _number(entry["wanted"]),
        _number(entry["found"]),
        None if interval is None else (_number(interval[0]), _number(interval[1])),
        tuple(_text(name) for name in entry["people"]),
        int(_number(entry["voices"])),
        _text(entry["time"]),
    )


def _only(entry: Any, keys: set[str]) -> None:
    if not isinstance(entry, dict) or set(entry) != keys:
        raise ValueError(f"keys {sorted(entry) if isinstance(entry, dict) else entry!r}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _packed(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def _unpacked(text: Any, size: int) -> Array:
    try:
        values = np.frombuffer(base64.b64decode(_text(text), validate=True), dtype="<f4").astype(np.float32)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error
    if not len(values) or len(values) % size or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} values for embeddings of {size}")
    return values.reshape(-1, size)


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not allowed")
