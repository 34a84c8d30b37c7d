"""The page around its parts, and the parts that every page has: numbers in tiles, facts in a list."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from xfer import __version__
from xfer.train.page.markup import Child, Markup, element


def page(title: str, parts: Iterable[Child], footer: str, *, styles: Iterable[str] = (), media: str = "") -> str:
    """A whole HTML document. `footer`: what follows "Written by xfer" and the version; `styles`: more style sheets.

    The page may load nothing and run nothing, whatever a label, a path or a clip's name holds; `media` (`data:`, or
    `*` for files beside it) is where sound may come from.
    """
    sound = f"media-src {media}; " if media else ""
    policy = f"default-src 'none'; img-src data:; {sound}style-src 'unsafe-inline'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup("".join([sheet(__package__, "page.css"), *styles]))),
    )
    body = element("body", *parts, element("footer", f"Written by xfer {__version__}{footer}"))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def sheet(package: str, name: str) -> str:
    """A style sheet that lies in a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def tiles(numbers: Iterable[tuple[str, str]]) -> Markup:
    """The few numbers that a reader looks for first, each with what it is."""
    each = (element("div", element("b", value), element("span", name), class_="tile") for value, name in numbers)
    return element("div", *each, class_="tiles")


def described(facts: Iterable[tuple[str, Child]]) -> Markup:
    """Names and values, in a card; what is empty is left out."""
    rows = (Markup(element("dt", name) + element("dd", value)) for name, value in facts if value)
    return element("div", element("dl", *rows), class_="card")
