"""The registry of nets: everything else (training, taps, export, parity, tests) runs over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_type_hints

from xfer.runtime.errors import Unusable, nearest
from xfer.train.nets.net import Net


@dataclass(frozen=True)
class Registered:
    """A net by name, with all that is needed to build and train it."""

    name: str
    build: Callable[..., Net]
    """build(classes, options) -> Net"""
    options: type
    """Frozen dataclass of its variants; the defaults are the shapes of record."""
    summary: str
    sample_rate: int
    """Hz."""
    window: int
    """Samples."""
    free_time: bool
    """Does it take windows of other lengths too (in training: `fit.crop`)?"""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Recipe fields that this net wants otherwise than the common default: `fit.batch`, ..."""
    paper: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Recipe fields by which the paper trained it: under "" those of any task, under a task's name what it adds."""


NETS: dict[str, Registered] = {}


def register(net: Registered) -> None:
    """Add a net; its file does so when it is imported."""
    NETS[net.name] = net


def create(name: str, classes: int, **options: Any) -> Net:
    """Build a net with fresh weights.

    Raises Unusable for an unknown net, option or value.
    """
    if name not in NETS:
        raise Unusable(f"no net is called {name!r}: {nearest(name, NETS)}")
    entry = NETS[name]
    known = {f.name for f in fields(entry.options)}
    for key in options:
        if key not in known:
            raise Unusable(f"net {name} has no option {key!r}: {nearest(key, known)}")
    return entry.build(classes, entry.options(**options))


def change_head(net: Net, options: Mapping[str, Any]) -> None:
    """Give a registered net a fresh head of the kind and scale that `options` name, where it has another.

    Raises Unusable as `create` does.
    """
    names = [key for key in ("head", "head_scale") if key in options and key in net.options]
    wanted: dict[str, Any] = {key: options[key] for key in names}
    if any(net.options[key] != value for key, value in wanted.items()):
        net.options |= wanted
        net.head = create(net.name, net.classes, **net.options).head


def options_of(name: str) -> dict[str, Any]:
    """The options of a net with their defaults."""
    return asdict(NETS[name].options())


def option_types(name: str) -> dict[str, Any]:
    """The types of a net's options."""
    return get_type_hints(NETS[name].options)
