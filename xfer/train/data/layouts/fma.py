"""FMA: music, `fma_{small,medium,large,full}/NNN/NNNNNN.mp3` and `fma_metadata/tracks.csv`.

The table has two header rows and a row that names the index.

Label: genre_top; tracks without one are left out. The published split keeps artists apart. Subsets are nested: medium
is the rows that say small or medium (FACTS.md section 7).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tables import Row, absent, rows_of, unlisted
from xfer.train.data.layouts.tree import folders_in, names_in, recordings_under
from xfer.train.data.problems import Problem

TABLE = "fma_metadata/tracks.csv"
SUBSETS = ("small", "medium", "large", "full")
"""Each holds the ones before it."""
_TRACK = re.compile(r"\d{6}\.mp3")


def recognise(root: Path) -> bool:
    """FMA's table, or its folders of audio."""
    return (root / TABLE).is_file() or bool(_audio_folders(root)) or _is_audio(root)


def read(root: Path) -> Found:
    """Label: the top genre. Group: the artist."""
    if not (root / TABLE).is_file():
        above = (root.parent / TABLE).is_file()
        raise Unusable(
            f"{root} is FMA's audio without {TABLE}, which has genres and split: "
            + (f"give the folder that holds both, {root.parent}" if above else "unpack fma_metadata.zip beside it")
        )
    folders = _audio_folders(root)
    files: dict[int, Path] = {}
    problems: list[Problem] = []
    twice = 0
    for folder in folders:
        walk = recordings_under(folder)
        problems += walk.problems
        for path in walk.paths:
            if path.stem.isdecimal():
                twice += int(path.stem) in files
                files.setdefault(int(path.stem), path)
    subset = max((SUBSETS.index(folder.name[4:]) for folder in folders if folder.name[4:] in SUBSETS), default=None)
    clips, missing, listed, nameless = [], [], 0, 0
    known: set[int] = set()
    needed = ("set.split", "track.genre_top", "artist.name")
    for row in rows_of(root / TABLE, needed, headers=2, skipped=1):
        track = _track(row)
        known.add(track)
        expected = subset is not None and (
            "set.subset" not in row.columns or row["set.subset"] in SUBSETS[: subset + 1]
        )
        listed += expected or track in files
        if track not in files:
            if expected or not files:
                missing.append(f"{track // 1000:03}/{track:06}.mp3")
        elif not row["track.genre_top"]:
            nameless += 1
        else:
            genre, artist = sys.intern(row["track.genre_top"]), sys.intern(row["artist.name"] or f"track {track}")
            clips.append(Clip(files[track], genre, artist, row.side("set.split")))
    where = root / (f"fma_{SUBSETS[subset]}" if subset is not None else "fma_small")
    if not files:
        listed = len(missing)
    problems += absent(root / TABLE, missing, listed, where)
    problems += unlisted(root / TABLE, [path for track, path in files.items() if track not in known])
    notes = ["the published split is kept"]
    if nameless:
        notes.append(f"{nameless} tracks without a top genre are left out")
    if twice:
        notes.append(f"{twice} recordings are in two of the folders {', '.join(f.name for f in folders)}: read once")
    return Found(clips, problems=tuple(problems), notes=tuple(notes))


def _track(row: Row) -> int:
    """The track's number, in the first column."""
    if not row.cells[0].isdecimal():
        raise row.wrong(f"track_id {row.cells[0][:40]!r} is no whole number")
    return int(row.cells[0])


def _audio_folders(root: Path) -> list[Path]:
    return [each for each in folders_in(root) if each.name.startswith("fma_") and each.name != "fma_metadata"]


def _is_audio(root: Path) -> bool:
    """Is this one of the audio folders, with its folders 000 to 155?"""
    folders = [each for each in folders_in(root) if re.fullmatch(r"\d{3}", each.name)]
    return any(
        _TRACK.fullmatch(name) and name[:3] == folder.name for folder in folders[:5] for name in names_in(folder)
    )


register(
    Layout("fma", "genre", recognise, read, marks=f"{TABLE}, and fma_small, _medium, _large or _full /NNN/NNNNNN.mp3")
)
