"""A hash of what a data set is: the same recordings with the same labels on the same sides, the same hash anywhere."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from functools import cache
from pathlib import Path

from xfer.train.data.clips import DataSet
from xfer.train.data.splits.identity import identity, relative


def manifest_sha256(data: DataSet) -> str:
    """SHA-256 over the sorted list of clips: path, member of a shard, offset, duration, label, side, bytes of the file;
    and over the recordings of background with theirs.

    Paths are relative to the data set's root, in one Unicode form (macOS writes accents as letters of their own). The
    size of a file stands for its content, since to hash the sound of a large set takes as long as to learn from it:
    what was re-encoded or cut is seen, a flipped bit is not. A file that is gone has no size, and is no error.
    """
    size = cache(_size)
    rows = [
        [*identity(data.root, clip), clip.duration, clip.label, clip.split or "", size(clip.path)]
        for clip in data.clips
    ]
    rows += [[relative(data.root, path), "", 0.0, None, "", "background", size(path)] for path in data.background]
    lines = sorted(unicodedata.normalize("NFC", json.dumps(row, ensure_ascii=False)) for row in rows)
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
