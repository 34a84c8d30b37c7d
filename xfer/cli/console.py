"""Talk goes to stderr, results to stdout. Nothing is coloured or redrawn where stderr is no terminal or NO_COLOR is set."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any


@dataclass
class Talk:
    """How this call talks; set once by the verb from its common options."""

    quiet: bool = False
    """Say nothing but warnings and errors."""


talk = Talk()


def say(line: str) -> None:
    """Progress and messages: stderr, unless --quiet."""
    if not talk.quiet:
        print(line, file=sys.stderr, flush=True)


def warn(line: str) -> None:
    """What a user must know even under --quiet: stderr."""
    print(line, file=sys.stderr, flush=True)


def result(line: str) -> None:
    """A result: stdout."""
    print(line, flush=True)


def result_json(document: Any) -> None:
    """The result as one JSON document: stdout, nothing else there."""
    print(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False), flush=True)


def is_live() -> bool:
    """May stderr be coloured and redrawn?"""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def next_steps(*commands: str) -> None:
    """What to type next."""
    say("next:")
    for command in commands:
        say(f"  {command}")
