"""From a float32 graph to one in another precision that answers as well; what hurts goes back to float32, and is named.

It must pass the gate, and at every level, from -40 dB to clipping, its logits must stay near those of float32.

Layers are put back in the order of what each does alone: all but it in float32, how far do the logits move? One, two,
four and so on at a time, each time asked at the gate again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.export.formats import Form
from xfer.export.parity.limits import limit_of
from xfer.export.precisions.equalise import SHARES, equalised, first_convolution
from xfer.export.precisions.gate import Gate
from xfer.export.precisions.scopes import products
from xfer.export.precisions.trial import FEW, Trial
from xfer.runtime.engines import Array
from xfer.runtime.errors import AnswerIsNo

ROOM = 0.6
"""Of parity's limit for logits, which other recordings at the same levels will be held to."""


@dataclass(frozen=True)
class Reduced:
    """A graph in its precision; of any but fp32, one that passed the gate."""

    twin: Any
    """As the form's writer takes it, with every tap."""
    shipped: Any
    """Without them."""
    gate: Gate | None = None
    put_back: tuple[str, ...] = ()
    """Layers that hurt and are float32 again."""


def reduce(form: Form, twin: Any, trial: Trial, progress: Callable[[str], None]) -> Reduced:
    """The twin graph, an onnx.ModelProto in float32, in the precision of the form.

    Raises AnswerIsNo where it still loses too much with half of the layers put back; NotThere for an absent package;
    Unusable for too few recordings.
    """
    reducer = import_module(form.reducer)
    windows = trial.windows if form.calibrated else []
    layers = products(twin, reducer.OPERATORS)
    plain = trial.logits(form.shipped(twin)).astype(np.float64) if form.calibrated else np.zeros((0, 0))
    if form.calibrated:
        twin = _evened(form, twin, trial, layers, plain)
    put_back: tuple[str, ...] = ()
    ranked = list[str]()
    while True:
        progress(f"{form.precision}: {len(layers) - len(put_back)} of {len(layers)} layers")
        small = reducer.reduce(twin, windows, put_back)
        shipped = form.shipped(small)
        gate = trial.gate(shipped)
        farthest = _farthest(trial.logits(shipped), plain) if form.calibrated else 0.0
        said = gate.sentence()
        if form.calibrated:
            said += f"; logits of quiet and loud sound off by {farthest:.2f} of their peak at most"
        progress(said)
        if gate.passed and farthest <= limit_of("logits", form.precision) * ROOM:
            return Reduced(small, shipped, gate, put_back)
        count = max(1, 2 * len(put_back))
        if 2 * count > len(layers):
            raise AnswerIsNo(
                f"{form.precision} loses too much: {said}, "
                + (f"with {_list(put_back)} put back to float32" if put_back else "and it has no layer to put back")
            )
        ranked = ranked or _ranked(form, twin, trial, layers, progress)
        put_back = tuple(ranked[:count])
        progress(f"putting back to float32: {_list(put_back)}")


def _farthest(found: Array, plain: npt.NDArray[np.float64]) -> float:
    """The largest difference of a logit over its window's peak, where that is above 1: as parity measures it."""
    peaks = np.maximum(1.0, np.abs(plain).max(axis=1))
    return float((np.abs(found - plain).max(axis=1) / peaks).max())


def _evened(form: Form, twin: Any, trial: Trial, layers: list[str], plain: npt.NDArray[np.float64]) -> Any:
    """The twin with the first layer's channels made equally loud, in the way in which that layer loses least."""
    first = first_convolution(twin, layers)
    if first is None:
        return twin
    loudest = trial.loudest(twin, first.input[0])
    ways = [twin, *(equalised(twin, first.name, loudest, share) for share in SHARES)]
    moved = [_moved(form, way, trial, layers, first.name, plain) for way in ways]
    return ways[int(np.argmin(moved))]


def _ranked(form: Form, twin: Any, trial: Trial, layers: list[str], progress: Callable[[str], None]) -> list[str]:
    """The layers, the one that moves the logits most by itself first."""
    plain = trial.logits(form.shipped(twin)).astype(np.float64)
    moved = {}
    for layer in layers:
        moved[layer] = _moved(form, twin, trial, layers, layer, plain)
        progress(f"{layer} alone moves the logits by {100 * moved[layer]:.1f} %")
    return sorted(layers, key=lambda layer: -moved[layer])


def _moved(form: Form, twin: Any, trial: Trial, layers: list[str], layer: str, plain: npt.NDArray[np.float64]) -> float:
    """How far the logits of a few windows move with one layer alone in the precision, as a share of their size.

    The mean over the windows: the logits of loud ones are large, and those of quiet ones move most.
    """
    windows = trial.windows[:FEW] if form.calibrated else []
    alone = import_module(form.reducer).reduce(twin, windows, [other for other in layers if other != layer])
    sizes = np.maximum(np.linalg.norm(plain, axis=1), 1e-9)
    return float(np.mean(np.linalg.norm(trial.logits(form.shipped(alone)) - plain, axis=1) / sizes))


def _list(layers: tuple[str, ...]) -> str:
    return ", ".join(layers)
