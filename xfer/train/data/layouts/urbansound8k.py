"""UrbanSound8K: slices of street sounds, `audio/fold{1..10}/*.wav` and `metadata/UrbanSound8K.csv`.

Ten folds are published. The highest fold that is there is the test side, the next one validates, the others train.
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
from xfer.train.data.layouts.tree import folders_in, recordings_under

TABLE = "metadata/UrbanSound8K.csv"
_FOLD = re.compile(r"fold\d+")


def recognise(root: Path) -> bool:
    """UrbanSound8K's table, or its folders of audio."""
    return (root / TABLE).is_file() or bool(_folds(root / "audio") or _folds(root))


def read(root: Path) -> Found:
    """Label: the class. Group: the Freesound recording that the slice was cut from."""
    table, audio = root / TABLE, root / "audio"
    if not table.is_file():
        above = next((folder for folder in root.absolute().parents[:2] if (folder / TABLE).is_file()), None)
        raise Unusable(
            f"{root} holds folds of audio without {TABLE}, which has the classes: "
            + (f"give the folder that holds both, {above}" if above else "put UrbanSound8K's table there")
        )
    walk = recordings_under(audio)
    there = {str(path): path for path in walk.paths}
    clips: list[Clip] = []
    missing: list[str] = []
    rows, listed = 0, set[str]()
    for row in rows_of(table, ("slice_file_name", "fold", "class", "fsID")):
        fold = row.whole("fold")
        name = str(audio / f"fold{fold}" / row["slice_file_name"])
        rows += 1
        listed.add(name)
        if name in there:
            clips.append(Clip(there[name], sys.intern(row["class"]), sys.intern(row["fsID"]), fold=fold))
        else:
            missing.append(name)
    problems = (*walk.problems, *absent(table, missing, rows, audio))
    problems += unlisted(table, [path for name, path in there.items() if name not in listed])
    placed, notes = on_sides(clips)
    return Found(placed, problems=problems, notes=notes)


def _folds(folder: Path) -> list[Path]:
    return [each for each in folders_in(folder) if _FOLD.fullmatch(each.name)]


register(Layout("urbansound8k", "sound", recognise, read, marks=f"{TABLE}, and audio/fold1 to audio/fold10"))
