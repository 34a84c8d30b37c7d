"""The decoded cache: each file is decoded once, and its samples wait as int16 in shards that are read by memory map.

    $XFER_HOME/cache/decoded/<version>/index.sqlite, <name>.i16 ...

It is keyed by a file's bytes, the rate and the decoder, so it can be shared by data sets and never be wrong about a
file that was replaced. Samples are checked against their CRC at first use; what does not fit is decoded again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import time
import uuid
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from xfer.runtime.errors import NotThere, Unusable
from xfer.runtime.home import home
from xfer.train.data import facts as facts_module
from xfer.train.data.cache.index import Bytes, Index, Row, Stamp
from xfer.train.data.decoding import DECODER, Inspected, Piece
from xfer.train.data.facts import Facts

SHARD_BYTES = 256_000_000
SPARE_BYTES = 2_000_000_000
"""The cache leaves at least this much of the disk free."""
ORPHAN_SECONDS = 86_400
"""A shard that no index names is deleted after a day: a process that still writes to it would have named it."""

Values = npt.NDArray[np.int16]


class Store:
    """One process's view of the cache."""

    def __init__(self, folder: Path | None = None, limit_bytes: int | None = None) -> None:
        """Open the cache in `folder` (default: the user's). `limit_bytes` caps it; default: `XFER_CACHE_GB`, or half
        of what the disk has left, what the cache itself holds counted in.

        Raises NotThere where the folder cannot be written.
        """
        base = folder or home() / "cache" / "decoded"
        version = hashlib.sha256(f"{DECODER} {facts_module.VERSION}".encode()).hexdigest()[:12]
        self.folder = base / version
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._index = Index(self.folder / "index.sqlite")
        except (OSError, sqlite3.OperationalError) as error:
            raise NotThere(
                f"the cache of decoded audio at {base} cannot be written ({error}): "
                "free some space or make it writable, or name another folder: XFER_HOME=FOLDER"
            ) from error
        self._drop_orphans()
        self._limit = _limit(base) if limit_bytes is None else limit_bytes
        self._base = base
        self._mine: set[str] = set()
        self._maps: dict[str, Values] = {}
        self._checked: set[tuple[str, int]] = set()
        self._writing: IO[bytes] | None = None
        self._name = ""
        self._size = 0
        self.full = False
        """No more samples are taken in: the limit or the disk is reached by what this very process needs."""

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Keep what is new and let go of the files."""
        self.commit()
        self._index.close()
        if self._writing:
            self._writing.close()
        self._maps.clear()

    def reading(self) -> AbstractContextManager[None]:
        """While many questions are asked in a row and nothing is put."""
        return self._index.reading()

    def file(self, path: Path, member: str, stamp: Stamp) -> Bytes | None:
        """What an unchanged file holds; None: unknown."""
        return self._index.file(_key(path), member, stamp)

    def facts(self, digest: str, offset: float, duration: float | None) -> Facts | None:
        """What a stretch of these bytes showed; None: unknown."""
        return self._index.facts(digest, offset, duration)

    def rows(self, digest: str, rate: int) -> tuple[Row, ...] | None:
        """Where the samples at `rate` Hz lie; None: not here."""
        rows = self._index.rows(digest, rate)
        if rows is not None:
            self._mine |= {row.shard for row in rows}
        return rows

    def keep(self, found: Inspected, stamp: Stamp) -> None:
        """Take in what one file gave; it lasts from the next `commit` on."""
        digest = found.digest
        self._index.put_file(_key(found.job.path), found.job.member, stamp, Bytes(digest, found.frames, found.rate))
        for (offset, duration), facts in zip(found.job.stretches, found.facts, strict=True):
            self._index.put_facts(offset, duration, facts)
        for rate in sorted({piece.rate for piece in found.pieces}):
            pieces = [piece for piece in found.pieces if piece.rate == rate]
            if self.rows(digest, rate) is not None:  # the same bytes under another name
                continue
            if self._make_room(sum(piece.values.nbytes for piece in pieces)):
                self._index.put_rows(digest, rate, [self._append(piece) for piece in pieces])

    def commit(self) -> None:
        """Make all that was taken in last: the samples first, then the index that names them."""
        try:
            if self._writing:
                self._writing.flush()
                os.fsync(self._writing.fileno())
                self._index.put_shard(self._name, self._size)
            self._index.used(self._mine)
            self._index.commit()
        except sqlite3.OperationalError as error:
            raise NotThere(f"the cache at {self.folder} cannot be written ({error}): free some space") from error

    def values(self, row: Row) -> Values | None:
        """A piece's values, a view into the shard (count,); None where the shard is gone, cut off or damaged."""
        shard = self._map(row.shard)
        if shard is None or len(shard) < row.at + row.count:
            return None
        values = shard[row.at : row.at + row.count]
        place = (row.shard, row.at)
        if place not in self._checked:
            if zlib.crc32(values.data) != row.crc:
                return None
            self._checked.add(place)
        return values

    def forget(self, digest: str, rate: int) -> None:
        """Drop samples that turned out to be damaged; they are decoded anew."""
        self._index.forget(digest, rate)
        self._index.commit()

    def size(self) -> int:
        """Bytes of all shards in this version's cache."""
        return sum(size for _, size in self._index.shards())

    def _map(self, name: str) -> Values | None:
        known = self._maps.get(name)
        path = self.folder / name
        try:
            if known is None or (name == self._name and known.nbytes < self._size):
                if name == self._name and self._writing:
                    self._writing.flush()
                known = self._maps[name] = np.memmap(path, dtype="<i2", mode="r")
        except (OSError, ValueError):  # removed by another process to make room; or empty
            return None
        return known

    def _append(self, piece: Piece) -> Row:
        assert self._writing is not None
        row = Row(self._name, self._size // 2, len(piece.values), piece.scale, piece.crc)
        self._writing.write(piece.values.astype("<i2", copy=False).tobytes())
        self._size += piece.values.nbytes
        return row

    def _make_room(self, size: int) -> bool:
        """Have an open shard with room, dropping the longest unused ones for it; False: there is no room."""
        if self.full or size > self._limit:
            self.full = True
            return False
        capacity = min(SHARD_BYTES, self._limit)
        if self._writing and self._size + size <= capacity:
            return True
        try:
            if self._writing:
                self.commit()
                self._writing.close()
                self._writing = None
            if self._drop_oldest(max(size, capacity)):
                self._name, self._size = f"{uuid.uuid4().hex}.i16", 0
                self._writing = open(self.folder / self._name, "wb")  # noqa: SIM115  open as long as the store
                self._mine.add(self._name)
                return True
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        self.full = True
        return False

    def _drop_oldest(self, size: int) -> bool:
        """Drop other versions' caches, then the longest unused shards, until `size` bytes fit; False: they do not."""
        held = _bytes_under(self._base)
        others = [child for child in self._base.iterdir() if child.is_dir() and child != self.folder]
        unused = [name for name, _ in self._index.shards() if name not in self._mine]
        while held + size > self._limit or shutil.disk_usage(self.folder).free < size + SPARE_BYTES:
            if others:
                gone: Path = others.pop()
                held -= _bytes_under(gone)
                shutil.rmtree(gone, ignore_errors=True)
            elif unused:
                name = unused.pop(0)
                self._index.drop_shard(name)
                self._index.commit()
                self._maps.pop(name, None)
                path = self.folder / name
                held -= path.stat().st_size if path.exists() else 0
                path.unlink(missing_ok=True)
            else:
                return False
        return True

    def _drop_orphans(self) -> None:
        named = {name for name, _ in self._index.shards()}
        for path in self.folder.glob("*.i16"):
            if path.name not in named and time.time() - path.stat().st_mtime > ORPHAN_SECONDS:
                path.unlink(missing_ok=True)


def stamp_of(path: Path) -> Stamp:
    """A file's stamp. Raises OSError where it is gone or cannot be looked at."""
    seen = path.stat()
    return Stamp(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def join(parts: Sequence[tuple[Values, float]]) -> npt.NDArray[np.float32]:
    """Values with their scales as samples, one after the other."""
    samples = np.empty(sum(len(values) for values, _ in parts), dtype=np.float32)
    at = 0
    for values, scale in parts:
        np.multiply(values, np.float32(scale), out=samples[at : at + len(values)], casting="unsafe", dtype=np.float32)
        at += len(values)
    return samples


def _limit(base: Path) -> int:
    told = os.environ.get("XFER_CACHE_GB", "")
    try:
        return int(float(told) * 1e9)
    except ValueError:
        if told:
            raise Unusable(f"XFER_CACHE_GB={told!r} is no number of gigabytes") from None
    return (shutil.disk_usage(base).free + _bytes_under(base)) // 2


def _bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.i16"))


def _key(path: Path) -> bytes:
    """A path as bytes: names need not be text."""
    return os.fsencode(path.absolute())
