"""Extended Ballroom: dance music in 13 classes, `<Class>/<6-digit id>.mp3`, about 30 s each.

No split is published, and the folders do not tell the artist; each recording is a group.
"""

from __future__ import annotations

import re
from pathlib import Path

from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tree import names_in, recordings_under
from xfer.train.data.problems import Problem

CLASSES = (
    "Chacha",
    "Foxtrot",
    "Jive",
    "Pasodoble",
    "Rumba",
    "Salsa",
    "Samba",
    "Slowwaltz",
    "Tango",
    "Viennesewaltz",
    "Waltz",
    "Wcswing",
    "Quickstep",
)
"""The folders, in the order of Choi's labels (FACTS.md section 7)."""
_NAME = re.compile(r"\d{6}\.mp3")


def recognise(root: Path) -> bool:
    """Three or more of the classes' folders, with recordings named by six digits."""
    return sum(any(_NAME.fullmatch(name) for name in names_in(root / label)) for label in CLASSES) >= 3


def read(root: Path) -> Found:
    """Label: the dance. Group: the recording."""
    clips: list[Clip] = []
    problems: list[Problem] = []
    for label in CLASSES:
        if (root / label).is_dir():
            walk = recordings_under(root / label)
            problems += walk.problems
            clips += [Clip(path, label, path.stem) for path in walk.paths]
    return Found(
        clips,
        problems=tuple(problems),
        notes=("no split is published: one is drawn, and artists may be on both sides",),
    )


register(Layout("ballroom", "genre", recognise, read, marks="folders Chacha, Foxtrot, Jive ... with NNNNNN.mp3"))
