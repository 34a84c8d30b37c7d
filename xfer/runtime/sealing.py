"""Seals: a hash, written last, over every byte before it. It finds damage (a flipped bit, a cut, a mixed-up copy).

It does not find malice: who changes a file can also write its seal anew. Where a model file comes from must be known
by other means.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO

from xfer.runtime.errors import Unusable

_CHUNK = 1 << 20
_LINE = re.compile(r"sha256 ([1-9][0-9]{0,11}) ([0-9a-f]{64})")
_JSON = re.compile(rb', "seal": "([0-9a-f]{64})"\}\s*\Z')


def digest(file: BinaryIO, size: int) -> str:
    """SHA-256, hex, of the first `size` bytes, a megabyte at a time."""
    file.seek(0)
    found, left = hashlib.sha256(), size
    while left and (chunk := file.read(min(_CHUNK, left))):
        found.update(chunk)
        left -= len(chunk)
    return found.hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256, hex, of a whole file."""
    with open(path, "rb") as file:
        return digest(file, path.stat().st_size)


def seal_line(content: bytes) -> str:
    """What a seal over these bytes says: `sha256`, how many they are, and their hash."""
    return f"sha256 {len(content)} {hashlib.sha256(content).hexdigest()}"


def check_line(line: str, file: BinaryIO, size: int, path: Path) -> None:
    """Raise Unusable where the first `size` bytes are not those that the seal was written over. Size comes first."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise damaged(path, "its seal cannot be read")
    if int(found[1]) != size:
        raise damaged(path, f"{size:,} bytes stand before its seal, which was written after {int(found[1]):,}")
    if digest(file, size) != found[2]:
        raise damaged(path, "its bytes are not those that were written")


def sealed_json(text: str) -> str:
    """A JSON object with its seal as the last member: over everything before it."""
    if not text.endswith("}") or text == "{}":
        raise ValueError("only an object with members can be sealed")
    return f'{text[:-1]}, "seal": "{hashlib.sha256(text[:-1].encode()).hexdigest()}"}}'


def unsealed_json(content: bytes, path: Path) -> tuple[bytes, bool]:
    """The object without its seal, and whether there was one. Raises Unusable where the seal is over other bytes."""
    found = _JSON.search(content[-200:])
    if found is None:
        return content, False
    before = content[: len(content[:-200]) + found.start()]
    if hashlib.sha256(before).hexdigest().encode() != found[1]:
        raise damaged(path, "its bytes are not those that were written")
    return before + b"}", True


def damaged(path: Path, how: str) -> Unusable:
    """The error for a file that is not as it was written."""
    return Unusable(f"{path} is cut off or damaged ({how}): copy or export it again")
