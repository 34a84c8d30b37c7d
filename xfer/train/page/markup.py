"""HTML and SVG by construction: every string is text and is escaped, unless it is markup that was built here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

from xfer.train.data.wording import printable

VOID = {"meta", "br", "img"}
"""Elements that have no end tag."""


class Markup(str):
    """A string that is markup already."""

    __slots__ = ()


Child: TypeAlias = "str | int | Markup | Iterable[Child] | None"


def element(tag: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """`<tag attribute="value">children</tag>`.

    Attribute names: a trailing underscore is dropped (`class_`), others become hyphens (`text_anchor`). None leaves a
    child or an attribute out. Numbers are written with at most two decimals.
    """
    words = [tag]
    for key, value in attributes.items():
        if value is not None:
            text = value if isinstance(value, str) else number(value)
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(printable(text), quote=True)}"')
    if tag in VOID:
        return Markup(f"<{' '.join(words)}>")
    return Markup(f"<{' '.join(words)}>{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Markup:
    """Children one after the other."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(printable(child), quote=False))
        elif isinstance(child, int):
            parts.append(f"{child:,}")
        elif child is not None:
            parts.append(join(child))
    return Markup("".join(parts))


def number(value: float) -> str:
    """At most two decimals, without trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
