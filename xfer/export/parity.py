"""Parity: the measured difference between checkpoint and model file, from front-end to decision.

The checkpoint runs in torch on the CPU, in fp32, one window at a time; the model file runs through the runtime's own
engine in batches of 1, 2 and 7. The front-end is read from a twin graph that differs only in giving it as an output.
Each window's features are held against the float64 oracle; the stages after it against the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xfer.export import oracle
from xfer.export.fold import fold
from xfer.export.onnx import FEATURES
from xfer.export.report import BATCHES, STAGES, ParityReport, Row
from xfer.runtime.card import Card
from xfer.runtime.decide import decide
from xfer.runtime.engines import Array, Engine, Outputs
from xfer.runtime.errors import Unusable
from xfer.runtime.selftest import LIMITS, processor_name
from xfer.train.nets import Net


class Reference:
    """The checkpoint's own answers: torch, CPU, fp32, evaluation, one window at a time, each computed once."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self._known: dict[bytes, Outputs] = {}

    def run(self, windows: Array) -> Outputs:
        """Windows, float32 (n, window), to outputs, as an engine would. Raises Unusable where they are not finite."""
        answers = [self._alone(window) for window in windows]
        return Outputs(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))

    def features(self, window: Array) -> Array:
        """What the trained front-end gives for one window, without the batch axis."""
        with _plain_fp32(self.net):
            features: Array = self.net.frontend(torch.from_numpy(window)[None])[0].numpy()
        return features

    def rounding(self, window: Array) -> float:
        """How far the net's logits in float32 are from those in float64, in the measure of the stage `logits`."""
        double = fold(self.net).double()
        with _plain_fp32(self.net):
            exact = double(torch.from_numpy(window.astype(np.float64))[None]).logits[0].numpy()
        return _relative_above_one(self._alone(window).logits[0], exact)

    def _alone(self, window: Array) -> Outputs:
        key = window.tobytes()
        if key not in self._known:
            with _plain_fp32(self.net):
                logits, embedding = self.net(torch.from_numpy(window)[None])
                scores = torch.softmax(logits, dim=1)
            if not bool(torch.isfinite(logits).all()):
                raise Unusable(
                    "the checkpoint itself gives scores that are not finite numbers, so there is nothing to export: "
                    "train again, with a smaller fit.learning_rate"
                )
            self._known[key] = Outputs(scores.numpy(), logits.numpy(), embedding.numpy())
        return self._known[key]


def prove(
    reference: Reference,
    card: Card,
    model: Engine,
    twin: Engine,
    inputs: Mapping[str, Array],
    progress: Callable[[int, int], None] | None = None,
) -> ParityReport:
    """Compare a model file with its checkpoint on every input, in batches of 1, 2 and 7.

    `card` is what the checkpoint says (its labels, its front-end); the engines carry the cards of their files.
    """
    names = tuple(inputs)
    rows: list[Row] = []
    largest = max(BATCHES)
    for start in range(0, len(names), largest):  # a group at a time: a window's features are tens of megabytes
        group = names[start : start + largest]
        rows += _compare_group(reference, card, model, twin, {name: inputs[name] for name in group})
        if progress is not None:
            progress(start + len(group), len(names))
    order = {name: k for k, name in enumerate(STAGES)}
    rows.sort(key=lambda row: (order[row.stage], names.index(row.input), row.batch))
    report = ParityReport(card.name, model.description, processor_name(), names, tuple(rows))
    row = report.first_failure
    if row is not None and row.stage in ("embedding", "logits", "scores"):
        own = reference.rounding(inputs[row.input])
        report = replace(
            report, noise=f"; the checkpoint's own logits in float32 are {own:.1e} from those in float64 there"
        )
    return report


def _compare_group(
    reference: Reference, card: Card, model: Engine, twin: Engine, group: Mapping[str, Array]
) -> Iterator[Row]:
    parameters = reference.net.frontend.oracle_parameters()
    wanted = {}
    for name, window in group.items():
        wanted[name] = truth = oracle.features(window, card.frontend, parameters)
        other = oracle.second_opinion(window, card.frontend, parameters)
        if other is not None:
            yield _row("oracle", name, 1, _relative_to_peak(other, truth))
        yield _row("trained front-end", name, 1, _relative_to_peak(reference.features(window), truth))
    for batch in BATCHES:
        for names in _batches(tuple(group), batch):
            windows = np.stack([group[name] for name in names])
            fresh = {name: names.index(name) for name in names}
            try:
                (features,) = twin.read(windows, [FEATURES])
                found = model.run(windows)
            except Unusable as error:
                yield _row("run", names[0], batch, math.inf, str(error))
                continue
            for name, at in fresh.items():
                expected = Outputs(*(part[0] for part in reference.run(group[name][None])))
                got = Outputs(*(part[at] for part in found))
                yield _row("run", name, batch, 0.0)
                yield _row("front-end", name, batch, _relative_to_peak(features[at], wanted[name]))
                yield from _after_front_end(name, batch, expected, got, card, model.card)


def _after_front_end(
    name: str, batch: int, expected: Outputs, got: Outputs, checkpoint_card: Card, model_card: Card
) -> Iterator[Row]:
    """The stages that the model file itself gives, one window."""
    yield _row("embedding", name, batch, _relative_above_one(got.embedding, expected.embedding))
    yield _row("logits", name, batch, _relative_above_one(got.logits, expected.logits))
    yield _row("scores", name, batch, _largest(got.scores, expected.scores))
    best = np.sort(expected.scores)[::-1]
    told_apart = len(best) < 2 or best[0] - best[1] > LIMITS.margin
    top_equal = int(np.argmax(got.scores)) == int(np.argmax(expected.scores))
    yield _row("top-1", name, batch, 0.0 if top_equal or not told_apart else 1.0)
    try:
        theirs = decide(got.scores, model_card)
    except Unusable as error:  # scores that are not finite numbers
        yield _row("decision", name, batch, math.inf, str(error))
        return
    ours = decide(expected.scores, checkpoint_card)
    threshold = checkpoint_card.threshold
    at_threshold = threshold is not None and abs(ours.score - threshold) <= LIMITS.margin
    same = (theirs.label == ours.label or not told_apart) and (theirs.known == ours.known or at_threshold)
    note = "" if same else f"{theirs.label!r} (known: {theirs.known}) instead of {ours.label!r} (known: {ours.known})"
    yield _row("decision", name, batch, 0.0 if same else 1.0, note)


def _batches(names: Sequence[str], size: int) -> Iterable[tuple[str, ...]]:
    """The names in batches of exactly `size`; the last one begins again at the first name."""
    for start in range(0, len(names), size):
        yield tuple(names[(start + k) % len(names)] for k in range(size))


def _row(stage: str, name: str, batch: int, error: float, note: str = "") -> Row:
    return Row(stage, name, batch, float(error), STAGES[stage].limit, note)


def _relative_to_peak(got: npt.NDArray[Any], truth: npt.NDArray[np.float64]) -> float:
    """max|y - oracle| / max(peak of the oracle in that window, 1e-6)."""
    return _largest(got, truth) / max(float(np.abs(truth).max()), 1e-6)


def _relative_above_one(got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """max|y - reference| / max(1, max|reference|)."""
    return _largest(got, expected) / max(1.0, float(np.abs(expected).max()))


def _largest(got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Largest absolute difference; infinite where the shapes differ."""
    if got.shape != expected.shape:
        return math.inf
    return float(np.max(np.abs(got.astype(np.float64) - expected)))


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
