"""JSON from outside, read strictly: every number finite and of a size that fits, nothing twice, text that is text.

Python's reader takes more than that: Infinity and 1e999, an integer of thousands of digits that no float holds, the
second of two equal keys, half a character that no file can hold, and escapes that a terminal would obey.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

DEEPEST = 40
"""Objects within each other."""
_MOST_DIGITS = 18
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but tabs and ends of lines, and halves of characters."""


def read_json(text: str | bytes) -> Any:
    """The value of one JSON document. Raises ValueError or RecursionError for what is none, or breaks a rule."""
    document = json.loads(
        text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole, object_pairs_hook=_said_once
    )
    strange = next((found for found in _texts(document) if _NO_TEXT.search(found)), None)
    if strange is not None:
        raise ValueError(f"{shown(strange)} holds characters that are no text")
    return document


def shown(value: Any) -> str:
    """A value in a message, short."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _refuse(word: str) -> float:
    raise ValueError(f"{shown(word)} is no number that can be used")


def _finite(word: str) -> float:
    return value if math.isfinite(value := float(word)) else _refuse(word)


def _whole(word: str) -> int | float:
    return int(word) if len(word) <= _MOST_DIGITS else _refuse(word)


def _said_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; programs differ in which of two equal keys they believe."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{shown(next(key for key in keys if keys.count(key) > 1))} is there twice")
    return found


def _texts(document: Any) -> Iterator[str]:
    """Every text in it, keys too. Raises ValueError for objects in objects without end."""
    layer, depth = [document], 0
    while layer:
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} objects within each other")
        yield from (value for value in layer if isinstance(value, str))
        layer = [
            inner
            for value in layer
            if isinstance(value, (dict, list))
            for inner in (value if isinstance(value, list) else [*value, *value.values()])
        ]
        depth += 1
