"""`xfer data DATA --html FILE`: what is in a data set, as one page for a browser."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from xfer.runtime.atomic import write_atomically
from xfer.train.data.page.document import document
from xfer.train.data.page.examples import choose, examples
from xfer.train.data.summary import HasFacts, Summary

PICTURES = 200
"""Classes of which an example is drawn, at most: a picture is 20 to 40 kB. The page says how many have none."""

__all__ = ["write_page"]


def write_page(
    checked: HasFacts, summary: Summary, path: Path, progress: Callable[[str, int, int], None] = lambda *_: None
) -> None:
    """Write the page of a checked data set to `path`, atomically; `progress(what, done, all)` is told of each example.

    Raises OSError where the file cannot be written.
    """
    chosen = dict(islice(choose(checked.data.clips, checked.facts).items(), PICTURES))
    pictures = dict(examples(chosen, lambda done, total: progress("drawing examples", done, total)))
    write_atomically(path, document(summary, pictures).encode())
