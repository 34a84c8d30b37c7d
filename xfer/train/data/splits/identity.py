"""What a clip is called where its data set may lie elsewhere tomorrow, and a seeded order of such names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

from xfer.train.data.clips import Clip

T = TypeVar("T")


class Identity(NamedTuple):
    """A clip's name in its data set."""

    path: str
    """Relative to the data set's root, with forward slashes."""
    member: str
    """Its name inside a tar shard, otherwise empty."""
    offset: float
    """Seconds."""


def identity(root: Path, clip: Clip) -> Identity:
    """The clip's name; a file outside the root is named by the way to it, or by its full path on another drive."""
    return Identity(relative(root, clip.path), clip.member, clip.offset)


def relative(root: Path, path: Path) -> str:
    """A path relative to the root, with forward slashes."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        pass
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # another drive of Windows
        return path.as_posix()


def shuffled(items: Iterable[T], seed: int, name: Callable[[T], str]) -> list[T]:
    """Items in an order that the seed decides, by a hash of each one's name.

    So the order is the same whatever order they came in, on any machine, with any version of numpy (whose generators
    may change their streams), and hardly another one after an item has been added.
    """
    return sorted(items, key=lambda item: _rank(seed, name(item)))


def _rank(seed: int, name: str) -> tuple[bytes, str]:
    content = f"{seed}\n{name}".encode(errors="surrogateescape")
    return hashlib.blake2b(content, digest_size=16).digest(), name
