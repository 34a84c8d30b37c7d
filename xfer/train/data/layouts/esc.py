"""ESC-50 and ESC-10: environmental sounds, `audio/*.{wav,ogg}` and `meta/esc50.csv`; five folds are published.

The highest fold that is there is the test side, the next one validates, the others train.
"""

from __future__ import annotations

import csv
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip, Split
from xfer.train.data.layouts.registry import Found, Layout, register

TABLE = "meta/esc50.csv"
COLUMNS = {"filename", "fold", "category", "src_file"}


def recognise(root: Path) -> bool:
    """ESC's table."""
    return (root / TABLE).is_file()


def read(root: Path) -> Found:
    """Label: the category. Group: the Freesound recording that the clip was cut from."""
    with (root / TABLE).open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = COLUMNS - set(reader.fieldnames or ())
        if missing:
            raise Unusable(f"{root / TABLE} lacks the column {sorted(missing)[0]!r}")
        rows = list(reader)
    try:
        folds = sorted({int(row["fold"]) for row in rows})
    except ValueError:
        raise Unusable(f"{root / TABLE}: a fold is no number") from None
    if len(folds) < 3:
        raise Unusable(f"{root / TABLE} has {len(folds)} folds; three or more are needed to train, validate and test")
    sides: dict[int, Split] = {folds[-1]: "test", folds[-2]: "validation"}
    return Found(
        [
            Clip(
                root / "audio" / row["filename"],
                row["category"],
                row["src_file"],
                sides.get(int(row["fold"]), "train"),
            )
            for row in rows
        ]
    )


register(Layout("esc", "sound", recognise, read))
