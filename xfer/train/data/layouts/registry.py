"""The registry of layouts: how a data set's own form is recognised and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xfer.runtime.errors import FileNotThere, Unusable, nearest
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.problems import Problem
from xfer.train.data.splits import listed_split

TASK_NETS = {"speaker": "rawnet2", "genre": "convnet", "sound": "convnet", "command": "convnet"}
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


@dataclass(frozen=True)
class Layout:
    """One published form of a data set."""

    name: str
    task: str
    recognise: Callable[[Path], bool]
    """Do this folder's own marks show this layout?"""
    read: Callable[[Path], Found]
    """Raises Unusable where the metadata cannot be read."""
    last_resort: bool = False
    """Its marks are weak: tried after all others."""


LAYOUTS: dict[str, Layout] = {}


def register(layout: Layout) -> None:
    """Add a layout; its file does so when it is imported."""
    LAYOUTS[layout.name] = layout


def read(root: Path, layout: str | None = None, task: str | None = None, net: str | None = None) -> DataSet:
    """Read a data set in the form in which it stands.

    `layout`, `task` and `net` force what the folder's marks would choose. A table `files.csv` (path, split) in the
    folder gives the split where the layout itself has none.
    Raises FileNotThere, or Unusable for an unknown layout or a folder in which no layout finds a recording.
    """
    root = Path(root)
    if not root.exists():
        raise FileNotThere(f"no data at {root}: check the path")
    if not root.is_dir():
        raise Unusable(
            f"{root} is a file; a data set is a folder, for instance one with a folder of recordings per class"
        )
    if layout is None:
        ordered = sorted(LAYOUTS.values(), key=lambda each: each.last_resort)
        found = next((each for each in ordered if each.recognise(root)), None)
        if found is None:
            raise Unusable(
                f"{root} is no data set in a form known here ({', '.join(LAYOUTS)}): "
                "put each class's recordings into a folder of its own"
            )
    elif layout in LAYOUTS:
        found = LAYOUTS[layout]
    else:
        raise Unusable(f"no layout is called {layout!r}: {nearest(layout, LAYOUTS)}")
    result = found.read(root)
    clips = list(result.clips)
    if not clips:
        raise Unusable(f"{root}, read as {found.name}, holds no recording: check the folder, or force another --layout")
    if all(clip.split is None for clip in clips) and (listed := listed_split(root)):
        clips = [replace(clip, split=listed.get(clip.path.relative_to(root).as_posix())) for clip in clips]
    task = task or found.task
    return DataSet(
        name=root.resolve().name,
        root=root,
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
