"""A manifest: a CSV or JSON-lines table of one's own, `path,label` and what else is known of each clip.

Columns beyond these two, all optional: group, split, fold, offset and duration (seconds), task (the same in all rows),
and `value:NAME` for each number to predict. Paths are relative to the manifest's folder, or absolute.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip, Split
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tables import Row, absent, rows_of, text_lines
from xfer.train.data.layouts.tree import is_text

NAMES = ("manifest.csv", "manifest.jsonl")
NEEDED = ("path", "label")
VALUE = "value:"


def recognise(root: Path) -> bool:
    """A .csv or .jsonl file, or a folder with manifest.csv or manifest.jsonl."""
    return (
        root.suffix.lower() in {".csv", ".jsonl"} if root.is_file() else any((root / name).is_file() for name in NAMES)
    )


def read(root: Path) -> Found:
    """Label, group and all else as the rows say; the group of a row without one is its file."""
    table = root if root.is_file() else next((root / name for name in NAMES if (root / name).is_file()), None)
    if table is None:
        raise Unusable(f"{root} holds neither {' nor '.join(NAMES)}")
    clips: list[Clip] = []
    missing: list[str] = []
    files: dict[str, Path | None] = {}
    """Each file is asked for, and its path held, once."""
    names: tuple[str, ...] | None = None
    columns: dict[str, int] = {}
    task, count = "", 0
    for row in _objects(table) if table.suffix.lower() == ".jsonl" else rows_of(table, NEEDED):
        count += 1
        name, label = row["path"], row["label"]
        if not name or not label:
            raise row.wrong(f"{'label' if name else 'path'} is empty")
        if name not in files:
            path = table.parent / name
            files[name] = path if os.path.isfile(path) else None  # noqa: PTH113  is_file raises for a name too long
        if row.columns is not columns:  # the rows of a CSV share theirs
            columns = row.columns
            mine = tuple(sorted(column[len(VALUE) :] for column in columns if column.startswith(VALUE)))
            if names not in (None, mine):
                raise row.wrong(
                    f"values {', '.join(mine) or 'none'} differ from the rows before, {', '.join(names or ())}"
                )
            names = mine
        told = _optional(row, "task") or task
        if task and told != task:
            raise row.wrong(f"task {told!r} differs from the rows before, {task!r}: a manifest has one task")
        task = told
        clip = _clip(row, files[name] or Path(name), name, label, names or ())
        if files[name] is None:
            missing.append(name)
        else:
            clips.append(clip)
    return Found(
        clips,
        value_names=names or (),
        problems=absent(table, missing, count, table.parent),
        task=task,
    )


def _clip(row: Row, path: Path, name: str, label: str, values: tuple[str, ...]) -> Clip:
    """The clip of a row. Raises Unusable for what cannot be."""
    split: Split | None = row.side("split") if _optional(row, "split") else None
    offset = row.number("offset") if _optional(row, "offset") else 0.0
    duration = row.number("duration") if _optional(row, "duration") else None
    if offset < 0 or (duration is not None and duration <= 0):
        raise row.wrong("offset is not to be below 0, and duration is to be above 0")
    return Clip(
        path,
        sys.intern(label),
        sys.intern(_optional(row, "group") or name),
        split,
        offset,
        duration,
        row.whole("fold") if _optional(row, "fold") else None,
        tuple(row.number(VALUE + value) for value in values),
    )


def _optional(row: Row, column: str) -> str:
    return row[column] if column in row.columns else ""


def _objects(table: Path) -> Iterator[Row]:
    """The rows of a JSON-lines table. Raises Unusable."""
    empty = True
    for number, line in enumerate(text_lines(table), start=1):
        if not line.strip():
            continue
        empty = False
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or any(isinstance(cell, dict | list) for cell in found.values()):
            raise Unusable(f"{table}, line {number}: is no JSON object of plain values")
        known = {key: str(cell) for key, cell in found.items() if cell is not None}
        if not is_text("".join(known.values())):
            raise Unusable(f"{table}, line {number}: holds half of a character (a lone surrogate)")
        for column in NEEDED:
            if column not in known:
                raise Unusable(f"{table}, line {number}: lacks {column!r}")
        yield Row(table, number, list(known.values()), {key: i for i, key in enumerate(known)})
    if empty:
        raise Unusable(f"{table} is empty: a line is an object with {' and '.join(NEEDED)}")


register(
    Layout(
        "manifest",
        "sound",
        recognise,
        read,
        marks="a .csv or .jsonl file with the columns path and label, or a folder with manifest.csv or manifest.jsonl",
        explicit=True,
        files=True,
    )
)
