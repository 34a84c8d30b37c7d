"""A folder per class: `root/<label>/**/<recording>`; each file is a group of its own.

What is put into `_background_noise_` is background, as Speech Commands has it; other names with `_` are no classes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tree import first_few, folders_in, problem, recordings_under

BACKGROUND = "_background_noise_"


def recognise(root: Path) -> bool:
    """Some folder in it holds a recording."""
    return any(recordings_under(folder).paths for folder in folders_in(root) if folder.name[0] != "_")


def read(root: Path) -> Found:
    """Label: the folder's name. Names that begin with `_` or `.` are no classes."""
    walk = recordings_under(root)
    depth = len(root.parts)
    clips: list[Clip] = []
    background: list[Path] = []
    loose: list[Path] = []
    for path in walk.paths:
        parts = path.parts[depth:]
        if len(parts) == 1:
            loose.append(path)
        elif parts[0] == BACKGROUND:
            background.append(path)
        elif parts[0][0] != "_":
            clips.append(Clip(path, sys.intern(parts[0]), "/".join(parts)))
    problems = list(walk.problems)
    if loose:
        problems.append(
            problem(
                f"{len(loose)} recordings lie in no class's folder, and are left out: {first_few([*map(str, loose)])}",
                loose,
            )
        )
    return Found(clips, background=tuple(background), problems=tuple(problems))


register(
    Layout("folders", "sound", recognise, read, marks="a folder of recordings per class, named as it", last_resort=True)
)
