"""GTZAN: music in ten genres, `genres/<genre>/<genre>.NNNNN.au` (or .wav, `genres_original/`).

No split is published. Its faults were catalogued by B. L. Sturm (An Analysis of the GTZAN Music Genre Dataset, MIRUM
2012): 50 exact copies, one of them under another genre. They are kept together as one group here, so that none stands
on both sides of a split. The mislabelled are many and disputed: labels are left as published.
"""

from __future__ import annotations

import re
from pathlib import Path

from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tree import first_few, names_in, problem, recordings_under
from xfer.train.data.problems import Problem

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
PLACES = ("", "genres", "genres_original", "Data/genres_original")
COPIES: dict[str, tuple[tuple[int, ...], ...]] = {
    "disco": ((50, 51, 70), (55, 60, 89), (71, 74), (98, 99)),
    "hiphop": ((39, 45), (76, 78)),
    "jazz": tuple(
        zip(
            (33, 34, 35, 36, 37, 38, 39, 40, 42, 43, 44, 45, 46),
            (51, 53, 55, 58, 60, 62, 65, 67, 68, 69, 70, 71, 72),
            strict=True,
        )
    ),
    "metal": ((4, 13), (34, 94), (40, 61), (41, 62), (42, 63), (43, 64), (44, 65), (45, 66)),
    "pop": ((15, 22), (30, 31), (45, 46), (47, 80), (52, 57), (54, 60), (56, 59), (67, 71), (87, 90)),
    "reggae": ((3, 54), (5, 56), (8, 57), (10, 60), (13, 58), (41, 69), (73, 74), (75, 91, 92), (80, 81, 82)),
}
"""Numbers of the recordings that are exact copies of one another (Sturm 2012, table 2)."""
TWO_GENRES = ("metal.00058", "rock.00016")
"""One recording under two genres (Sturm 2012)."""
DISTORTED = "reggae.00086"
"""Noise but for five seconds (Sturm 2012)."""
_NAME = re.compile(rf"({'|'.join(GENRES)})\.(\d{{5}})\.(au|wav)")


def recognise(root: Path) -> bool:
    """Folders of genres with recordings named as GTZAN's."""
    return _place(root) is not None


def read(root: Path) -> Found:
    """Label: the genre. Group: the recording, with its known copies."""
    place = _place(root) or root
    first = {
        f"{genre}.{number:05}": f"{genre}.{group[0]:05}"
        for genre, groups in COPIES.items()
        for group in groups
        for number in group
    }
    first[TWO_GENRES[1]] = TWO_GENRES[0]
    problems: list[Problem] = []
    clips: list[Clip] = []
    for genre in GENRES:
        if (place / genre).is_dir():
            walk = recordings_under(place / genre)
            problems += walk.problems
            clips += [Clip(path, genre, first.get(path.stem, path.stem)) for path in walk.paths]
    named = {clip.path.stem: clip.path for clip in clips}
    notes = [
        "no split is published: one is drawn; the 50 known exact copies are grouped, so that no split divides them"
    ]
    if all(name in named for name in TWO_GENRES):
        pair = tuple(named[name] for name in TWO_GENRES)
        problems.append(problem(f"{pair[0]} and {pair[1]} are one recording under two genres: remove one", pair))
    if DISTORTED in named:
        problems.append(problem(f"{named[DISTORTED]} is known to be noise but for five seconds", [named[DISTORTED]]))
    if "jazz.00054" in named:
        notes.append("jazz.00054 is known to be unreadable in some copies of GTZAN; the check tells whether it is here")
    missing = [f"{genre}.{n:05}" for genre in GENRES for n in range(100) if f"{genre}.{n:05}" not in named]
    if missing:
        problems.append(problem(f"{len(missing)} of GTZAN's 1000 recordings are not here: {first_few(missing)}", []))
    return Found(clips, problems=tuple(problems), notes=tuple(notes))


def _place(root: Path) -> Path | None:
    """The folder of the genres' folders."""
    for place in PLACES:
        folder = root / place
        if any(
            (match := _NAME.fullmatch(name)) and match[1] == genre
            for genre in GENRES
            for name in names_in(folder / genre)
        ):
            return folder
    return None


register(
    Layout("gtzan", "genre", recognise, read, marks="genres/<genre>/<genre>.NNNNN.au or .wav, also genres_original/")
)
