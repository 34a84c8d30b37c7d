"""A split as a table `split.csv`: a run writes it, and another training can be given it."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from xfer.runtime.atomic import write_atomically
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.data.clips import SPLITS, DataSet, Split
from xfer.train.data.splits.identity import Identity, identity

NAME = "split.csv"
COLUMNS = ("path", "member", "offset", "label", "group", "fold", "split")
NEEDED = {"path", "split"}
_WAY_OUT = "give the split of this very data, or leave data.split_file out to make a new one"


def write_split(data: DataSet, path: Path) -> None:
    """Write the side of every clip as CSV, atomically; an empty side: left out of the training.

    Raises OSError where it cannot be written.
    """
    table = io.StringIO(newline="")
    rows = csv.writer(table)  # lines end in CR LF: with LF alone it would not quote a CR inside a name
    rows.writerow(COLUMNS)
    for clip in data.clips:
        name = identity(data.root, clip)
        fold = "" if clip.fold is None else clip.fold
        rows.writerow((name.path, name.member, f"{clip.offset!r}", clip.label, clip.group, fold, clip.split or ""))
    # Names of files need not be valid UTF-8 on Linux.
    write_atomically(Path(path), table.getvalue().encode(errors="surrogateescape"))


def read_split(data: DataSet, path: Path) -> DataSet:
    """The data set with every clip on the side where a table has it; a run's folder stands for its `split.csv`.

    Raises FileNotThere; Unusable for what is no such table, and for one that does not list exactly these clips.
    """
    path = Path(path)
    if path.is_dir():
        path = path / NAME
    if not path.is_file():
        raise FileNotThere(f"no split at {path}: a training writes {NAME} into its run; check the path")
    sides = _sides(path)
    clips = []
    missing: list[Identity] = []
    for clip in data.clips:
        name = identity(data.root, clip)
        if sides.get(name):
            clips.append(replace(clip, split=sides[name].pop(0)))
        else:
            missing.append(name)
    unknown = [name for name, left in sides.items() for _ in left]
    if missing:
        raise Unusable(
            f"{path} says nothing of {len(missing)} of the {len(data.clips)} clips of {data.name}, "
            f"the first is {_shown(missing[0])}: {_WAY_OUT}"
        )
    if unknown:
        raise Unusable(
            f"{path} lists {len(unknown)} clips that {data.name} does not have or that cannot be used, "
            f"the first is {_shown(unknown[0])}: {_WAY_OUT}"
        )
    return data.with_clips(tuple(clips))


def listed_in(data: DataSet, path: Path) -> DataSet:
    """The clips of the data set that a run trained or measured with, each on its side there: bad ones are left out.

    Raises FileNotThere and Unusable as `read_split` does.
    """
    sides = _sides(path)
    names = ((clip, identity(data.root, clip)) for clip in data.clips)
    return data.with_clips(tuple(replace(clip, split=sides[name].pop(0)) for clip, name in names if sides.get(name)))


def _sides(path: Path) -> dict[Identity, list[Split | None]]:
    """The side of each clip; a list, since a data set may list one stretch of a file twice."""
    known: dict[str, Split | None] = {"": None} | {side: side for side in SPLITS}
    found: dict[Identity, list[Split | None]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
            reader = csv.DictReader(lines, strict=True)
            lacking = sorted(NEEDED - set(reader.fieldnames or ()))
            if lacking:
                raise Unusable(
                    f"{path} is no split: it lacks the column {lacking[0]!r} (columns: {', '.join(COLUMNS)})"
                )
            for row in reader:
                side = (row["split"] or "").strip()
                if side not in known:
                    raise Unusable(
                        f"{path}, line {reader.line_num}: split {side!r} is none of {', '.join(SPLITS)} or nothing"
                    )
                name = Identity(row["path"] or "", row.get("member") or "", float(row.get("offset") or 0.0))
                found[name].append(known[side])
    except csv.Error as error:
        raise Unusable(f"{path}, line {reader.line_num}, is no CSV ({error}): {_WAY_OUT}") from None
    except ValueError as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(f"{path}, line {reader.line_num}: the offset is no number of seconds: {_WAY_OUT}") from None
    return found


def _shown(name: Identity) -> str:
    return name.path + (f"/{name.member}" if name.member else "") + (f" at {name.offset:g} s" if name.offset else "")
