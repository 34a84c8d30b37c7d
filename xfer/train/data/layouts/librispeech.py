"""LibriSpeech: read English, `{subset}/{speaker}/{chapter}/{speaker}-{chapter}-{n}.flac`, and SPEAKERS.TXT.

The published subsets share no speaker, so they cannot be the sides of a split in which the same speakers are known
again: all subsets that are there are read as one, and the split is drawn by chapter.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tables import text_of
from xfer.train.data.layouts.tree import first_few, folders_in, problem, recordings_under
from xfer.train.data.problems import Problem

SPEAKERS = "SPEAKERS.TXT"
_SUBSET = re.compile(r"(train|dev|test)-(clean|other)(-\d+)?")
_NAME = re.compile(r"(\d+)-(\d+)-\d+\.(flac|wav|ogg)")


def recognise(root: Path) -> bool:
    """Folders named as its subsets, or SPEAKERS.TXT, in the folder or in LibriSpeech below it; or one subset."""
    return _place(root) is not None or _is_subset(root)


def read(root: Path) -> Found:
    """Label: the speaker. Group: the chapter."""
    place = _place(root)
    subsets = [each for each in folders_in(place) if _SUBSET.fullmatch(each.name)] if place else [root]
    if not subsets:
        raise Unusable(
            f"{place} has {SPEAKERS} and no audio: unpack LibriSpeech's subsets, train-clean-100 and others, there"
        )
    clips: list[Clip] = []
    problems: list[Problem] = []
    strange: list[Path] = []
    for subset in subsets:
        walk = recordings_under(subset)
        problems += walk.problems
        for path in walk.paths:
            if match := _NAME.fullmatch(path.name):
                clips.append(Clip(path, sys.intern(match[1]), sys.intern(f"{match[1]}-{match[2]}")))
            else:
                strange.append(path)
    if strange:
        problems.append(
            problem(
                f"{len(strange)} recordings are not named speaker-chapter-number, and are left out: "
                f"{first_few([*map(str, strange)])}",
                strange,
            )
        )
    table = (place or root.parent) / SPEAKERS
    if table.is_file():
        known = {line.split("|")[0].strip() for line in text_of(table) if not line.startswith(";")}
        if extra := sorted({clip.label for clip in clips} - known):
            problems.append(problem(f"{len(extra)} speakers are not in {table}: {first_few(extra)}", [table]))
    names = ", ".join(subset.name for subset in subsets)
    return Found(
        clips,
        problems=tuple(problems),
        notes=(f"read as one: {names}; the published subsets share no speaker, so the split is drawn by chapter",),
    )


def _place(root: Path) -> Path | None:
    """The folder that holds the subsets."""
    for place in (root, root / "LibriSpeech"):
        subsets = [each for each in folders_in(place) if _SUBSET.fullmatch(each.name)]
        if any(_is_subset(subset) for subset in subsets) or (place / SPEAKERS).is_file():
            return place
    return None


def _is_subset(folder: Path) -> bool:
    """Folders speaker/chapter with a recording named by both?"""
    for speaker in [each for each in folders_in(folder) if each.name.isdecimal()][:5]:
        for chapter in [each for each in folders_in(speaker) if each.name.isdecimal()][:1]:
            if any(path.name.startswith(f"{speaker.name}-{chapter.name}-") for path in chapter.iterdir()):
                return True
    return False


register(
    Layout(
        "librispeech",
        "speaker",
        recognise,
        read,
        marks="{train,dev,test}-{clean,other}.../{speaker}/{chapter}/{speaker}-{chapter}-{n}.flac",
    )
)
