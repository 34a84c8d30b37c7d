"""A folder per class: `root/<label>/**/<recording>`; each file is a group of its own."""

from __future__ import annotations

from pathlib import Path

from xfer.runtime.audio import SUFFIXES
from xfer.train.data.clips import Clip
from xfer.train.data.layouts.registry import Found, Layout, register


def recordings_under(folder: Path) -> list[Path]:
    """All recordings in a folder and below it, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def recognise(root: Path) -> bool:
    """Some folder in it holds a recording."""
    return any(recordings_under(folder) for folder in _classes(root))


def read(root: Path) -> Found:
    """Label: the folder's name. Names that begin with `_` or `.` are no classes."""
    return Found(
        [
            Clip(path, folder.name, path.relative_to(root).as_posix())
            for folder in _classes(root)
            for path in recordings_under(folder)
        ]
    )


def _classes(root: Path) -> list[Path]:
    return sorted(child for child in root.iterdir() if child.is_dir() and child.name[0] not in "_.")


register(Layout("folders", "sound", recognise, read, last_resort=True))
