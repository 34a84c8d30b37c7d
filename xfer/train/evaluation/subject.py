"""What is evaluated: a checkpoint in torch, or an exported model file on its engine, seen alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Short
from xfer.runtime.engines import FORMATS
from xfer.runtime.errors import FileNotThere
from xfer.runtime.models import Model, load_model

if TYPE_CHECKING:
    import torch

    from xfer.train.checkpoint import Checkpoint

Floats = npt.NDArray[np.float32]


class Answers(NamedTuple):
    """What a net says of n windows."""

    scores: Floats
    """(n, labels), rows sum to 1."""
    embedding: Floats
    """(n, embedding)."""


@dataclass(frozen=True)
class Subject:
    """A net that is evaluated."""

    path: Path
    task: str
    labels: tuple[str, ...]
    sample_rate: int
    """Hz."""
    window: int
    """Samples."""
    short: Short
    """What becomes of a clip that is shorter than a window."""
    trained_on: str
    """Name of the data set it was trained on."""
    engine: str
    """What runs it, in words."""
    precision: str
    answer: Callable[[Floats], Answers]
    """Windows (n, window) to answers."""
    model: Model | None = None
    """The model file, loaded; None: it is a checkpoint."""


def open_subject(path: Path, device: str = "auto", threads: int = 1, allow_cpu: bool = False) -> Subject:
    """A run, a checkpoint or a model file; `allow_cpu`: where the device of a model file is not there.

    Raises FileNotThere; Unusable for what is none of these or damaged; NotThere where its engine is missing.
    """
    if not path.exists():
        raise FileNotThere(f"{path} does not exist: name a run, a checkpoint or a model file (xfer models lists them)")
    is_model = any(path.name.lower().endswith(entry.suffix) for entry in FORMATS.values()) or path.name == "model.xml"
    return _model(path, device, threads, allow_cpu) if is_model else _checkpoint(path, device)


def _model(path: Path, device: str, threads: int, allow_cpu: bool) -> Subject:
    model = load_model(path, threads, device, allow_cpu=allow_cpu)
    card = model.card

    def answer(windows: Floats) -> Answers:
        found = model.run(windows)
        return Answers(found.scores, found.embedding)

    return Subject(
        model.path,
        card.task,
        card.labels,
        card.sample_rate,
        card.window,
        card.short,
        str(card.data.get("name", "")),
        model.engine.description,
        card.precision,
        answer,
        model,
    )


def _checkpoint(path: Path, device: str) -> Subject:
    from xfer.train.checkpoint import load
    from xfer.train.training import pick_device

    return subject_of(load(path), pick_device(device))


def subject_of(checkpoint: Checkpoint, chosen: torch.device) -> Subject:
    """A checkpoint that is loaded; its net is moved to the device."""
    import torch

    # On CUDA torch rounds the factors of convolutions to 10 bits by itself; what is compared is compared in float32.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    net = checkpoint.net.to(chosen).eval()

    def answer(windows: Floats) -> Answers:
        with torch.inference_mode():
            found = net(torch.from_numpy(windows).to(chosen))
            return Answers(found.logits.softmax(dim=1).cpu().numpy(), found.embedding.cpu().numpy())

    windows = checkpoint.recipe.get("windows")
    placed = isinstance(windows, dict) and windows.get("short") == "place"
    return Subject(
        checkpoint.path,
        checkpoint.task,
        checkpoint.labels,
        net.sample_rate,
        net.window,
        "place" if placed else "tile",
        str(checkpoint.data.get("name", "")),
        f"torch {torch.__version__} on {chosen}",
        "fp32",
        answer,
    )
