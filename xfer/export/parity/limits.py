"""The stages between sound and decision, and how much a model file may differ at each: one table, with the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xfer.export.onnx import TAP
from xfer.runtime.errors import Unusable, nearest
from xfer.runtime.selftest import LIMITS

ROUNDINGS = 16
"""A file adds in another order than torch. That moved a tap by one to three times the checkpoint's own rounding error,
on an input that a net magnifies by ten times."""


@dataclass(frozen=True)
class Stage:
    """One place between sound and decision where both sides are compared."""

    name: str
    measure: str
    """What a row's error is."""
    limits: dict[str, float]
    """By precision. A new precision is an entry in each row of the table."""
    reason: str
    """Why this limit: what passes it honestly and what must not."""


CALIBRATED = ("int8",)
"""Precisions that are right only on what they were calibrated on: recordings."""

_PEAK = "largest difference over the peak"
_ABOVE_ONE = "largest difference over the peak, where that is above 1"


def _everywhere(limit: float) -> dict[str, float]:
    """Of a stage that is float32 in every precision."""
    return dict.fromkeys(("fp32", "fp16", "int8"), limit)


_SMALLER = (
    "Behind the front-end fp16 keeps 11 bits and int8 some 8, so these limits only tell a small error from a wrong "
    "graph: trained nets stay near 5e-4 in fp16, and in int8 near 0.1 on recordings as they are and 0.3 at -20 dB; a "
    "transposed weight is beyond 1. Whether the answers are as good is the gate's to say. "
)

TABLE = (
    Stage(
        "heard",
        _PEAK,
        _everywhere(1e-5),
        "what listening hands to the engine of tones at another rate, against their own formula: soxr keeps within "
        "1e-6; a resampling that is skipped, or made to the rate of a wrong card, gives another sound",
    ),
    Stage(
        "filter impulse",
        "largest difference of a tap, the centre tap being 1",
        _everywhere(1e-6),
        "a float32 constant keeps 3e-8 of the analytic tap; an edge moved by a thousandth of a Hz is beyond 1e-5",
    ),
    Stage(
        "filter response",
        "largest difference within the pass band in dB",
        _everywhere(1e-5),
        "rounding of 251 taps stays near 2e-7 dB; fp16 is at 1e-3 dB",
    ),
    Stage(
        "filter edges",
        "largest move of a -6 dB edge in Hz",
        _everywhere(1e-4),
        "rounding moves an edge by 6e-7 Hz; other learned values, or another rate, move it by more than a thousandth",
    ),
    Stage(
        "oracle",
        _PEAK,
        _everywhere(LIMITS.frontend),
        "the oracle against librosa, float64 both: a mistake made twice by us would show",
    ),
    Stage(
        "trained front-end",
        _PEAK,
        _everywhere(LIMITS.frontend),
        "float32 sums of 251 to 1024 products stay near 1e-6 of the peak",
    ),
    Stage("run", "1 where it does not", _everywhere(0.0), "a graph frozen to one batch size does not run at another"),
    Stage(
        "front-end",
        _PEAK,
        _everywhere(LIMITS.frontend),
        "as trained; a periodic window or another hop is beyond 1e-3, fp16 beyond 1e-4",
    ),
    Stage(
        TAP.strip(),
        _ABOVE_ONE,
        {"fp32": LIMITS.embedding, "fp16": 1e-2, "int8": 1.0},
        f"{_SMALLER}In fp32 as the embedding, which is made of it: twenty layers of float32 stay near 1e-5, bf16 "
        "begins at 4e-3. "
        f"Where the checkpoint in float32 is itself farther from float64, {ROUNDINGS} times that: a full-scale square "
        "wave drove one RawNet2's GRU 3e-4 off, and its file 3e-3, while its scores held",
    ),
    Stage(
        "embedding",
        _ABOVE_ONE,
        {"fp32": LIMITS.embedding, "fp16": 1e-2, "int8": 0.6},
        f"{_SMALLER}In fp32 relative to its peak: moves a cosine by a few thousandths at worst",
    ),
    Stage(
        "logits",
        _ABOVE_ONE,
        {"fp32": LIMITS.logits, "fp16": 1e-2, "int8": 0.6},
        f"{_SMALLER}In fp32 relative to their peak where that is above 1: twenty layers of float32 stay near 1e-5",
    ),
    Stage(
        "scores",
        "largest difference",
        {"fp32": LIMITS.scores, "fp16": 1e-2, "int8": 0.4},
        f"{_SMALLER}Absolute; in fp32: a hundredth of a percent, which no reader of a score can see",
    ),
    Stage(
        "top-1",
        "1 where the label is another",
        _everywhere(0.0),
        "the same label wherever the checkpoint's first two scores differ by over twice the limit of scores",
    ),
    Stage(
        "decision",
        "1 where it is another",
        _everywhere(0.0),
        "runtime.decide itself, label and known, with the labels that the model file carries",
    ),
)
"""In the order in which sound passes through them: the first that is beyond its limit is where the two part."""

STAGES = {stage.name: stage for stage in TABLE}


def stage_of(name: str) -> Stage:
    """The row of the table; every `tap NAME` has the row of taps."""
    return STAGES[TAP.strip() if name.startswith(TAP) else name]


def limit_of(name: str, precision: str) -> float:
    """The limit of a stage. Raises Unusable for a precision that the table does not have."""
    limits = stage_of(name).limits
    if precision not in limits:
        raise Unusable(f"parity has no limits for precision {precision!r}: {nearest(precision, limits)}")
    return limits[precision]


def is_body(stage: str) -> bool:
    """Does the stage lie behind the front-end, where a smaller precision computes?"""
    return stage.startswith(TAP) or stage in ("embedding", "logits", "scores", "top-1", "decision")


def margin_of(precision: str) -> float:
    """How far the checkpoint's first two scores must be apart for the label to be certain: each may move by its limit.

    Raises Unusable as `limit_of` does.
    """
    return 2 * limit_of("scores", precision)


def in_order(taps: Iterable[str]) -> tuple[str, ...]:
    """Every stage of a net with these taps, in the order in which sound passes through them."""
    order: list[str] = []
    for stage in TABLE:
        order += [f"{TAP}{name}" for name in taps] if stage.name == TAP.strip() else [stage.name]
    return tuple(order)
