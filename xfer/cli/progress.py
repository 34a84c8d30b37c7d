"""The progress of work in steps on stderr: a live bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from typing import Any

from xfer.cli.console import is_live, say, talk


class StepBar:
    """Shows `tell(what, done, all)`; a new `what` begins a new bar."""

    EVERY_SECONDS = 20.0

    def __init__(self) -> None:
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._spoke = time.monotonic()

    def __enter__(self) -> StepBar:
        if is_live() and not talk.quiet:
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
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, what: str, done: int, total: int) -> None:
        """`what` is what is being done ("decoding"); `done` of `total` steps are."""
        if self._bar is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bar.add_task(what, total=total)
            self._bar.update(self._tasks[what], completed=done, total=total)
        elif time.monotonic() - self._spoke > self.EVERY_SECONDS:
            say(f"{what}: {done:,} of {total:,}")
            self._spoke = time.monotonic()
