"""Events as lines."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from xfer.runtime.events import Event, clock, now
from xfer.runtime.writers import WRITERS

KEYS = [
    *("version", "kind", "source", "time", "start", "end", "task", "model"),
    *("label", "known", "score", "top", "latency_ms", "dropped"),
]
"""Of CLI.md, in its order."""


def an_event(**changes: object) -> Event:
    given = {
        "kind": "event",
        "source": "ünï.wav",
        "start": 59.999,
        "end": 63.5,
        "task": "speaker",
        "model": "speaker",
        "label": 'a "quoted"\nname',
        "known": True,
        "score": 0.75,
        "top": (('a "quoted"\nname', 0.75), ("b", 0.25)),
        "latency_ms": 3.5,
        "time": now(),
    }
    return Event(**(given | changes))  # type: ignore[arg-type]


def test_one_json_object_a_line_with_the_agreed_keys() -> None:
    lines: list[str] = []
    writer = WRITERS["jsonl"](lines.append)
    writer.write(an_event())
    writer.write(an_event(kind="gap", label=None, known=False, score=None, top=(), latency_ms=None))
    assert all("\n" not in line for line in lines)
    event, gap = map(json.loads, lines)
    assert list(event) == [*KEYS, "state"]
    assert list(gap) == KEYS
    assert event["state"] == "ended"
    assert event["label"] == 'a "quoted"\nname'
    assert event["top"][1] == {"label": "b", "score": 0.25}
    assert gap["label"] is gap["score"] is None
    assert datetime.fromisoformat(event["time"]).tzinfo is not None


def test_there_is_no_nan_in_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        an_event(score=float("nan")).to_json()


def test_lines_for_people() -> None:
    lines: list[str] = []
    writer = WRITERS["text"](lines.append)
    for event in (an_event(label="ada"), an_event(label="ada", known=False), an_event(kind="gap", label=None)):
        writer.write(event)
    assert lines[0] == "ünï.wav  1:00.00 - 1:03.50  ada  75.0 %  (b 25 %)"
    assert "unknown (nearest: ada)" in lines[1]
    assert "gap" in lines[2]


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00.00"), (59.996, "1:00.00"), (3661.5, "61:01.50")])
def test_stream_time(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
