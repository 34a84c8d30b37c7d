"""What can be wrong with a data set: `xfer data` lists it, training leaves out what it cannot use and says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal[
    "unreadable",
    "truncated",
    "empty",
    "silent",
    "clipped",
    "short",
    "duplicate",
    "leak",
    "few",
    "label",
    "metadata",
]
Severity = Literal["error", "warning"]

LEFT_OUT: frozenset[Kind] = frozenset({"unreadable", "empty", "silent", "short"})
"""A recording with one of these cannot be learned from."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, with the recordings that it concerns."""

    kind: Kind
    severity: Severity
    """error: training on this would be wrong; warning: it can be borne."""
    paths: tuple[Path, ...]
    message: str
    """One sentence; it names the first path where there are several."""

    @property
    def left_out(self) -> bool:
        """Does training go on without these recordings?"""
        return self.kind in LEFT_OUT

    def to_json(self) -> dict[str, Any]:
        """As `xfer data --json` and `xfer train --json` write it."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "paths": [str(path) for path in self.paths],
            "message": self.message,
        }
