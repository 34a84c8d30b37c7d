"""Engines: what runs a model file. One file an engine and one a format, registered here, imported when needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from xfer.runtime.card import Card
from xfer.runtime.errors import FileNotThere, Unusable, nearest, need_extra

Array = npt.NDArray[np.float32]

OUTPUTS = ("scores", "logits", "embedding")
"""What every graph gives, in the order of `Outputs`."""
PROBE = "probe"
"""What a graph of schema 2 also gives: front-end values at fixed places, (n, 256). Only verify asks for it."""


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
    outputs: tuple[str, ...]
    """Names that `read` knows."""

    def run(self, windows: Array) -> Outputs:
        """Windows, float32 (n, window), to outputs."""
        ...

    def read(self, windows: Array, names: Sequence[str]) -> list[Array]:
        """Outputs of the graph by name, also those that only a twin made for parity has."""
        ...


@dataclass(frozen=True)
class Wish:
    """How a model file shall be run."""

    threads: int = 1
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N`, or another that the engine knows."""
    allow_cpu: bool = False
    """Where the device is not there: run on the CPU and say so, instead of refusing."""
    bf16: bool = False
    """Compute in bfloat16 where the engine and the processor can: faster, and rougher than what was proved."""


@dataclass(frozen=True)
class Format:
    """A form of model file."""

    name: str
    """As in the card and in `xfer export --format`."""
    suffix: str
    """How its files (or folders) end."""
    module: str
    """Where `read_card(path)`, `read_golden(path)` and `check_whole(path)` are."""
    engines: tuple[str, ...]
    """What can open it, its own engine first."""


@dataclass(frozen=True)
class Kind:
    """An engine: a package that runs models."""

    name: str
    title: str
    extra: str
    """The extra of xfer that brings it."""
    module: str
    """Where `open_engine(path, card, wish)` is, which raises Unusable or NotThere, and `DEVICES`: word to own name."""

    @property
    def here(self) -> bool:
        """Is its package installed?"""
        return find_spec(self.name) is not None


FORMATS = {
    entry.name: entry
    for entry in (
        Format("onnx", ".onnx", "xfer.runtime.engines.onnx_file", ("onnxruntime", "openvino")),
        Format("openvino", ".openvino", "xfer.runtime.engines.openvino_folder", ("openvino",)),
    )
}
"""A new format is one file and one line here."""

ENGINES = {
    entry.name: entry
    for entry in (
        Kind("onnxruntime", "ONNX Runtime", "cpu", "xfer.runtime.engines.onnxruntime_engine"),
        Kind("openvino", "OpenVINO", "openvino", "xfer.runtime.engines.openvino_engine"),
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


def able(path: Path) -> list[Kind]:
    """The engines that can open a model file, its own first. Raises FileNotThere or Unusable.

    int8 is its own engine's alone: of ONNX Runtime's pairs of quantizers OpenVINO (2026.4) makes other sums, by up to
    0.15 of the largest logit where ONNX Runtime keeps to their definition to the bit.
    """
    names = format_of(path).engines
    return [ENGINES[name] for name in (names[:1] if read_card(path).precision == "int8" else names)]


def read_card(path: Path) -> Card:
    """The card of a model file, read without its engine. Raises FileNotThere or Unusable."""
    card: Card = import_module(format_of(path).module).read_card(path)
    return card


def read_golden(path: Path) -> str | None:
    """The golden clips of a model file, as they were written; None: it has none. Raises FileNotThere or Unusable."""
    text: str | None = import_module(format_of(path).module).read_golden(path)
    return text


def check_whole(path: Path) -> Card:
    """Size, seal, card and references of a model file, before an engine opens it. Raises FileNotThere or Unusable."""
    card: Card = import_module(format_of(path).module).check_whole(path)
    return card


def open_engine(
    path: Path,
    threads: int = 1,
    device: str = "auto",
    *,
    allow_cpu: bool = False,
    engine: str = "",
    bf16: bool = False,
) -> Engine:
    """Check a model file, then load it: with `engine`, else the format's own, else another that is here.

    Raises FileNotThere, Unusable (a broken or foreign file), NotThere (package, device).
    """
    card = check_whole(path)
    kind = engine_for(path, engine or ("openvino" if bf16 else ""))
    opened: Engine = import_module(kind.module).open_engine(path, card, Wish(threads, device, allow_cpu, bf16))
    return opened


def engine_for(path: Path, engine: str = "") -> Kind:
    """The engine that opens a model file. Raises Unusable for one that cannot, NotThere where none is installed."""
    kinds = able(path)
    if engine:
        found = next((kind for kind in kinds if kind.name == engine), None)
        if found is None:
            known = [kind.name for kind in kinds]
            raise Unusable(f"{path} is not opened by an engine {engine!r}: {nearest(engine, known)}")
        kinds = [found]
    for kind in kinds:
        if kind.here:
            return kind
    raise need_extra(kinds[0].name, kinds[0].extra)


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


def check_names(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Raise Unusable where a graph does not take audio and give what every model of xfer gives."""
    if list(inputs) != ["audio"] or not set(OUTPUTS) <= set(outputs):
        raise Unusable(
            f"{path}: its graph takes {', '.join(inputs)} and gives {', '.join(outputs)}, where a model of "
            f"xfer takes audio and gives {', '.join(OUTPUTS)}: export it again"
        )


def check_sizes(path: Path, card: Card, audio: object, outputs: dict[str, object]) -> None:
    """Window, labels and embedding that a graph fixes against what its card says. Raises Unusable."""
    check_shape(path, "audio", audio, card.window, "window")
    for name in ("scores", "logits"):
        check_shape(path, name, outputs[name], len(card.labels), "labels")
    check_shape(path, "embedding", outputs["embedding"], card.embedding_size, "embedding_size")
