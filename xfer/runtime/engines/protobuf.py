"""A short walk over protobuf messages: numbers, forms and places of fields, without reading what they hold.

A message is a row of fields: a key (number and wire type), then a value whose length the wire type or a number tells.
What is not asked for is stepped over, so a file of 2 GB costs no more memory than one of a kilobyte.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

NUMBER, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
"""Wire types. The group markers (3 and 4) are of a form that no ONNX file has."""

_FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message, and where it lies in the file."""

    number: int
    kind: int
    """Wire type."""
    start: int
    """First byte of its key."""
    body: int
    """First byte of its value."""
    end: int
    """One past its last byte."""
    value: int = 0
    """Of a NUMBER."""

    @property
    def length(self) -> int:
        """Bytes of its value."""
        return self.end - self.body


def fields(file: BinaryIO, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that lies from `start` to `end`; the file may be read elsewhere between two of them.

    Raises EOFError where a field ends after the message, ValueError for what is no protobuf.
    """
    at = start
    while at < end:
        file.seek(at)
        number, kind = divmod(_varint(file, end), 8)
        if number < 1:
            raise ValueError(f"field {number}")
        value, body = 0, file.tell()
        if kind == NUMBER:
            value = _varint(file, end)
            after = file.tell()
        elif kind == BYTES:
            length = _varint(file, end)
            body = file.tell()
            after = body + length
        elif kind in _FIXED:
            after = body + _FIXED[kind]
        else:
            raise ValueError(f"form {kind}")
        if after > end:
            raise EOFError(f"field {number} ends {after - end} bytes after it should")
        yield Field(number, kind, at, body, after, value)
        at = after


def read(file: BinaryIO, field: Field, largest: int) -> bytes:
    """The bytes of a field. Raises ValueError where it holds more than `largest`."""
    if field.kind != BYTES or field.length > largest:
        raise ValueError(f"field {field.number} has {field.length:,} bytes")
    file.seek(field.body, os.SEEK_SET)
    return file.read(field.length)


def encode(number: int, body: bytes) -> bytes:
    """A field of bytes, as it stands in a file."""
    return _number(number << 3 | BYTES) + _number(len(body)) + body


def _number(value: int) -> bytes:
    """7 bits a byte, least first, the top bit set on all but the last."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _varint(file: BinaryIO, end: int) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1) if file.tell() < end else b""
        if not byte:
            raise EOFError("it ends inside a number")
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return value
    raise ValueError("a number is too long")
