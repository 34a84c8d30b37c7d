"""The progress of work in steps on stderr: a live bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from typing import Any

from xfer.cli.console import is_live, say, talk


class StepBar:
    """Shows `tell(what, done, all)`; a new `what` begins a new bar.

    It is on the screen from the first step of some work to its last: only one live bar may be there at a time.
    """

    EVERY_SECONDS = 20.0

    def __init__(self) -> None:
        self._bar: Any = None
        self._what = ""
        self._task: Any = None
        self._spoke = time.monotonic()

    def __enter__(self) -> StepBar:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def tell(self, what: str, done: int, total: int) -> None:
        """`what` is what is being done ("decoding"); `done` of `total` steps are."""
        if is_live() and not talk.quiet:
            if what != self._what:
                self._stop()
            if self._bar is None and done < total:
                self._start(what)
            if self._bar is not None:
                self._bar.update(self._task, completed=done, total=total)
            if done >= total:
                self._stop()
        elif time.monotonic() - self._spoke > self.EVERY_SECONDS:
            say(f"{what}: {done:,} of {total:,}")
            self._spoke = time.monotonic()

    def _start(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._what, self._task = what, self._bar.add_task(what, total=None)
        self._bar.start()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._what = None, ""
