"""What `listen` says: an event, a gap, its health."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

VERSION = 1
"""Of the JSON lines; raised when a key changes its meaning."""

SCORE_DIGITS = 6


@dataclass(frozen=True)
class Event:
    """One thing that was heard, or could not be heard. The fields are the keys of the JSON lines, in their order."""

    kind: str
    """`event`; `gap`: a stretch that is no sound or was lost; `health`."""
    source: str
    """File name, `-` or `microphone`."""
    start: float
    """Seconds of stream time."""
    end: float
    """Seconds of stream time."""
    task: str
    model: str
    """The model's name."""
    label: str | None = None
    known: bool = False
    """False: rejected as unknown, or nothing was recognised."""
    score: float | None = None
    """Of the label, 0 to 1."""
    top: tuple[tuple[str, float], ...] = ()
    """Labels and scores, best first."""
    latency_ms: float | None = None
    """Live: from the arrival of the window's last sample; a file: what the window took to compute."""
    dropped: int = 0
    """Samples lost so far, at the source's rate."""
    time: str = ""
    """Wall clock, ISO 8601 with its offset."""
    state: str = "ended"
    """Of an event: `ended`, or `began`: its end and score are those so far."""
    health: Mapping[str, Any] | None = None
    """Of `health`: what `LiveState.document` says."""

    def document(self) -> dict[str, Any]:
        """The keys of CLI.md, ready for JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        state, health = values.pop("state"), values.pop("health")
        more = {"state": state} if self.kind == "event" else {} if health is None else {"health": dict(health)}
        return {
            "version": VERSION,
            "kind": values.pop("kind"),
            "source": values.pop("source"),
            "time": values.pop("time"),
            **values,
            "top": [{"label": label, "score": score} for label, score in self.top],
            **more,
        }

    def to_json(self) -> str:
        """One line. Raises ValueError for a number that JSON does not have."""
        return json.dumps(self.document(), ensure_ascii=False, allow_nan=False)

    def to_text(self) -> str:
        """One line for people."""
        end = "..." if self.state == "began" else clock(self.end)
        stretch = f"{self.source}  {clock(self.start)} - {end}"
        if self.health is not None:
            return f"{stretch}  (health: {self.health['state']}: {self.health['text']})"
        if self.label is None or self.score is None:
            return f"{stretch}  ({self.kind}: no usable sound)"
        shown = self.label if self.known else f"unknown (nearest: {self.label})"
        others = ", ".join(f"{label} {100 * score:.0f} %" for label, score in self.top[1:3])
        return f"{stretch}  {shown}  {100 * self.score:.1f} %" + (f"  ({others})" if others else "")


def clock(seconds: float) -> str:
    """Stream time as minutes and seconds: 1:02.50."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def now() -> str:
    """The wall clock, ISO 8601 to the millisecond, with its offset."""
    return datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
