"""An ONNX file, looked at without an engine and without its weights: card, golden clips, seal, external data.

An ONNX file is one protobuf message. Its metadata are fields 14, each a message of key (1) and value (2); the graph is
field 7. Whatever is no whole, undamaged model of this project is refused here, before an engine ever sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from xfer.runtime.card import LARGEST_CARD, METADATA_KEY, SEALED_SINCE, Card
from xfer.runtime.engines.protobuf import BYTES, NUMBER, Field, encode, fields, read
from xfer.runtime.errors import Unusable
from xfer.runtime.sealing import check_line, damaged, seal_line

GOLDEN_KEY, SEAL_KEY = "xfer.golden", "xfer.seal"
"""Metadata: the golden clips; the seal, which is the last entry."""

LARGEST_FILE = 2**31 - 1
"""Bytes that one protobuf message holds."""
LARGEST_GOLDEN = 4_000_000
"""Bytes of text; xfer writes under 1 MB."""

_GRAPH, _METADATA, _FUNCTIONS = 7, 14, 25
_LONGEST_KEY, _LONGEST_SEAL, _LONGEST_PLACE = 1_000, 200, 10_000
_DEEPEST = 40

_IN_GRAPH = {1: "node", 5: "tensor", 15: "sparse"}
_IN_NODE = {5: "attribute"}
_IN_ATTRIBUTE = {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}
_IN_SPARSE = {1: "tensor", 2: "tensor"}
_IN_FUNCTION = {7: "node", 11: "attribute"}
_PARTS = {
    "graph": _IN_GRAPH,
    "node": _IN_NODE,
    "attribute": _IN_ATTRIBUTE,
    "sparse": _IN_SPARSE,
    "function": _IN_FUNCTION,
    "tensor": {},
}
"""Which fields of which message can hold a tensor, at any depth."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


@dataclass(frozen=True)
class _Outline:
    """Where the parts of a file lie."""

    size: int
    graphs: tuple[tuple[str, Field], ...]
    """The graph and the functions, with what kind of message each is."""
    metadata: Mapping[str, Field]
    """Key to the field of its value."""
    last: Field
    """The last field of the file."""


def read_card(path: Path) -> Card:
    """The card in the file's metadata; nothing else is read. Raises Unusable."""
    with _opened(path) as file:
        return _card(path, file, _outline(path, file))


def read_golden(path: Path) -> str | None:
    """The golden clips in the file's metadata, as they were written; None where it has none. Raises Unusable."""
    with _opened(path) as file:
        return _value(path, file, _outline(path, file).metadata.get(GOLDEN_KEY), LARGEST_GOLDEN)


def check_whole(path: Path) -> Card:
    """Size, seal, card and references of a file, before an engine opens it; its card.

    Raises Unusable for a file that is no ONNX, cut off or damaged, without a card, or not one whole.
    """
    with _opened(path) as file:
        outline = _outline(path, file)
        seal = outline.metadata.get(SEAL_KEY)
        if seal is not None:
            if seal.end != outline.last.end:
                raise damaged(path, "something was added behind its seal")
            line = _value(path, file, seal, _LONGEST_SEAL)
            check_line(line or "", file, outline.last.start, path)
        card = _card(path, file, outline)
        if seal is None and card.schema >= SEALED_SINCE:
            raise damaged(path, "its seal is missing")
        try:
            for place in _external(file, outline):
                raise _not_one_whole(path, place)
        except (EOFError, ValueError) as error:
            if isinstance(error, Unusable):
                raise
            raise damaged(path, f"its graph cannot be read: {error}") from error
        return card


def metadata_entry(key: str, value: str) -> bytes:
    """A metadata entry, as it is appended to a serialized model."""
    return encode(_METADATA, encode(1, key.encode()) + encode(2, value.encode()))


def sealed(content: bytes) -> bytes:
    """A serialized model with its seal behind it."""
    return content + metadata_entry(SEAL_KEY, seal_line(content))


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise Unusable(f"{path} is no file, so it is no ONNX model: name the .onnx file")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise Unusable(f"{path} has {size:,} bytes, and an ONNX model is one file of 2 GB at most: {_MAKE}")
    return open(path, "rb")


def _outline(path: Path, file: BinaryIO) -> _Outline:
    """Where the parts of the file lie. Raises Unusable for what is not one whole ONNX file."""
    size = path.stat().st_size
    graphs: list[tuple[str, Field]] = []
    metadata: dict[str, Field] = {}
    last = Field(0, 0, 0, 0, 0)
    try:
        for field in fields(file, 0, size):
            if field.number > 100 or field.kind not in (NUMBER, BYTES):  # no field of an ONNX file is of another form
                raise ValueError(f"field {field.number} of form {field.kind}")
            if field.number in (_GRAPH, _FUNCTIONS) and field.kind == BYTES:
                graphs.append(("graph" if field.number == _GRAPH else "function", field))
            elif field.number == _METADATA:
                key, value = _entry(file, field)
                if key in metadata and key in (METADATA_KEY, GOLDEN_KEY, SEAL_KEY):
                    raise damaged(path, f"it has two entries {key!r}")
                metadata[key] = value
            last = field
    except EOFError as error:
        if last.end == 0:
            raise _foreign(path) from error
        raise damaged(path, str(error)) from error
    except ValueError as error:
        if isinstance(error, Unusable):
            raise
        if METADATA_KEY in metadata:
            raise damaged(path, str(error)) from error
        raise _foreign(path) from error
    if not any(kind == "graph" for kind, _ in graphs):
        raise _foreign(path)
    return _Outline(size, tuple(graphs), metadata, last)


def _entry(file: BinaryIO, entry: Field) -> tuple[str, Field]:
    """The key of a metadata entry, and where its value lies."""
    key, value = "", Field(2, BYTES, entry.end, entry.end, entry.end)
    for part in fields(file, entry.body, entry.end):
        if part.number == 1:
            key = read(file, part, _LONGEST_KEY).decode("utf8")
        elif part.number == 2 and part.kind == BYTES:
            value = part
        else:
            raise ValueError("a metadata entry is damaged")
    return key, value


def _value(path: Path, file: BinaryIO, field: Field | None, largest: int) -> str | None:
    if field is None:
        return None
    try:
        return read(file, field, largest).decode("utf8")
    except ValueError as error:
        raise damaged(path, f"a metadata entry cannot be read: {error}") from error


def _card(path: Path, file: BinaryIO, outline: _Outline) -> Card:
    text = _value(path, file, outline.metadata.get(METADATA_KEY), LARGEST_CARD)
    if text is None:
        raise Unusable(f"{path} is an ONNX file without a card, so xfer did not make it: export it with xfer export")
    return Card.from_json(text, path)


def _external(file: BinaryIO, outline: _Outline) -> Iterator[str]:
    """Places outside the file that its tensors name."""
    for kind, field in outline.graphs:
        yield from _places(file, kind, field, 0)


def _places(file: BinaryIO, kind: str, message: Field, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("graphs within graphs without end")
    parts = _PARTS[kind]
    for field in fields(file, message.body, message.end):
        if kind == "tensor":
            if field.number == _EXTERNAL_DATA and field.kind == BYTES:
                key, value = _entry(file, field)
                if key == "location":
                    yield read(file, value, _LONGEST_PLACE).decode("utf8", "replace")
            elif field.number == _DATA_LOCATION and field.value != 0:
                yield ""
        elif field.number in parts and field.kind == BYTES:
            yield from _places(file, parts[field.number], field, depth + 1)


def _not_one_whole(path: Path, place: str) -> Unusable:
    """Weights in another file: never trusted, wherever that is, since no seal covers it and it stays behind."""
    parts = {*PurePosixPath(place).parts, *PureWindowsPath(place).parts}
    outside = ".." in parts or PurePosixPath(place).is_absolute() or PureWindowsPath(place).is_absolute()
    where = f"{place[:200]!r}, outside its own folder" if outside else f"{place[:200]!r}" if place else "another file"
    return Unusable(f"{path} takes weights from {where}, and a model file of xfer is one whole: export it again")


def _foreign(path: Path) -> Unusable:
    return Unusable(f"{path} is no ONNX model: {_MAKE}")


_MAKE = "make one with xfer export --format onnx"
