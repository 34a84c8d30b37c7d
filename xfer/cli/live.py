"""The live view of `xfer listen` on a terminal: level, label, the scores so far, what was lost. Drawn on stderr."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from xfer.runtime.events import clock

if TYPE_CHECKING:
    from xfer.runtime.events import Event
    from xfer.runtime.listening import LiveState

_BAR = 30
_LOWEST_DBFS = -60.0
_HISTORY = 40
_STEPS = "▁▂▃▄▅▆▇█"


class LiveView:
    """Redraws itself eight times a second; lines that are printed meanwhile scroll above it."""

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self._last: Event | None = None
        self._scores: deque[float] = deque(maxlen=_HISTORY)
        self._live = Live(
            get_renderable=self._draw,
            console=Console(stderr=True),
            refresh_per_second=8,
            redirect_stdout=sys.stdout.isatty(),  # a pipe gets its lines directly
            transient=True,
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def heard(self, event: Event) -> None:
        """Show this event from now on."""
        if event.kind == "health":
            return
        self._last = event
        self._scores.append(event.score or 0.0)

    def _draw(self) -> Group:
        level = self._state.level_dbfs
        filled = round(_BAR * (min(max(level, _LOWEST_DBFS), 0.0) - _LOWEST_DBFS) / -_LOWEST_DBFS)
        loud = Text("█" * filled, style="red" if level > -1 else "green") + Text("░" * (_BAR - filled), style="dim")
        when = (clock(self._state.seconds), "bold")
        head = Text.assemble(when, f"  {self._state.source}  ", loud, f" {level:6.1f} dBFS")
        return Group(head, self._answer())

    def _answer(self) -> Text:
        last = self._last
        if last is None:
            return Text("listening: the first answer comes with the first whole window", style="dim")
        if last.label is None:
            line = Text("no usable sound", style="yellow")
        else:
            label = last.label if last.known else f"unknown (nearest: {last.label})"
            style = "bold green" if last.known else "bold yellow"
            line = Text.assemble((label, style), f"  {100 * (last.score or 0):5.1f} %  ")
        steps = len(_STEPS) - 1
        line.append("".join(_STEPS[round(score * steps)] for score in self._scores), style="cyan")
        if last.dropped:
            line.append(f"  {last.dropped} samples lost", style="bold red")
        return line
