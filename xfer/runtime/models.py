"""Model files by their task: where they are looked for, what is there, and loading one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import xfer
from xfer.runtime.card import Card
from xfer.runtime.engines import FORMATS, Array, Engine, Outputs, open_engine, read_card
from xfer.runtime.errors import NotThere, Unusable, XferError, nearest
from xfer.runtime.home import home

TASKS = ("speaker", "genre", "sound", "command")
"""Tasks that xfer knows by itself; a model may bring another."""


@dataclass(frozen=True)
class Model:
    """A model file that is loaded."""

    card: Card
    engine: Engine
    path: Path

    def run(self, windows: Array) -> Outputs:
        """Windows, float32 (n, window), to outputs."""
        return self.engine.run(windows)


@dataclass(frozen=True)
class Found:
    """A model file that lies in one of the places."""

    path: Path
    card: Card | None
    """None where the file cannot be used."""
    problem: str = ""
    """Why it cannot be used."""

    @property
    def size(self) -> int:
        """Bytes on disk."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files if file.is_file())


def places() -> list[Path]:
    """Folders that are searched, first come first: here, $XFER_MODELS, the user's, those that ship."""
    folders = [Path("models")]
    folders += [Path(entry) for entry in os.environ.get("XFER_MODELS", "").split(os.pathsep) if entry]
    folders += [home() / "models", shipped_models()]
    seen: dict[Path, Path] = {}
    for folder in folders:
        seen.setdefault(folder.resolve(), folder)
    return list(seen.values())


def shipped_models() -> Path:
    """`xfer/models` of a wheel, or `models` of a checkout (also of an editable install)."""
    package = Path(xfer.__file__).resolve().parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def find_models() -> list[Found]:
    """Every model file in the places, in the order in which they are looked for; broken ones with their problem."""
    found = []
    for folder in places():
        for path in _model_files(folder):
            try:
                found.append(Found(path, read_card(path)))
            except XferError as error:
                found.append(Found(path, None, str(error)))
    return found


def find_model(task: str) -> Path:
    """The model file for a task: in the first place that has one, `<task>.*` before other names.

    Raises Unusable for a task that nobody knows, or where `<task>.*` is broken; NotThere where no place has a model.
    """
    tasks = set(TASKS)
    for folder in places():
        own = [path for path in _model_files(folder) if _stem(path) == task]
        others = [path for path in _model_files(folder) if _stem(path) != task]
        for path in own:
            if read_card(path).task == task:
                return path
        for path in others:
            try:
                found = read_card(path).task
            except XferError:  # somebody else's file; `xfer models` names it
                continue
            if found == task:
                return path
            tasks.add(found)
    if task not in tasks:
        raise Unusable(f"task {task!r} is not known: {nearest(task, sorted(tasks))}")
    looked = ", ".join(str(folder) for folder in places())
    raise NotThere(
        f"there is no model for task {task!r} (looked in {looked}): "
        f"make one with xfer train --task {task} and xfer export, or name one with --model"
    )


def load_model(
    path: str | Path, threads: int = 1, device: str = "auto", *, allow_cpu: bool = False, engine: str = ""
) -> Model:
    """Load a model file. Raises FileNotThere, Unusable (broken or foreign), NotThere (package, device)."""
    path = model_path(path)
    opened = open_engine(path, threads, device, allow_cpu=allow_cpu, engine=engine)
    return Model(opened.card, opened, path)


def model_path(path: str | Path) -> Path:
    """The model file that a path means: `x.openvino/model.xml` is the folder."""
    path = Path(path)
    return path.parent if path.name == "model.xml" and path.parent.name.endswith(".openvino") else path


def _model_files(folder: Path) -> list[Path]:
    """Model files of one folder: formats in the order of their registration, plain precision first, then by name."""
    if not folder.is_dir():
        return []
    suffixes = [entry.suffix for entry in FORMATS.values()]
    ranked = [
        (rank, path.name.count("."), path.name, path)
        for path in folder.iterdir()
        for rank, suffix in enumerate(suffixes)
        if path.name.endswith(suffix) and not path.name.startswith(".")
    ]
    return [entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:-1])]


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]
