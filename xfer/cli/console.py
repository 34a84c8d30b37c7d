"""Talk goes to stderr, results to stdout; no colours or redrawing where stderr is no terminal or NO_COLOR is set."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any


@dataclass
class Talk:
    """How this call talks; set once by the verb from its common options."""

    quiet: bool = False
    """Say nothing but warnings and errors."""
    held: bool = False
    """Say nothing at all: the main process of several speaks for all."""

    def hold(self) -> None:
        """From here on only `complain` is heard."""
        self.quiet = self.held = True


talk = Talk()

OTHERS_WAIT = 3.0
"""Seconds."""


def say(line: str) -> None:
    """Progress and messages: stderr, unless --quiet."""
    if not talk.quiet:
        print(line, file=sys.stderr, flush=True)


def warn(line: str) -> None:
    """What a user must know even under --quiet: stderr."""
    if not talk.held:
        print(line, file=sys.stderr, flush=True)


def complain(line: str) -> None:
    """Why it ended: stderr.

    One process of several waits first: where all stumble over the same thing, the main one says it, and torchrun ends
    the others meanwhile.
    """
    if talk.held:
        time.sleep(OTHERS_WAIT)
    print(line, file=sys.stderr, flush=True)


def result(line: str) -> None:
    """A result: stdout; what its encoding cannot say is written as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def result_json(document: Any) -> None:
    """The result as one JSON document: stdout, nothing else there."""
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # A file name that is no Unicode, or a stdout that is not UTF-8: escapes say the same.
        text = json.dumps(document, indent=2, allow_nan=False)
    print(text, flush=True)


def is_live() -> bool:
    """May stderr be coloured and redrawn?"""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def next_steps(*commands: str) -> None:
    """What to type next."""
    say("next:")
    for command in commands:
        say(f"  {command}")


class Meter:
    """A level on stderr, redrawn in its line; nothing where stderr is no terminal."""

    _LOWEST_DBFS = -60.0
    _WIDTH = 40

    def __enter__(self) -> Meter:
        return self

    def show(self, dbfs: float) -> None:
        """Draw a level."""
        if not is_live() or talk.quiet:
            return
        share = (min(max(dbfs, self._LOWEST_DBFS), 0.0) - self._LOWEST_DBFS) / -self._LOWEST_DBFS
        full = round(self._WIDTH * share)
        print(f"\r{'█' * full}{'░' * (self._WIDTH - full)} {dbfs:6.1f} dBFS", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if is_live() and not talk.quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class EpochBar:
    """The progress of a training on stderr: a live bar on a terminal, else a line an epoch and one now and then."""

    EVERY_SECONDS = 20.0

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._spoke = 0.0
        self._heard = ""
        """The last validation, in words."""

    def __enter__(self) -> EpochBar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _start(self) -> None:
        """At the first news, not before: only one live bar may be on the screen, and data is prepared first."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()

    def tell(self, progress: Any) -> None:
        """Show a `train.fit.Progress`."""
        if progress.note:
            warn(progress.note)
        if self._bar is None and is_live() and not talk.quiet:
            self._start()
        where = f"epoch {progress.epoch}/{progress.epochs}"
        pace = f"loss {progress.loss:.3f}, {progress.windows_per_second:.1f} windows/s"
        if progress.validation is not None:
            found = progress.validation
            star = ", best so far" if progress.best else ""
            rates = f"clips {found.clip_accuracy:.1%}, windows {found.window_accuracy:.1%}"
            self._heard = f", clips {found.clip_accuracy:.1%}"
            line = f"{where}  {pace}, validation: {rates}{star}"
            if self._bar is not None:
                self._bar.console.print(line, highlight=False)
            else:
                say(line)
            self._spoke = time.monotonic()
        elif self._bar is not None:
            total = progress.epochs * progress.steps
            if self._task is None:
                self._task = self._bar.add_task(where, total=total)
            done = (progress.epoch - 1) * progress.steps + progress.step
            memory = f", {progress.memory:.1f} GB" if progress.memory else ""
            self._bar.update(self._task, completed=done, description=f"{where}  {pace}{self._heard}{memory}")
        elif time.monotonic() - self._spoke > self.EVERY_SECONDS:
            say(f"{where}  step {progress.step}/{progress.steps}  {pace}")
            self._spoke = time.monotonic()
