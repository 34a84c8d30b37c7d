"""Free Spoken Digits: `recordings/{digit}_{speaker}_{n}.wav`; the published test side is n from 0 to 4.

Every speaker is on both sides of that split, so the group is the recording: what is measured is whether known
speakers are understood.
"""

from __future__ import annotations

import re
from pathlib import Path

from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tree import first_few, names_in, problem, recordings_under

FOLDER = "recordings"
TESTED = range(5)
_NAME = re.compile(r"(\d)_([^\W\d_]+)_(\d+)\.wav")


def recognise(root: Path) -> bool:
    """A folder of recordings named so, or that folder itself."""
    return _place(root) is not None


def read(root: Path) -> Found:
    """Label: the digit. Group: the recording."""
    place = _place(root) or root / FOLDER
    walk = recordings_under(place)
    clips: list[Clip] = []
    strange: list[Path] = []
    for path in walk.paths:
        if match := _NAME.fullmatch(path.name):
            clips.append(Clip(path, match[1], path.stem, "test" if int(match[3]) in TESTED else None))
        else:
            strange.append(path)
    problems = list(walk.problems)
    if strange:
        problems.append(
            problem(
                f"{len(strange)} recordings are not named digit_speaker_n.wav, and are left out: "
                f"{first_few([*map(str, strange)])}",
                strange,
            )
        )
    return Found(
        clips,
        problems=tuple(problems),
        notes=("the published test side is kept (n from 0 to 4): every speaker is trained and tested",),
    )


def _place(root: Path) -> Path | None:
    for place in (root / FOLDER, root):
        if any(_NAME.fullmatch(name) for name in names_in(place)):
            return place
    return None


register(Layout("free_spoken_digits", "command", recognise, read, marks=f"{FOLDER}/<digit>_<speaker>_<n>.wav"))
