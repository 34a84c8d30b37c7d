"""The checkpoint's own answers, against which a model file is held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from xfer.export.fold import InferenceNet, fold
from xfer.export.onnx import TAP
from xfer.export.parity.measures import measure
from xfer.runtime.engines import Array, Outputs
from xfer.runtime.errors import Unusable
from xfer.train.nets import Net


@dataclass(frozen=True)
class Answer:
    """What the checkpoint gives for one window, at every stage; no batch axis."""

    features: Array
    """What the trained front-end gives."""
    taps: dict[str, Array]
    """What each stage gives, whole, by its name."""
    outputs: Outputs


class Reference:
    """The checkpoint in torch on the CPU, fp32, in evaluation, one window at a time; outputs are computed once."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self._known: dict[bytes, Outputs] = {}
        self._double: InferenceNet | None = None
        self._rounding: dict[bytes, dict[str, float]] = {}

    @property
    def taps(self) -> tuple[str, ...]:
        """The stages' names, in the order in which sound passes through them."""
        return tuple(self.net.stages)

    def run(self, windows: Array) -> Outputs:
        """Windows, float32 (n, window), to outputs, as an engine would. Raises Unusable where they are not finite."""
        answers = [self._known.get(window.tobytes()) or self.answer(window).outputs for window in windows]
        return Outputs(*(np.stack(parts) for parts in zip(*answers, strict=True)))

    def features(self, window: Array) -> Array:
        """What the trained front-end gives for one window, without the batch axis."""
        with _plain_fp32(self.net):
            features: Array = self.net.frontend(torch.from_numpy(window)[None])[0].numpy()
        return features

    def answer(self, window: Array) -> Answer:
        """Every stage of one window, (window,). Raises Unusable where the logits are not finite."""
        with _plain_fp32(self.net):
            features = self.net.frontend(torch.from_numpy(window)[None])
            walked = list(self.net.walk(features))
            embedding = self.net.embed(walked[-1][1])
            logits = self.net.head(embedding)
            scores = torch.softmax(logits, dim=1)
        if not bool(torch.isfinite(logits).all()):
            raise Unusable(
                "the checkpoint itself gives scores that are not finite numbers, so there is nothing to export: "
                "train again, with a smaller fit.learning_rate"
            )
        outputs = Outputs(scores[0].numpy(), logits[0].numpy(), embedding[0].numpy())
        self._known[window.tobytes()] = outputs
        return Answer(features[0].numpy(), {name: tap[0].contiguous().numpy() for name, tap in walked}, outputs)

    def rounding(self, window: Array) -> dict[str, float]:
        """How far the net in float32 is from itself in float64, over max(1, peak): each tap, embedding and logits."""
        key = window.tobytes()
        if key in self._rounding:
            return self._rounding[key]
        if self._double is None:
            self._double = fold(self.net).double()
        with _plain_fp32(self.net):
            exact = self._double(torch.from_numpy(window.astype(np.float64))[None])
        own = self.answer(window)
        wanted = {f"{TAP}{name}": tap for name, tap in zip(self.taps, exact.taps, strict=True)}
        found = {f"{TAP}{name}": tap for name, tap in own.taps.items()}
        wanted |= {"embedding": exact.embedding, "logits": exact.logits}
        found |= {"embedding": own.outputs.embedding, "logits": own.outputs.logits}
        self._rounding[key] = {
            name: measure(found[name], values[0].numpy()).relative(1.0) for name, values in wanted.items()
        }
        return self._rounding[key]


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread, since parity asks it and an engine at the same time; put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _plain_fp32(net: Net) -> Iterator[None]:
    """Evaluation without gradients, and no reduced precision (TF32, bf16) behind float32; put back afterwards."""
    if net.training:
        raise Unusable("the checkpoint's net is in training mode: parity is measured in evaluation")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_float32_matmul_precision(before)
