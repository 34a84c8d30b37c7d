"""GTZAN speech/music: `music_speech/music_wav/*.wav` and `music_speech/speech_wav/*.wav`, 64 of each, 30 s.

No split is published; each recording is a group.
"""

from __future__ import annotations

from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tree import recordings_under
from xfer.train.data.problems import Problem

FOLDERS = {"music_wav": "music", "speech_wav": "speech"}
PLACES = ("", "music_speech")


def recognise(root: Path) -> bool:
    """One of the two folders."""
    return any((root / place / folder).is_dir() for place in PLACES for folder in FOLDERS)


def read(root: Path) -> Found:
    """Label: music or speech. Group: the recording."""
    place = max((root / place for place in PLACES), key=lambda each: sum((each / name).is_dir() for name in FOLDERS))
    clips: list[Clip] = []
    problems: list[Problem] = []
    for folder, label in FOLDERS.items():
        if not (place / folder).is_dir():
            raise Unusable(f"{place} lacks the folder {folder}: put GTZAN's {label} there")
        walk = recordings_under(place / folder)
        problems += walk.problems
        clips += [Clip(path, label, f"{label}/{path.stem}") for path in walk.paths]
    return Found(clips, problems=tuple(problems), notes=("no split is published: one is drawn",))


register(Layout("gtzan_speechmusic", "music_speech", recognise, read, marks="music_speech/music_wav and speech_wav"))
