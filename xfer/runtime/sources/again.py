"""Trying again: a device or a stream that went away is looked for until it is back, less and less often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from xfer.runtime.errors import XferError
from xfer.runtime.sources.source import NOTHING, POLL_SECONDS, Block, News

FIRST_SECONDS, LONGEST_SECONDS = 0.5, 15.0
"""Between two tries at first, and at most; each wait is twice the one before."""

T = TypeVar("T")


def try_again(open_it: Callable[[], T], told: threading.Event, opened: Callable[[T], None]) -> Iterator[Block]:
    """Empty blocks until `open_it` succeeds and `opened` has what it gave, or until `told`.

    The first try is made at once. What `open_it` raises as XferError means: not yet; anything else is raised.
    """
    wait, reason = FIRST_SECONDS, ""
    while not told.is_set():
        try:
            opened(open_it())
            return
        except XferError as error:
            if str(error) != reason:
                reason = str(error)
                yield Block(NOTHING, time.monotonic(), news=News("lost", reason))
        until = time.monotonic() + wait
        while (left := until - time.monotonic()) > 0 and not told.is_set():
            told.wait(min(left, POLL_SECONDS))
            yield Block(NOTHING, time.monotonic())
        wait = min(2 * wait, LONGEST_SECONDS)
