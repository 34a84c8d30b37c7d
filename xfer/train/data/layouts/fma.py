"""FMA: music, `fma_*/NNN/NNNNNN.mp3` and `fma_metadata/tracks.csv` with its two header rows and its index row.

Label: genre_top; tracks without one, or without a file here, are left out. The published split keeps artists apart.
"""

from __future__ import annotations

import csv
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip
from xfer.train.data.layouts.folders import recordings_under
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.splits import WORDS

TABLE = "fma_metadata/tracks.csv"
NEEDED = (("set", "split"), ("track", "genre_top"), ("artist", "name"))


def recognise(root: Path) -> bool:
    """FMA's table."""
    return (root / TABLE).is_file()


def read(root: Path) -> Found:
    """Label: the top genre. Group: the artist."""
    files = {
        int(path.stem): path
        for folder in sorted(root.glob("fma_*"))
        if folder.name != "fma_metadata"
        for path in recordings_under(folder)
        if path.stem.isdecimal()
    }
    with (root / TABLE).open(newline="", encoding="utf-8") as lines:
        reader = csv.reader(lines)
        header = list(zip(next(reader, []), next(reader, []), strict=False))
        for names in NEEDED:
            if names not in header:
                raise Unusable(f"{root / TABLE} lacks the column {names}; its first two rows name the columns")
        side, genre, artist = (header.index(names) for names in NEEDED)
        next(reader, None)  # the row that names the index column
        return Found(
            [
                Clip(files[int(row[0])], row[genre], row[artist] or row[0], WORDS.get(row[side], "train"))
                for row in reader
                if row and row[0].isdecimal() and int(row[0]) in files and row[genre]
            ]
        )


register(Layout("fma", "genre", recognise, read))
