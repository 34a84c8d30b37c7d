"""How much a model file may differ from what was trained, by precision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one precision. Parity uses the same."""

    frontend: float = 1e-5
    """Front-end: max|y - oracle| / max(peak of the oracle in that window, 1e-6)."""
    scores: float = 1e-4
    """Scores: absolute."""
    logits: float = 1e-4
    """Logits: times max(1, the reference's largest absolute logit)."""
    embedding: float = 1e-4
    """Embedding: likewise."""
    margin: float = 2e-4
    """The decision must be equal wherever the reference's first two scores differ by more than this."""


LIMITS = Limits()
"""Of fp32."""

_BY_PRECISION = {
    "fp32": LIMITS,
    # Golden clips of these hold what the model file itself said where parity was measured. Another device rounds the
    # same small numbers in another order: by 2**-11 a value in fp16, by a step of a quantizer, 2**-8, in int8. The
    # front-end stays in float32 in both.
    "fp16": Limits(scores=5e-3, logits=5e-3, embedding=5e-3, margin=1e-2),
    # A file in float32 that OpenVINO computes in bf16, the front-end too: 8 bits of each number.
    "bf16": Limits(frontend=2e-2, scores=5e-2, logits=5e-2, embedding=5e-2, margin=1e-1),
    "int8": Limits(scores=5e-2, logits=5e-2, embedding=5e-2, margin=1e-1),
}


def limits_of(precision: str) -> Limits:
    """The limits of a precision; of one that is not in the table, those of fp32."""
    return _BY_PRECISION.get(precision, LIMITS)
