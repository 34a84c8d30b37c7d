"""The registry of layouts: how a data set's own form is recognised and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xfer.runtime.errors import FileNotThere, Unusable, nearest
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.layouts.tree import shown
from xfer.train.data.problems import Problem
from xfer.train.data.shards import fetch_shards, is_remote
from xfer.train.data.splits import listed_split

TASK_NETS = {
    "speaker": "rawnet2",
    "genre": "convnet",
    "sound": "convnet",
    "command": "convnet",
    "emotion": "convnet",
    "singing": "convnet",
    "music_speech": "convnet",
}
"""The net that a task trains unless the user says otherwise."""


@dataclass(frozen=True)
class Found:
    """What a layout found in a folder."""

    clips: Sequence[Clip]
    """With the published split or fold where there is one."""
    background: tuple[Path, ...] = ()
    value_names: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    licence: str = "unknown"
    attribution: str = ""
    notes: tuple[str, ...] = ()
    task: str = ""
    """The task that the data itself names; empty: the layout's."""


@dataclass(frozen=True)
class Layout:
    """One published form of a data set."""

    name: str
    task: str
    recognise: Callable[[Path], bool]
    """Do this folder's own marks show this layout? What is here only in part is recognised too, so that `read` can
    say what is missing."""
    read: Callable[[Path], Found]
    """Raises Unusable where the metadata cannot be read, or it or the audio is missing."""
    marks: str = ""
    """By what it is recognised, in words."""
    last_resort: bool = False
    """Its marks are weak: tried after all others."""
    explicit: bool = False
    """Its mark is the user's own doing: tried before all others."""
    files: bool = False
    """Can a file, not only a folder, be this data set?"""
    aliases: tuple[str, ...] = ()
    """Former names."""


LAYOUTS: dict[str, Layout] = {}


def register(layout: Layout) -> None:
    """Add a layout; its file does so when it is imported."""
    LAYOUTS[layout.name] = layout


def describe() -> list[tuple[str, str]]:
    """Every layout's name and, in words, the marks by which it is recognised."""
    return [(layout.name, layout.marks) for layout in _ordered()]


def read(root: Path | str, layout: str | None = None, task: str | None = None, net: str | None = None) -> DataSet:
    """Read a data set in the form in which it stands.

    `root` is a folder, a file where a layout takes one (a manifest), or the address of shards
    (`shards.fetch_shards`). `layout`, `task` and `net` force what its marks would choose. A table `files.csv` (path,
    split) in the folder gives the split where the layout has none.
    Raises FileNotThere, or Unusable for an unknown layout, a folder in which no layout finds a recording, or
    metadata that cannot be used.
    """
    root = fetch_shards(str(root)) if is_remote(root) else Path(root)
    try:
        _must_be_there(root)
        found = _named(layout) if layout else _recognised(root)
        if root.is_file() and not found.files:
            raise Unusable(f"{root} is a file; the layout {found.name} is a folder: {found.marks}")
        result = found.read(root)
        folder = root.parent if root.is_file() else root
        clips = list(result.clips)
        if not clips:
            raise Unusable(
                f"{root}, read as {found.name}, holds no recording: check the folder, or force another --layout"
                + "".join(f"; {problem.message}" for problem in result.problems[:1])
            )
        if all(clip.split is None for clip in clips) and (listed := listed_split(folder)):
            clips = [replace(clip, split=listed.get(_relative(clip.path, folder))) for clip in clips]
            result = replace(result, notes=(*result.notes, "the split is the one of files.csv"))
    except PermissionError as error:
        raise Unusable(
            f"{error.filename or root} cannot be read (permission denied): mend it with chmod -R u+rX, or as its owner"
        ) from None
    task = task or result.task or found.task
    return DataSet(
        name=root.resolve().stem if root.is_file() else root.resolve().name,
        root=folder,
        layout=found.name,
        task=task,
        net=net or TASK_NETS.get(task, "convnet"),
        clips=tuple(clips),
        licence=result.licence,
        attribution=result.attribution,
        notes=result.notes,
        background=result.background,
        value_names=result.value_names,
        problems=result.problems,
    )


def _must_be_there(root: Path) -> None:
    """Raises FileNotThere; also PermissionError, so that what cannot be read is not called missing or empty."""
    try:
        root.stat()
        if root.is_dir():
            os.scandir(root).close()
    except PermissionError:
        raise
    except (OSError, ValueError):  # also a name that nothing could have
        raise FileNotThere(f"no data at {shown(root)}: check the path") from None


def _ordered() -> list[Layout]:
    return sorted(LAYOUTS.values(), key=lambda each: (not each.explicit, each.last_resort))


def _named(name: str) -> Layout:
    known = {alias: each for each in LAYOUTS.values() for alias in (*each.aliases, each.name)}
    if name not in known:
        raise Unusable(f"no layout is called {name!r}: {nearest(name, known)}")
    return known[name]


def _recognised(root: Path) -> Layout:
    is_file = root.is_file()
    found = next((each for each in _ordered() if (each.files or not is_file) and each.recognise(root)), None)
    if found is not None:
        return found
    if is_file:
        raise Unusable(
            f"{root} is a file; a data set is a manifest (.csv or .jsonl), or a folder, for instance one with a folder "
            "of recordings per class"
        )
    raise Unusable(
        f"{root} is no data set in a form known here ({', '.join(LAYOUTS)}): "
        "put each class's recordings into a folder of its own"
    )


def _relative(path: Path, folder: Path) -> str:
    """The path below `folder`, with forward slashes; as it is where it lies elsewhere."""
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()
