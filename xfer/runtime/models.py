"""Model files by their task: where they are looked for, what is there, and loading one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import xfer
from xfer.runtime import verdicts
from xfer.runtime.card import Card
from xfer.runtime.engines import FORMATS, Array, Engine, Outputs, able, open_engine, read_card
from xfer.runtime.errors import NotThere, Unusable, XferError, nearest
from xfer.runtime.home import home
from xfer.runtime.processor import processor_name

TASKS = ("speaker", "genre", "sound", "command")
"""Tasks that xfer knows by itself; a model may bring another."""


PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Model:
    """A model file that is loaded."""

    card: Card
    engine: Engine
    path: Path
    bf16: bool = False
    """Is a float32 file computed in bfloat16?"""

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


def find_model(task: str, precision: str = "") -> Path:
    """The model file for a task: in the first place that has one, `<task>.*` before other names, fp32 before others.

    Where `xfer bench` found another form of the same checkpoint better on this processor, and it lies beside: that
    one. With `precision`: only such.
    Raises Unusable for a task or precision that nobody knows, or where `<task>.*` is broken; NotThere where no place
    has a model.
    """
    if precision and precision not in PRECISIONS:
        raise Unusable(f"precision {precision!r} is not known: {nearest(precision, PRECISIONS)}")
    tasks = set(TASKS)
    for folder in places():
        own = [path for path in _model_files(folder) if _stem(path) == task]
        others = [path for path in _model_files(folder) if _stem(path) != task]
        for path in own:
            card = read_card(path)
            if card.task == task and precision in ("", card.precision):
                return path if precision else _by_verdict(path, card)
        for path in others:
            try:
                card = read_card(path)
            except XferError:  # somebody else's file; `xfer models` names it
                continue
            if card.task == task and precision in ("", card.precision):
                return path if precision else _by_verdict(path, card)
            tasks.add(card.task)
    if task not in tasks:
        raise Unusable(f"task {task!r} is not known: {nearest(task, sorted(tasks))}")
    looked = ", ".join(str(folder) for folder in places())
    if precision:
        raise NotThere(
            f"there is no model in {precision} for task {task!r} (looked in {looked}): "
            f"make one with xfer export --precision {precision}, or leave --precision out"
        )
    raise NotThere(
        f"there is no model for task {task!r} (looked in {looked}): "
        f"make one with xfer train --task {task} and xfer export, or name one with --model"
    )


def _by_verdict(path: Path, card: Card) -> Path:
    """The form of the same checkpoint, beside it, that `xfer bench` found best here; else the file itself."""
    verdict = verdicts.find(card, processor_name())
    if verdict is None or (verdict.format, verdict.precision) == (card.format, card.precision):
        return path
    for other, found in other_forms(path, card).items():
        form = (found.format, found.precision) == (verdict.format, verdict.precision)
        if form and any(kind.here for kind in able(other)):
            return other
    return path


def other_forms(path: Path, card: Card) -> dict[Path, Card]:
    """Model files beside this one, made of the same checkpoint for the same task: other formats and precisions."""
    found = {}
    for other in _model_files(path.parent):
        try:
            theirs = read_card(other)
        except XferError:  # `xfer models` names it
            continue
        same = verdicts.checkpoint_of(theirs) == verdicts.checkpoint_of(card) != "" and theirs.task == card.task
        if same and other != path:
            found[other] = theirs
    return found


def load_model(
    path: str | Path,
    threads: int = 1,
    device: str = "auto",
    *,
    allow_cpu: bool = False,
    engine: str = "",
    bf16: bool = False,
) -> Model:
    """Load a model file. Raises FileNotThere, Unusable (broken or foreign), NotThere (package, device)."""
    path = model_path(path)
    opened = open_engine(path, threads, device, allow_cpu=allow_cpu, engine=engine, bf16=bf16)
    return Model(opened.card, opened, path, bf16)


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
