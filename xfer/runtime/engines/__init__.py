"""Engines: what runs a model file. One file an engine, registered by the format it opens, imported when needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from xfer.runtime.card import Card
from xfer.runtime.errors import FileNotThere, Unusable

Array = npt.NDArray[np.float32]


class Outputs(NamedTuple):
    """What a net says about n windows."""

    scores: Array
    """Probabilities, (n, labels)."""
    logits: Array
    """Before the softmax, (n, labels)."""
    embedding: Array
    """(n, embedding_size)."""


class Engine(Protocol):
    """A model file that is loaded and runs."""

    card: Card
    description: str
    """Engine, version, device and threads that are really in use."""
    notes: tuple[str, ...]
    """What a user should know: a faster device that was expected and is not in use."""

    def run(self, windows: Array) -> Outputs:
        """Windows, float32 (n, window), to outputs."""
        ...

    def read(self, windows: Array, names: Sequence[str]) -> list[Array]:
        """Outputs of the graph by name, also those that only a twin made for parity has."""
        ...


@dataclass(frozen=True)
class Format:
    """A form of model file."""

    name: str
    """As in the card and in `xfer export --format`."""
    suffix: str
    """How its files (or folders) end."""
    module: str
    """Where `read_card(path)` and `open_engine(path, card, threads, device)` are."""


FORMATS = {
    entry.name: entry
    for entry in (
        Format("onnx", ".onnx", "xfer.runtime.engines.onnxruntime_engine"),
        Format("openvino", ".openvino", "xfer.runtime.engines.openvino_engine"),
    )
}
"""A new engine is one file and one line here."""


def format_of(path: Path) -> Format:
    """The format of a model file, by its name. Raises FileNotThere, or Unusable for what is no model file."""
    if not path.exists():
        raise FileNotThere(f"{path} does not exist: xfer models lists the models that are here")
    for entry in FORMATS.values():
        if path.name.lower().endswith(entry.suffix):
            return entry
    endings = " or ".join(entry.suffix for entry in FORMATS.values())
    raise Unusable(f"{path} is no model file, whose name ends in {endings}: make one with xfer export")


def read_card(path: Path) -> Card:
    """The card of a model file, read without its engine. Raises FileNotThere or Unusable."""
    card: Card = import_module(format_of(path).module).read_card(path)
    return card


def open_engine(path: Path, threads: int = 1, device: str = "auto") -> Engine:
    """Load a model file. Raises FileNotThere, Unusable (a broken or foreign file), NotThere (package, device)."""
    module = import_module(format_of(path).module)
    engine: Engine = module.open_engine(path, module.read_card(path), threads, device)
    return engine


def check_outputs(outputs: Outputs, windows: int, card: Card, path: Path) -> Outputs:
    """The same outputs, if their shapes are what the card says; raises Unusable otherwise."""
    wanted = ((windows, len(card.labels)), (windows, len(card.labels)), (windows, card.embedding_size))
    found = tuple(part.shape for part in outputs)
    if found != wanted:
        raise Unusable(f"{path}: its graph gives {found} where its card says {wanted}: export it again")
    return outputs


def check_shape(path: Path, name: str, found: object, wanted: int, card_word: str) -> None:
    """A fixed size in the graph against the card; raises Unusable. A size that is not fixed is checked when it runs."""
    if isinstance(found, int) and found >= 0 and found != wanted:
        raise Unusable(
            f"{path}: {name} of its graph has {found} where its card says {card_word} {wanted}: export it again"
        )
