"""Jamendo singing voice: songs with `.lab` files whose lines are "start end sing|nosing", in seconds.

A labelled stretch is a clip, a song is a group. The published train, valid and test sides come from folders so called,
or from lists of songs in `filelists/`. Choi's cut form, `{split}/{sing,nosing}/{song}_{segment}.wav`, is read too.
"""

from __future__ import annotations

import math
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip, Split
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tables import absent, text_of
from xfer.train.data.layouts.tree import first_with, folders_in, recordings_under
from xfer.train.data.problems import Problem
from xfer.train.data.splits import WORDS

LABELS = ("sing", "nosing")
LISTS = "filelists"


def recognise(root: Path) -> bool:
    """Folders sing and nosing below a side of the split, or a .lab file with these words."""
    return bool(_cut(root)) or ((lab := first_with(root, ".lab", depth=2)) is not None and _is_ours(lab))


def read(root: Path) -> Found:
    """Label: sing or nosing. Group: the song."""
    return _read_cut(root) if _cut(root) else _read_songs(root)


def _cut(root: Path) -> list[Path]:
    """The folders of the cut form."""
    return [
        side / label for side in folders_in(root) if side.name in WORDS for label in LABELS if (side / label).is_dir()
    ]


def _read_cut(root: Path) -> Found:
    clips: list[Clip] = []
    problems: list[Problem] = []
    for folder in _cut(root):
        walk = recordings_under(folder)
        problems += walk.problems
        side = WORDS[folder.parent.name]
        clips += [Clip(path, folder.name, path.stem.rpartition("_")[0] or path.stem, side) for path in walk.paths]
    return Found(clips, problems=tuple(problems), notes=("cut segments; the published split is kept",))


def _read_songs(root: Path) -> Found:
    audio, labs = recordings_under(root), recordings_under(root, (".lab",)).paths
    songs = {path.stem: path for path in audio.paths}
    sides = _sides(root)
    clips: list[Clip] = []
    missing: list[str] = []
    for lab in labs:
        path = songs.get(lab.stem)
        if path is None:
            missing.append(str(lab.with_suffix(".ogg")))
            continue
        words = [WORDS[part] for part in path.relative_to(root).parts[:-1] if part in WORDS]
        side = sides.get(lab.stem, words[0] if words else None)
        clips += [
            Clip(path, label, lab.stem, side, offset=start, duration=end - start)
            for start, end, label in _stretches(lab)
        ]
    problems = (*audio.problems, *absent(labs[0].parent, missing, len(labs), root))
    split = "the published split is kept" if any(clip.split for clip in clips) else "no split is given: one is drawn"
    return Found(clips, problems=problems, notes=(f"a clip is a labelled stretch of a song; {split}",))


def _stretches(lab: Path) -> list[tuple[float, float, str]]:
    """Start, end (seconds) and label of each stretch. Raises Unusable."""
    found = []
    for number, line in enumerate(text_of(lab), start=1):
        words = line.split()
        if not words:
            continue
        try:
            start, end = float(words[0]), float(words[1])
        except (ValueError, IndexError):
            start = end = math.nan
        if len(words) != 3 or words[2] not in LABELS or not 0 <= start <= end < math.inf:
            raise Unusable(f"{lab}, line {number}: {line[:60]!r} is not 'start end {'|'.join(LABELS)}', in seconds")
        if end > start:
            found.append((start, end, words[2]))
    return found


def _sides(root: Path) -> dict[str, Split]:
    """The sides of songs by lists filelists/train, valid and test, of names with or without suffix."""
    if not (root / LISTS).is_dir():
        return {}
    return {
        Path(line.strip()).stem: WORDS[table.stem]
        for table in sorted((root / LISTS).iterdir())
        if table.stem in WORDS and table.is_file()
        for line in text_of(table)
        if line.strip()
    }


def _is_ours(lab: Path) -> bool:
    try:
        return bool(_stretches(lab))
    except Unusable:
        return any(word in line.split() for line in lab.read_bytes().decode("latin-1").splitlines() for word in LABELS)


register(
    Layout(
        "jamendo",
        "singing",
        recognise,
        read,
        marks="songs with .lab files 'start end sing|nosing', or {train,valid,test}/{sing,nosing}",
    )
)
