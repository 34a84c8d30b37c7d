"""What publishers say of the three sides: their words for them, and the table `files.csv`."""

from __future__ import annotations

import csv
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Split

WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""How data sets write the three sides."""


def listed_split(root: Path, name: str = "files.csv") -> dict[str, Split]:
    """The split that a data set gives in a table `files.csv` with the columns path and split; empty without one.

    Keys are paths relative to `root`, with forward slashes.
    """
    table = root / name
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as rows:
        reader = csv.DictReader(rows)
        if not {"path", "split"} <= set(reader.fieldnames or ()):
            return {}
        found: dict[str, Split] = {}
        for line, row in enumerate(reader, start=2):
            if row["split"] not in WORDS:
                raise Unusable(f"{table}, line {line}: split {row['split']!r} is none of {', '.join(WORDS)}")
            found[row["path"]] = WORDS[row["split"]]
        return found
