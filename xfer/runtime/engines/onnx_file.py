"""The metadata of an ONNX file, read without an engine and without its weights.

An ONNX file is one protobuf message: fields of a number, a wire type and a value. Its metadata are fields 14, each a
message of key (1) and value (2); everything else, above all the graph (7), is stepped over. This refuses what is no
ONNX file before an engine ever sees it, and lists a folder of models at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from xfer.runtime.errors import Unusable

_GRAPH, _METADATA = 7, 14
_LARGEST_ENTRY = 64_000_000


def read_metadata(path: Path) -> dict[str, str]:
    """Key and value of every metadata entry. Raises Unusable for what is not one whole ONNX file."""
    if not path.is_file():
        raise Unusable(f"{path} is no file, so it is no ONNX model: name the .onnx file")
    size = path.stat().st_size
    found: dict[str, str] = {}
    has_graph = False
    with open(path, "rb") as file:
        try:
            while (at := file.tell()) < size:
                number, kind = divmod(_varint(file), 8)
                if not 1 <= number <= 100:
                    raise ValueError(f"field {number}")
                if kind == 0:
                    _varint(file)
                    continue
                if kind != 2:  # no field of an ONNX file has another form
                    raise ValueError(f"form {kind}")
                length = _varint(file)
                if file.tell() + length > size:
                    raise EOFError(f"field {number} ends {file.tell() + length - size} bytes after the file")
                if number == _METADATA and length <= _LARGEST_ENTRY:
                    key, value = _entry(file.read(length))
                    found[key] = value
                else:
                    has_graph = has_graph or number == _GRAPH
                    file.seek(length, os.SEEK_CUR)
        except EOFError as error:
            if at == 0 and not has_graph:
                raise _foreign(path) from error
            raise Unusable(f"{path} is cut off or damaged ({error}): copy or export it again") from error
        except ValueError as error:
            raise _foreign(path) from error
    if not has_graph:
        raise _foreign(path)
    return found


def _foreign(path: Path) -> Unusable:
    return Unusable(f"{path} is no ONNX model: make one with xfer export --format onnx")


def _entry(body: bytes) -> tuple[str, str]:
    """A StringStringEntryProto."""
    parts = {1: b"", 2: b""}
    at = 0
    while at < len(body):
        number, kind = divmod(body[at], 8)
        if kind != 2 or number not in parts:
            raise ValueError("a metadata entry is damaged")
        length, at = _varint_at(body, at + 1)
        parts[number] = body[at : at + length]
        at += length
    return parts[1].decode("utf8"), parts[2].decode("utf8")


def _varint_at(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(body) and shift < 70:
        value |= (body[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not body[at - 1] & 0x80:
            return value, at
    raise ValueError("a number is damaged")


def _varint(file: BinaryIO) -> int:
    """The next number: 7 bits a byte, least first, the top bit set on all but the last."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError("it ends inside a number")
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return value
    raise ValueError("a number is too long")
