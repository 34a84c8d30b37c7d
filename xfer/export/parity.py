"""Parity: the measured difference between checkpoint and model file, from front-end to decision.

The checkpoint runs in torch on the CPU, in fp32, one window at a time; the model file runs through the runtime's own
engine in batches of 1, 2 and 7. The front-end is read from a twin graph that differs only in giving it as an output.
Each window's features are held against the float64 oracle; the stages after it against the checkpoint.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xfer.export import oracle
from xfer.export.inputs import REAL
from xfer.export.onnx import FEATURES
from xfer.runtime.card import Card
from xfer.runtime.decide import decide
from xfer.runtime.engines import Array, Engine, Outputs
from xfer.runtime.errors import Unusable
from xfer.runtime.selftest import LIMITS, processor_name
from xfer.train.nets import Net

BATCHES = (1, 2, 7)
"""Alone; the batch that the graph was traced with; a batch that nothing in the graph has as its size."""


@dataclass(frozen=True)
class Stage:
    """One place between sound and decision where both sides are compared."""

    name: str
    limit: float
    reason: str
    """Why this limit: what passes it honestly and what must not."""


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "oracle", LIMITS.frontend, "the oracle against librosa, float64 both: a mistake made twice by us would show"
        ),
        Stage("trained front-end", LIMITS.frontend, "float32 sums of 251 to 1024 products stay near 1e-6 of the peak"),
        Stage("run", 0.0, "a graph that was frozen to one batch size does not run at another"),
        Stage(
            "front-end",
            LIMITS.frontend,
            "as trained; a periodic window or another hop is beyond 1e-3, fp16 beyond 1e-4",
        ),
        Stage("embedding", LIMITS.logits, "relative to its peak: float32 through some twenty layers stays near 1e-5"),
        Stage("logits", LIMITS.logits, "relative to their peak where that is above 1: as the embedding"),
        Stage("scores", LIMITS.scores, "absolute: a hundredth of a percent, which no reader of a score can see"),
        Stage(
            "top-1", 0.0, f"the same label wherever the checkpoint's first two scores differ by over {LIMITS.margin:g}"
        ),
        Stage("decision", 0.0, "runtime.decide itself, label and known, with the labels that the model file carries"),
    )
}
"""In the order in which sound passes through them: the first that is beyond its limit is where the two part."""


@dataclass(frozen=True)
class Row:
    """One comparison."""

    stage: str
    input: str
    batch: int
    """How many windows ran together."""
    error: float
    """In the stage's own measure; infinite where there is nothing to compare."""
    limit: float
    note: str = ""

    @property
    def ok(self) -> bool:
        """Within the limit? Never for NaN."""
        return self.error <= self.limit


@dataclass(frozen=True)
class ParityReport:
    """All comparisons of one model file with its checkpoint."""

    model: str
    engine: str
    processor: str
    inputs: tuple[str, ...]
    rows: tuple[Row, ...]
    noise: str = ""
    """After a failure: how far the checkpoint in float32 is from itself in float64, which tells a wrong graph from a
    net that makes much of rounding."""

    @property
    def ok(self) -> bool:
        """Is every comparison within its limit? Not where none was made."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def worst(self, stage: str) -> Row | None:
        """The row of a stage that is farthest out, or None where the stage was not compared."""
        rows = [row for row in self.rows if row.stage == stage]
        return max(rows, key=lambda row: math.inf if math.isnan(row.error) else row.error, default=None)

    @property
    def first_failure(self) -> Row | None:
        """The worst row of the first stage that is beyond its limit."""
        worst = (self.worst(name) for name in STAGES)
        return next((row for row in worst if row is not None and not row.ok), None)

    def sentence(self) -> str:
        """Which stage parts first and by how much, or that none does."""
        row = self.first_failure
        if row is None:
            return f"parity holds in all of {len(self.rows)} comparisons" if self.rows else "nothing was compared"
        how = row.note or (f"{row.error:.1e} where {row.limit:.0e} is allowed" if row.limit else "not the same")
        failed = sum(not each.ok for each in self.rows)
        return (
            f"parity failed: the model file parts from the checkpoint first at the stage {row.stage!r} "
            f"({row.input}, batch of {row.batch}): {how}; {failed} of {len(self.rows)} comparisons are beyond their "
            f"limits{self.noise}"
        )

    def summary(self) -> dict[str, Any]:
        """For the card: the largest error of each stage, its limit, on what and with what it was measured."""
        compared = {name: row for name in STAGES if (row := self.worst(name)) is not None}
        return {
            "ok": self.ok,
            **{name: _finite(row.error) for name, row in compared.items()},
            "limits": {name: row.limit for name, row in compared.items()},
            "comparisons": len(self.rows),
            "inputs": len(self.inputs),
            "real_inputs": sum(name.startswith(REAL) for name in self.inputs),
            "batches": list(BATCHES),
            "engine": self.engine,
            "processor": self.processor,
        }

    def to_json(self) -> dict[str, Any]:
        """The whole report, as JSON; an error that is no finite number is null."""
        return {
            "version": 1,
            "model": self.model,
            "sentence": self.sentence(),
            **self.summary(),
            "reasons": {name: stage.reason for name, stage in STAGES.items()},
            "rows": [
                {
                    "stage": row.stage,
                    "input": row.input,
                    "batch": row.batch,
                    "error": _finite(row.error),
                    "limit": row.limit,
                    "ok": row.ok,
                    **({"note": row.note} if row.note else {}),
                }
                for row in self.rows
            ],
        }


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
        double = copy.deepcopy(self.net).double()
        with _plain_fp32(double):
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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


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
