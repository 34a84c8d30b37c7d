"""The next batches are cut while the net works on this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
DEPTH = 3
"""Batches that wait: enough that one slow file holds nobody up, few enough to cost little memory."""


class _End:
    """No more; with what ended it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(make: Callable[[], Iterator[T]], depth: int = DEPTH) -> Iterator[T]:
    """The items of `make()` in their order, made in a thread of their own, up to `depth` of them ahead.

    An error there is raised here, at its place in the order. Whoever stops early stops the thread too.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: T | _End) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in make():
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001  whatever it is, it is the consumer's
            put(_End(error))
        else:
            put(_End())

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        thread.join()
