"""What becomes of events: a writer takes them as they come; each form of lines is registered by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from xfer.runtime.events import Event


class Writer(Protocol):
    """Takes events as they come."""

    def write(self, event: Event) -> None:
        """Take one event: `event`, `gap` or `health`; what is of no interest is left out. Raises OSError."""
        ...

    def close(self) -> None:
        """No event comes any more: write what is held, and give back what is open."""
        ...


Put = Callable[[str], None]
"""Where a writer of lines puts them, one without its end at a time."""


class JsonLines:
    """One JSON object a line."""

    def __init__(self, put: Put) -> None:
        self._put = put

    def write(self, event: Event) -> None:
        """Put the event's JSON."""
        self._put(event.to_json())

    def close(self) -> None:
        """Nothing is held."""


class PlainText:
    """One line for people an event."""

    def __init__(self, put: Put) -> None:
        self._put = put

    def write(self, event: Event) -> None:
        """Put the event's text."""
        self._put(event.to_text())

    def close(self) -> None:
        """Nothing is held."""


WRITERS: dict[str, Callable[[Put], Writer]] = {"jsonl": JsonLines, "text": PlainText}
"""A new form of lines is one class and one line here."""
