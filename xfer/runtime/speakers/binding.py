"""To which model enrolled people belong: the checkpoint's hash, and proof that this form of it still hears alike.

fp32, fp16 and int8, ONNX and OpenVINO of one checkpoint share what was enrolled with one of them. Whether their
embeddings agree is measured, not believed: the store keeps what the enrolling form answered to a few sounds made by
formula, and whichever form opens it answers them again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable
from xfer.runtime.models import Model
from xfer.runtime.sealing import digest_of
from xfer.runtime.selftest import formula_inputs
from xfer.runtime.speakers.scoring import directions
from xfer.runtime.verdicts import checkpoint_of

WITNESSES = ("noise at -30 dBFS", "noise in bursts", "square")
"""Sounds by formula that the forms of a checkpoint are compared on."""

LEAST_AGREEMENT = 0.95
"""Cosine between two forms' answers to each of them; docs/speakers.md has what int8 was measured at."""


@dataclass(frozen=True)
class Binding:
    """The model that people were enrolled with."""

    key: str
    """SHA-256 of its checkpoint or, where its card names none, of the model file; hex."""
    model: str
    """Its name."""
    form: str
    """Format and precision that the witness was answered with: `onnx fp32`."""
    witness: Array
    """Embeddings of the witnesses, (3, d)."""


def binding_of(model: Model) -> Binding:
    """What people enrolled with this model are bound to; runs the model three times."""
    return Binding(key_of(model), model.card.name, form_of(model), witness_of(model))


def key_of(model: Model) -> str:
    """The model's key, hex."""
    return checkpoint_of(model.card) or _content(model.path)


def form_of(model: Model) -> str:
    """`onnx fp32`, `openvino int8` ..."""
    return f"{model.card.format} {model.card.precision}"


def witness_of(model: Model) -> Array:
    """What the model hears in the witnesses, (3, d)."""
    inputs = formula_inputs(model.card.window, model.card.sample_rate)
    return np.concatenate([model.run(inputs[name][None, :]).embedding for name in WITNESSES])


def check_agreement(model: Model, bound: Binding, where: object) -> None:
    """Raise Unusable where this model is another one, or hears unlike the form that people were enrolled with."""
    if bound.key != key_of(model):
        raise Unusable(
            f"{where} holds people enrolled with another model ({bound.model}, {bound.key[:8]}), not with "
            f"{model.path} ({key_of(model)[:8]}): enrol them again with xfer speakers add"
        )
    answers = witness_of(model)
    if answers.shape != bound.witness.shape:
        raise Unusable(
            f"{where} has embeddings of {bound.witness.shape[1]} values, and {model.path} {answers.shape[1]}"
        )
    cosines = (directions(answers) * directions(bound.witness)).sum(axis=1)
    if not cosines.min() >= LEAST_AGREEMENT:
        raise Unusable(
            f"{where} was filled with {bound.model} as {bound.form}, and as {form_of(model)} it hears differently "
            f"(cosine {cosines.min():.3f} where {LEAST_AGREEMENT} is needed): use the {bound.form} form with --model, "
            "or enrol again with this one"
        )


def _content(path: Path) -> str:
    """SHA-256 over a model file, or over the files of a folder in the order of their names; hex."""
    if not path.is_dir():
        return digest_of(path)
    files = sorted(file for file in path.iterdir() if file.is_file())
    return hashlib.sha256("".join(f"{file.name} {digest_of(file)}\n" for file in files).encode()).hexdigest()
