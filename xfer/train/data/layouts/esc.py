"""ESC-50 and ESC-10: environmental sounds, `audio/*.{wav,ogg}` and `meta/esc50.csv`; five folds are published.

The highest fold that is there is the test side, the next one validates, the others train. ESC-10 is ten of the fifty
classes: `--layout esc10` takes them from a whole ESC-50; a folder that holds no others reads so by itself. The first
release of ESC-10 has folders "001 - Dog bark" instead of a table.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip
from xfer.train.data.layouts.folds import on_sides
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tables import absent, rows_of, unlisted
from xfer.train.data.layouts.tree import folders_in, names_in, recordings_under

TABLE = "meta/esc50.csv"
TEN = {
    "Dog bark": "dog",
    "Rain": "rain",
    "Sea waves": "sea_waves",
    "Baby cry": "crying_baby",
    "Clock tick": "clock_tick",
    "Person sneeze": "sneezing",
    "Helicopter": "helicopter",
    "Chainsaw": "chainsaw",
    "Rooster": "rooster",
    "Fire crackling": "crackling_fire",
}
"""The first release's folders, and ESC-50's names of the same classes."""
_FOLDER = re.compile(r"\d{3} - (.+)")
_NAME = re.compile(r"(\d)-(\d+)-[A-Z](-\d+)?\.(wav|ogg)")


def recognise_50(root: Path) -> bool:
    """ESC's table, or its audio, unless it is ESC-10 alone."""
    return ((root / TABLE).is_file() or _is_audio(root)) and not recognise_10(root)


def recognise_10(root: Path) -> bool:
    """ESC's table with recordings of the ten classes alone, or the first release's folders."""
    if not (root / TABLE).is_file():
        return bool(_first_release(root))
    try:
        there = set(names_in(root / "audio"))
        here = {row["category"] for row in rows_of(root / TABLE, ("filename", "category")) if row["filename"] in there}
    except Unusable:  # reading it tells what is wrong
        return False
    return bool(here) and here <= set(TEN.values())


def read_50(root: Path) -> Found:
    """Label: the category. Group: the Freesound recording that the clip was cut from."""
    return _read(root, only_ten=False)


def read_10(root: Path) -> Found:
    """As ESC-50, the ten classes alone."""
    if not (root / TABLE).is_file() and (folders := _first_release(root)):
        return _read_first_release(folders)
    return _read(root, only_ten=True)


def _read(root: Path, only_ten: bool) -> Found:
    table, audio = root / TABLE, root / "audio"
    if not table.is_file():
        raise Unusable(f"{root} lacks {TABLE}, which has the classes: put ESC-50's table there")
    walk = recordings_under(audio) if audio.is_dir() else None
    there = {path.name: path for path in walk.paths} if walk else {}
    clips: list[Clip] = []
    missing: list[str] = []
    rows, listed = 0, set[str]()
    for row in rows_of(table, ("filename", "fold", "category", "src_file")):
        name, label, fold = row["filename"], sys.intern(row["category"]), row.whole("fold")
        listed.add(name)
        if only_ten and label not in TEN.values():
            continue
        rows += 1
        if name in there:
            clips.append(Clip(there[name], label, sys.intern(row["src_file"]), fold=fold))
        else:
            missing.append(str(audio / name))
    problems = (*(walk.problems if walk else ()), *absent(table, missing, rows, audio))
    problems += unlisted(table, [path for name, path in there.items() if name not in listed])
    placed, notes = on_sides(clips)
    return Found(placed, problems=problems, notes=notes)


def _first_release(root: Path) -> dict[str, Path]:
    """The folders of ESC-10's first release by their class; empty where this is not it."""
    found: dict[str, Path] = {}
    for folder in folders_in(root):
        match = _FOLDER.fullmatch(folder.name)
        if match and match[1] in TEN and any(_NAME.fullmatch(name) for name in names_in(folder)):
            found[TEN[match[1]]] = folder
    return found


def _read_first_release(folders: dict[str, Path]) -> Found:
    clips = []
    for label, folder in folders.items():
        for path in recordings_under(folder).paths:
            if match := _NAME.fullmatch(path.name):
                clips.append(Clip(path, label, match[2], fold=int(match[1])))
    placed, notes = on_sides(clips)
    return Found(placed, notes=notes)


def _is_audio(root: Path) -> bool:
    """Is there a folder `audio` of recordings named as ESC-50's?"""
    return any(_NAME.fullmatch(name) for name in names_in(root / "audio"))


register(
    Layout("esc50", "sound", recognise_50, read_50, marks=f"{TABLE} and audio/{{fold}}-{{id}}-...", aliases=("esc",))
)
register(
    Layout(
        "esc10",
        "sound",
        recognise_10,
        read_10,
        marks=f"{TABLE} with recordings of ESC-10's classes alone, or folders '001 - Dog bark'",
    )
)
