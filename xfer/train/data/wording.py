"""How lengths, names and problems are said, on a terminal and on a page alike."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from xfer.train.data.problems import Kind, Problem, Severity
from xfer.train.data.summary import Spread


def length(seconds: float) -> str:
    """Seconds as one reads them: 0.45 s, 12.3 s, 51.7 min, 12.4 h, 1,234 h."""
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3597:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 3_599_640 else f"{seconds / 3600:,.0f} h"


def lengths(durations: Spread) -> str:
    """From the shortest to the longest clip, and where most lie."""
    low, median, high = map(length, durations.quartiles)
    if length(durations.lowest) == length(durations.highest):
        return f"every clip {median}"
    clips = f"clips {length(durations.lowest)} to {length(durations.highest)}, median {median}"
    return clips if low == high else f"{clips}, half of them {low} to {high}"


def count(number: int, thing: str) -> str:
    """1 clip, 2 clips, 1,000 classes."""
    plural = thing if number == 1 else f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{number:,} {plural}"


def channels(number: int) -> str:
    """mono, stereo, 6 channels."""
    return {1: "mono", 2: "stereo"}.get(number, f"{number} channels")


def printable(text: str) -> str:
    """Text without what moves a cursor or cannot be encoded: control characters and broken bytes of file names are
    written as escapes (`\\x1b`), everything else stays."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


@dataclass(frozen=True)
class Said:
    """A problem as a reader sees it."""

    sentence: str
    """Names its first file, relative to the data set."""
    more: tuple[str, ...]
    """The other files, relative to the data set."""


def said(problem: Problem, root: Path) -> Said:
    """A problem's sentence and files with short paths."""
    sentence = printable(problem.message.replace(f"{root}{os.sep}", ""))
    paths = [printable(inside(path, root)) for path in problem.paths]
    if paths and not any(_names(sentence, path) for path in paths):
        sentence = f"{paths[0]}: {sentence}"
    return Said(sentence, tuple(path for path in paths if not _names(sentence, path)))


def _names(sentence: str, path: str) -> bool:
    """Does the path stand in the sentence as a whole? `1.wav` does not stand in `a/1.wav`."""
    return re.search(rf"(?<![^\s'\"(]){re.escape(path)}(?![^\s,:;'\")])", sentence) is not None


def inside(path: Path, root: Path) -> str:
    """A path relative to the data set where it is in it."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


@dataclass(frozen=True)
class Kindred:
    """All problems of one kind and severity."""

    kind: Kind
    severity: Severity
    problems: tuple[Problem, ...]


def by_kind(problems: Iterable[Problem]) -> list[Kindred]:
    """Problems grouped by kind, errors first, each in the order of `Kind`."""
    found: dict[tuple[Severity, Kind], list[Problem]] = {}
    for problem in problems:
        found.setdefault((problem.severity, problem.kind), []).append(problem)
    order = [(severity, kind) for severity in get_args(Severity) for kind in get_args(Kind)]
    return [
        Kindred(kind, severity, tuple(found[severity, kind])) for severity, kind in order if (severity, kind) in found
    ]


WHAT_TO_DO: dict[Kind, str] = {
    "unreadable": "Left out of training. Copy or export these files again, or delete them.",
    "truncated": "What is there is used. Copy the files again, whole, if you can.",
    "empty": "Left out of training. Copy these files again, or delete them.",
    "silent": "Left out of training. Record them again, or delete them.",
    "clipped": "Used as they are. Record at a lower level, if you can.",
    "short": "Left out of training. Record longer, or delete them.",
    "duplicate": "Copies make a class look larger than it is. Training keeps them on one side of the split.",
    "leak": "Scores come out too good. To split by group: --split group here, --set data.scheme=group in training.",
    "few": "A class needs clips to learn from and others to be validated with: record more, or leave the class out.",
    "label": "If it is one class, give it one spelling; if not, give it a clearer name.",
    "metadata": "Correct the table, or bring the files that it names.",
}
"""The way out, by kind; one line under the kind's name."""
