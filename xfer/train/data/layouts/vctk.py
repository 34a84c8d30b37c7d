"""VCTK: many speakers of English, 0.80 (`wav48/`, WAV) and 0.92 (`wav48_silence_trimmed/`, FLAC, two microphones).

Of 0.92 microphone 1 is read, microphone 2 where the first is missing (FACTS.md 8.20). VCTK publishes no split; all
utterances of a speaker share a session, so each utterance is a group.
"""

from __future__ import annotations

import re
from pathlib import Path

from xfer.train.data.clips import Clip
from xfer.train.data.layouts.folders import recordings_under
from xfer.train.data.layouts.registry import Found, Layout, register

FOLDERS = ("wav48_silence_trimmed", "wav48")
_MICROPHONE = re.compile(r"_mic(\d)$")


def recognise(root: Path) -> bool:
    """One of VCTK's two audio folders."""
    return any((root / folder).is_dir() for folder in FOLDERS)


def read(root: Path) -> Found:
    """Label: the speaker. Group: the utterance."""
    audio = next(root / folder for folder in FOLDERS if (root / folder).is_dir())
    utterances: dict[str, tuple[str, Path]] = {}
    for speaker in sorted(child for child in audio.iterdir() if child.is_dir()):
        for path in recordings_under(speaker):  # sorted: mic1 comes before mic2
            utterances.setdefault(_MICROPHONE.sub("", path.stem), (speaker.name, path))
    return Found([Clip(path, speaker, utterance) for utterance, (speaker, path) in utterances.items()])


register(Layout("vctk", "speaker", recognise, read))
