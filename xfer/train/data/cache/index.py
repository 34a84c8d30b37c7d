"""The cache's index: which bytes a file holds, what they showed, and where their decoded samples lie.

SQLite keeps it whole through kills and lets several trainings write at once. An index that is damaged is thrown away
and made again: all it knows can be had from the recordings. SQLite does not notice a flipped bit in a row, so each row
is sealed with its CRC; one whose seal is broken counts as absent.
"""

from __future__ import annotations

import json
import math
import sqlite3
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xfer.train.data.facts import Facts

_TABLES = """
create table if not exists file (
    path blob, member text, size integer, modified integer, changed integer,
    digest text, frames integer, rate integer, seal integer,
    primary key (path, member)) without rowid;
create table if not exists facts (
    digest text, start real, length real, body text, print blob, seal integer,
    primary key (digest, start, length)) without rowid;
create table if not exists piece (
    digest text, rate integer, number integer, pieces integer, shard text, at integer, count integer,
    scale real, crc integer, seal integer,
    primary key (digest, rate, number)) without rowid;
create index if not exists piece_of_shard on piece (shard);
create table if not exists shard (name text primary key, bytes integer, used real) without rowid;
"""
_WAIT_SECONDS = 120
"""How long another process may hold the index."""


@dataclass(frozen=True)
class Stamp:
    """By what a file is taken to be unchanged without reading it."""

    size: int
    modified: int
    """Nanoseconds."""
    changed: int
    """Nanoseconds; it also moves when a file's contents are replaced and its time is set back."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """What an unchanged file is known to hold."""

    digest: str
    """SHA-256, hex."""
    frames: int
    """Decoded, at the file's own rate."""
    rate: int
    """Hz."""


@dataclass(frozen=True, slots=True)
class Row:
    """A piece of a file's samples in a shard."""

    shard: str
    at: int
    """Its first value in the shard."""
    count: int
    scale: float
    crc: int


class Index:
    """The tables. Nothing is kept until `commit`."""

    def __init__(self, path: Path) -> None:
        """Open or make the index at `path`; what is there and damaged is replaced."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, full, not writable: not damage
                raise
            for part in path.parent.glob(f"{path.name}*"):
                part.unlink()
            self._open(path)

    def _open(self, path: Path) -> None:
        self._base = sqlite3.connect(path, timeout=_WAIT_SECONDS, check_same_thread=False)
        try:
            self._base.executescript(_TABLES)
            if self._base.execute("pragma quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("the index is damaged")
        except sqlite3.Error:
            self._base.close()
            raise

    def close(self) -> None:
        """Close it; what is not committed is dropped."""
        self._base.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Many questions in a row: locking the file for each costs more than all the rest of it."""
        if self._base.in_transaction:
            yield
            return
        self._base.execute("begin")
        try:
            yield
        finally:
            self._base.commit()

    def commit(self) -> None:
        """Keep all that was put since the last commit."""
        self._base.commit()

    def file(self, path: bytes, member: str, stamp: Stamp) -> Bytes | None:
        """What a file holds that has not changed since it was read; None: unknown."""
        key = (path, member, stamp.size, stamp.modified, stamp.changed)
        row = self._base.execute(
            "select digest, frames, rate, seal from file "
            "where path=? and member=? and size=? and modified=? and changed=?",
            key,
        ).fetchone()
        return Bytes(*row[:3]) if row and row[3] == _seal(*key, *row[:3]) else None

    def put_file(self, path: bytes, member: str, stamp: Stamp, holds: Bytes) -> None:
        """Note what a file holds."""
        row = (path, member, stamp.size, stamp.modified, stamp.changed, holds.digest, holds.frames, holds.rate)
        self._base.execute("insert or replace into file values (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, _seal(*row)))

    def facts(self, digest: str, offset: float, duration: float | None) -> Facts | None:
        """What a stretch of these bytes showed; None: unknown."""
        key = (digest, float(offset), _length(duration))
        row = self._base.execute(
            "select body, print, seal from facts where digest=? and start=? and length=?", key
        ).fetchone()
        if row is None or row[2] != _seal(*key, *row[:2]):
            return None
        body: dict[str, Any] = json.loads(row[0])
        level = body.pop("level_dbfs")
        return Facts(
            **body | {"digest": digest, "notes": tuple(body["notes"]), "print": row[1]},
            level_dbfs=-math.inf if level is None else level,
        )

    def put_facts(self, offset: float, duration: float | None, facts: Facts) -> None:
        """Note what a stretch showed."""
        body = asdict(facts)
        print_ = body.pop("print")
        del body["digest"]
        if body["level_dbfs"] == -math.inf:
            body["level_dbfs"] = None
        row = (facts.digest, float(offset), _length(duration), json.dumps(body, ensure_ascii=False), print_)
        self._base.execute("insert or replace into facts values (?, ?, ?, ?, ?, ?)", (*row, _seal(*row)))

    def rows(self, digest: str, rate: int) -> tuple[Row, ...] | None:
        """Where the samples of these bytes at `rate` lie, in order; None where any of them is missing."""
        found = self._base.execute(
            "select number, pieces, shard, at, count, scale, crc, seal from piece "
            "where digest=? and rate=? order by number",
            (digest, rate),
        ).fetchall()
        sealed = all(row[7] == _seal(digest, rate, *row[:7]) for row in found)
        if not found or not sealed or [row[0] for row in found] != list(range(found[0][1])):
            return None
        return tuple(Row(sys.intern(row[2]), *row[3:7]) for row in found)

    def put_rows(self, digest: str, rate: int, rows: Iterable[Row]) -> None:
        """Note where samples lie."""
        listed = list(rows)
        for number, row in enumerate(listed):
            values = (digest, rate, number, len(listed), row.shard, row.at, row.count, row.scale, row.crc)
            self._base.execute(
                "insert or replace into piece values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, _seal(*values))
            )

    def forget(self, digest: str, rate: int) -> None:
        """Drop samples that turned out to be damaged."""
        self._base.execute("delete from piece where digest=? and rate=?", (digest, rate))

    def put_shard(self, name: str, size: int) -> None:
        """Note a shard's size in bytes; it counts as used now."""
        self._base.execute("insert or replace into shard values (?, ?, ?)", (name, size, time.time()))

    def used(self, names: Iterable[str]) -> None:
        """These shards are being used now: they go last when room is needed."""
        self._base.executemany("update shard set used=? where name=?", [(time.time(), name) for name in names])

    def shards(self) -> list[tuple[str, int]]:
        """All shards with their sizes in bytes, the longest unused first."""
        return [
            (str(name), int(size)) for name, size in self._base.execute("select name, bytes from shard order by used")
        ]

    def drop_shard(self, name: str) -> None:
        """Forget a shard and all samples in it."""
        self._base.execute("delete from piece where shard=?", (name,))
        self._base.execute("delete from shard where name=?", (name,))


def _seal(*values: object) -> int:
    return zlib.crc32(repr(values).encode("utf8", "surrogatepass"))


def _length(duration: float | None) -> float:
    """SQL's keys hold no nulls."""
    return -1.0 if duration is None else float(duration)
