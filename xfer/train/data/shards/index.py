"""Reading a tar shard: which members it holds, where, and the bytes of one. Nothing is ever unpacked by its name.

Only headers are read to list a shard, so a shard of any size costs a few megabytes. A shard that was cut off gives the
members before the cut. The standard library's tarfile does the parsing; webdataset, which would import torch into
every worker, is only asked to write and to fetch.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from xfer.runtime.errors import FileNotThere, Unusable

BLOCK = 512
"""Bytes of a tar header; the end is marked by blocks of zeros."""
KEPT = 16
"""Shards whose lists are remembered: a worker reads them one after the other."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a shard."""

    name: str
    """As written in the tar; no path on any disk."""
    at: int
    """Where its bytes begin in the shard."""
    size: int


@dataclass(frozen=True)
class Shard:
    """What a tar file holds."""

    path: Path
    members: tuple[Member, ...]
    """Regular files, complete ones only, in the order of the tar; of two with one name the first."""
    damage: str = ""
    """"cut off after 12 members"; empty: whole."""
    repeated: tuple[str, ...] = ()
    """Names that occur again; what they name then is not used."""


def scan(path: Path) -> Shard:
    """List a shard.

    Raises FileNotThere; Unusable for what is no tar at all, or cut off within its first header; OSError.
    """
    if not path.is_file():
        raise FileNotThere(f"no shard at {path}: check the name, or fetch it again")
    size = path.stat().st_size
    members: dict[str, Member] = {}
    repeated: list[str] = []
    damage = ""
    count = last = 0
    try:
        with tarfile.open(path, "r:") as tar:
            try:
                while (info := tar.next()) is not None:
                    tar.members = []  # type: ignore[attr-defined]  # the list would hold every header
                    if info.offset < last or info.size < 0 or info.offset_data > size:
                        damage = "damaged"
                        break
                    last = info.offset_data
                    if info.offset_data + info.size > size:
                        damage = "cut off"
                        break
                    count += 1
                    if not info.isreg() or info.issparse():  # a link, a device: never followed
                        continue
                    if info.name in members:
                        repeated.append(info.name)
                    members.setdefault(info.name, Member(info.name, info.offset_data, info.size))
                if not damage:
                    damage = _ending(path, tar.offset)
            except tarfile.ReadError as error:
                damage = "cut off" if "unexpected end" in str(error) else "damaged"
            except (tarfile.TarError, ValueError, OverflowError, RecursionError):  # headers that lie
                damage = "damaged"
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise Unusable(
            f"{path} is no tar shard, or cut off at its beginning ({error}): fetch or write it again"
        ) from None
    return Shard(path, tuple(members.values()), f"{damage} after {count} members" if damage else "", tuple(repeated))


def read_member(path: Path, member: str) -> bytes:
    """The bytes of one member of a shard; the shard's list is remembered from call to call.

    Raises FileNotThere where the shard is gone; Unusable where it holds no such member; OSError.
    """
    path = Path(path)
    try:
        found = path.stat()
    except FileNotFoundError:
        raise FileNotThere(f"no shard at {path}: check the name, or fetch it again") from None
    places = _places(str(path), found.st_mtime_ns, found.st_size)
    if member not in places:
        raise Unusable(f"{path} holds no {member!r}: it was cut off or written anew; read the data set again")
    at, size = places[member]
    with open(path, "rb") as file:
        file.seek(at)
        content = file.read(size)
    if len(content) != size:
        raise Unusable(f"{path} is cut off within {member!r}: fetch or write it again")
    return content


@lru_cache(maxsize=KEPT)
def _places(path: str, changed_ns: int, size: int) -> dict[str, tuple[int, int]]:  # noqa: ARG001  parts of the key
    return {member.name: (member.at, member.size) for member in scan(Path(path)).members}


def _ending(path: Path, at: int) -> str:
    """What is wrong with the end of a shard whose last member ends at `at`; tarfile takes anything for an end."""
    with open(path, "rb") as file:
        file.seek(at)
        block = file.read(BLOCK)
    if len(block) < BLOCK:
        return "cut off"
    return "damaged" if block.strip(b"\0") else ""
