"""What parity found: stages with their limits and the reason of each, comparisons, and the sentence about them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from xfer.export.inputs import REAL
from xfer.runtime.selftest import LIMITS

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
        Stage("embedding", LIMITS.embedding, "relative to its peak: moves a cosine by a few thousandths at worst"),
        Stage(
            "logits",
            LIMITS.logits,
            "relative to their peak where that is above 1: float32 through twenty layers stays near 1e-5",
        ),
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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
