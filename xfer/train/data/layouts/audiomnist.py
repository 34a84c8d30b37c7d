"""AudioMNIST: spoken digits by 60 people, `data/{01..60}/{digit}_{speaker}_{n}.wav` and `data/audioMNIST_meta.txt`.

The split is drawn by speaker.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tree import first_few, folders_in, names_in, problem, recordings_under

META = "audioMNIST_meta.txt"
_NAME = re.compile(r"(\d)_(\d\d)_(\d+)\.wav")


def recognise(root: Path) -> bool:
    """The speakers' file, or a speaker's folder with recordings named so, in `data` or in the folder itself."""
    return _place(root) is not None


def read(root: Path) -> Found:
    """Label: the digit. Group: the speaker."""
    place = _place(root) or root
    walk = recordings_under(place)
    clips: list[Clip] = []
    strange: list[Path] = []
    for path in walk.paths:
        if match := _NAME.fullmatch(path.name):
            clips.append(Clip(path, match[1], sys.intern(match[2])))
        else:
            strange.append(path)
    if not clips:
        raise Unusable(f"{place} has {META} and no audio: put AudioMNIST's folders 01 to 60 there")
    problems = list(walk.problems)
    if strange:
        problems.append(
            problem(
                f"{len(strange)} recordings are not named digit_speaker_n.wav, and are left out: "
                f"{first_few([*map(str, strange)])}",
                strange,
            )
        )
    return Found(clips, problems=tuple(problems), notes=("no split is published: one is drawn by speaker",))


def _place(root: Path) -> Path | None:
    """The folder of the speakers' folders."""
    for place in (root / "data", root):
        speakers = [each for each in folders_in(place) if re.fullmatch(r"\d\d", each.name)]
        named = any(
            (match := _NAME.fullmatch(name)) and match[2] == speaker.name
            for speaker in speakers
            for name in names_in(speaker)
        )
        if named or (place / META).is_file():
            return place
    return None


register(Layout("audiomnist", "command", recognise, read, marks="data/<speaker>/<digit>_<speaker>_<n>.wav"))
