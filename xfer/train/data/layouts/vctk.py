"""VCTK: many speakers of English, 0.80 (`wav48/`, WAV) and 0.92 (`wav48_silence_trimmed/`, FLAC, two microphones).

Of 0.92 microphone 1 is read, microphone 2 where the first is missing (FACTS.md 8.20). VCTK publishes no split; all
utterances of a speaker share a session, so each utterance is a group.
"""

from __future__ import annotations

import re
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tables import text_of
from xfer.train.data.layouts.tree import first_few, folders_in, problem, recordings_under
from xfer.train.data.problems import Problem

FOLDERS = ("wav48_silence_trimmed", "wav48")
SPEAKERS = "speaker-info.txt"
_MICROPHONE = re.compile(r"_mic(\d)$")


def recognise(root: Path) -> bool:
    """One of VCTK's two audio folders, or what comes with them."""
    return any((root / folder).is_dir() for folder in FOLDERS) or (
        (root / SPEAKERS).is_file() and (root / "txt").is_dir()
    )


def read(root: Path) -> Found:
    """Label: the speaker. Group: the utterance."""
    audio = next((root / folder for folder in FOLDERS if (root / folder).is_dir()), None)
    if audio is None:
        raise Unusable(f"{root} has {SPEAKERS} and no audio: put VCTK's {' or '.join(FOLDERS)} there")
    clips: list[Clip] = []
    problems: list[Problem] = []
    speakers: set[str] = set()
    second = 0
    walk = recordings_under(audio)
    problems += walk.problems
    utterances: dict[tuple[str, str], Path] = {}
    for path in walk.paths:  # sorted: mic1 comes before mic2
        speaker = path.relative_to(audio).parts[0]
        if speaker != path.name:
            utterances.setdefault((speaker, _MICROPHONE.sub("", path.stem)), path)
    for (speaker, utterance), path in utterances.items():
        speakers.add(speaker)
        second += path.stem.endswith("_mic2")
        group = utterance if utterance.startswith(speaker) else f"{speaker}/{utterance}"
        clips.append(Clip(path, speaker, group))
    notes = ["each utterance is a group: all of a speaker share a session, and no split is published"]
    if second:
        notes.append(f"{second} utterances have microphone 2 only, and are read from it")
    texts = {folder.name for folder in folders_in(root / "txt")}
    if texts and (without := sorted(speakers - texts)):
        notes.append(f"speakers without text: {', '.join(without)}; their recordings are used")
    if (root / SPEAKERS).is_file():
        problems += _strangers(root / SPEAKERS, speakers)
    return Found(clips, problems=tuple(problems), notes=tuple(notes))


def _strangers(table: Path, speakers: set[str]) -> list[Problem]:
    """Speakers of the table without recordings, and the other way round. 0.80 writes 225 for p225."""
    first = [line.split()[0] for line in text_of(table)[1:] if line.strip()]
    listed = {f"p{word}" if word.isdecimal() else word for word in first}
    said = []
    if missing := sorted(listed - speakers):
        said.append(problem(f"{len(missing)} speakers of {table} have no recording: {first_few(missing)}", [table]))
    if extra := sorted(speakers - listed):
        said.append(problem(f"{len(extra)} speakers with recordings are not in {table}: {first_few(extra)}", [table]))
    return said


register(
    Layout(
        "vctk", "speaker", recognise, read, marks=f"{' or '.join(FOLDERS)} with a folder per speaker (VCTK 0.92, 0.80)"
    )
)
