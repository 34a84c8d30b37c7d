"""What parity found: comparisons, and the sentence about them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xfer.export.inputs import REAL
from xfer.export.onnx import TAP
from xfer.export.parity.filters import FilterReport
from xfer.export.parity.limits import stage_of
from xfer.export.parity.measures import Measures
from xfer.export.precisions.gate import Gate


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
    graph: str = ""
    """`model`: the graph that is shipped; `twin`: the one with the taps; empty where neither ran."""
    engine: str = ""
    """Which engine ran it, and threads; empty where none did."""
    measures: Measures | None = None
    """None where two arrays were not compared."""

    @property
    def ok(self) -> bool:
        """Within the limit? Never for NaN."""
        return self.error <= self.limit

    @property
    def where(self) -> str:
        """Input, batch, engine and graph, in words."""
        parts = [self.input]
        if self.batch != 1:
            parts.append(f"batch of {self.batch}")
        if self.engine:
            parts.append(self.engine)
        if self.graph == "model" and self.stage in ("embedding", "logits", "scores"):
            parts.append("the shipped graph")
        return ", ".join(parts)

    def document(self) -> dict[str, Any]:
        """The row, ready for JSON; a number that is not finite is null."""
        measures = self.measures
        return {
            "stage": self.stage,
            "input": self.input,
            "batch": self.batch,
            "error": _finite(self.error),
            "limit": self.limit,
            "ok": self.ok,
            **({"graph": self.graph, "engine": self.engine} if self.engine else {}),
            **(
                {
                    "peak_error": _finite(measures.relative(1e-6)),
                    "l2": _finite(measures.l2),
                    "snr_db": _finite(measures.snr_db),
                    "cosine": _finite(measures.cosine),
                }
                if measures
                else {}
            ),
            **({"note": self.note} if self.note else {}),
        }


@dataclass(frozen=True)
class ParityReport:
    """All comparisons of one model file with its checkpoint."""

    model: str
    precision: str
    engine: str
    """The one that all inputs ran on."""
    processor: str
    inputs: tuple[str, ...]
    stages: tuple[str, ...]
    """In the order in which sound passes through them."""
    rows: tuple[Row, ...]
    engines: tuple[str, ...] = ()
    """Every engine with its threads, the main one first."""
    notes: tuple[str, ...] = ()
    """What was not compared and why; where a limit was widened and why."""
    filters: FilterReport | None = None
    """Of a front-end of sinc filters: each band, exported against analytic."""
    gate: Gate | None = None
    """Of a precision other than fp32: validation clips, checkpoint against file."""
    put_back: tuple[str, ...] = ()
    """Layers that are float32 in such a file, since they hurt."""
    noise: str = ""
    """After a failure: how far the checkpoint in float32 is from itself in float64, which tells a wrong graph from a
    net that makes much of rounding."""
    _worst: dict[str, Row] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        worst: dict[str, Row] = {}
        for row in self.rows:
            if row.stage not in worst or _size(row) > _size(worst[row.stage]):
                worst[row.stage] = row
        object.__setattr__(self, "_worst", worst)

    @property
    def ok(self) -> bool:
        """Is every comparison within its limit? Not where none was made."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def worst(self, stage: str) -> Row | None:
        """The row of a stage that is farthest out, or None where the stage was not compared."""
        return self._worst.get(stage)

    @property
    def compared(self) -> dict[str, Row]:
        """The worst row of each stage that was compared, in order."""
        return {stage: self._worst[stage] for stage in self.stages if stage in self._worst}

    @property
    def first_failure(self) -> Row | None:
        """The worst row of the first stage that is beyond its limit."""
        return next((row for row in self.compared.values() if not row.ok), None)

    def agreement(self, stage: str = "top-1") -> tuple[int, int]:
        """Of the comparisons of a stage: how many are within the limit, and how many there are."""
        rows = [row for row in self.rows if row.stage == stage]
        return sum(row.ok for row in rows), len(rows)

    def sentence(self) -> str:
        """Which stage parts first and by how much, or that none does."""
        row = self.first_failure
        if row is None:
            return f"parity holds in all of {len(self.rows)} comparisons" if self.rows else "nothing was compared"
        how = row.note or (f"{row.error:.1e} where {row.limit:.0e} is allowed" if row.limit else "not the same")
        if row.limit and row.measures and math.isfinite(row.measures.snr_db):
            how += f" (SNR {row.measures.snr_db:.0f} dB)"
        failed = sum(not each.ok for each in self.rows)
        return (
            f"parity failed: the model file parts from the checkpoint first at the stage {row.stage!r} ({row.where}): "
            f"{how}{self._before(row)}; {failed} of {len(self.rows)} comparisons are beyond their limits{self.noise}"
        )

    def _before(self, row: Row) -> str:
        """The last stage of the sound's way that is still right, with its error; only stages with a size of error."""
        signal = [each for each in self.compared.values() if each.limit and each.graph]
        before = None
        for each in signal:
            if each.stage == row.stage:
                break
            before = each
        return (
            f"; {before.stage!r} before it is within {before.error:.0e}" if before and row.graph and row.limit else ""
        )

    def summary(self) -> dict[str, Any]:
        """For the card: the largest error of each stage, its limit, on what and with what it was measured."""
        return {
            "ok": self.ok,
            **{name: _finite(row.error) for name, row in self.compared.items()},
            "limits": {name: row.limit for name, row in self.compared.items()},
            "comparisons": len(self.rows),
            "inputs": len(self.inputs),
            "real_inputs": sum(name.startswith(REAL) for name in self.inputs),
            "batches": sorted({row.batch for row in self.rows}),
            "engine": self.engine,
            "engines": list(self.engines),
            "processor": self.processor,
            **({"gate": self.gate.to_json(), "put_back": list(self.put_back)} if self.gate else {}),
        }

    def to_json(self) -> dict[str, Any]:
        """The whole report, as JSON; an error that is no finite number is null."""
        agree, of = self.agreement()
        return {
            "version": 2,
            "model": self.model,
            "precision": self.precision,
            "sentence": self.sentence(),
            **self.summary(),
            "top1_agreement": agree / of if of else None,
            "notes": list(self.notes),
            "reasons": {name: stage_of(name).reason for name in self.compared},
            "measures": {name: stage_of(name).measure for name in self.compared},
            **({"filters": self.filters.document()} if self.filters else {}),
            "rows": [row.document() for row in self.rows],
        }

    def to_text(self) -> str:
        """`to_json` as text, a row a line."""
        document = self.to_json()
        rows = ",\n    ".join(_line(row) for row in document.pop("rows"))
        head = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        return f'{head.removesuffix("}").rstrip()},\n  "rows": [\n    {rows}\n  ]\n}}\n'


def judged(report: ParityReport) -> list[str]:
    """What the gate said of a precision other than fp32, in sentences."""
    if report.gate is None:
        return []
    floats = f"; put back to float32: {', '.join(report.put_back)}" if report.put_back else ""
    return [f"accuracy of {report.precision}: {report.gate.sentence()}{floats}"]


def table(report: ParityReport) -> list[str]:
    """For a terminal: a line a stage with its worst case."""
    lines = [f"{'stage':<18}{'largest error':<15}{'limit':<9}{'SNR':>6}  at"]
    for stage, row in report.compared.items():
        if row.limit:
            ratios = [each.measures.snr_db for each in report.rows if each.stage == stage and each.measures]
            ratio = f"{min(ratios):.0f} dB" if ratios and math.isfinite(min(ratios)) else ""
            beyond = "" if row.ok else "  BEYOND"
            lines.append(f"{stage:<18}{row.error:<15.1e}{row.limit:<9.0e}{ratio:>6}  {row.where}{beyond}")
        else:
            same, of = report.agreement(stage)
            lines.append(f"{stage:<18}{'equal' if same == of else 'NOT EQUAL':<15}{'':<9}{'':>6}  {same} of {of}")
    return lines


def order_of(stages: tuple[str, ...], inputs: tuple[str, ...]) -> Mapping[str, int]:
    """Places to sort rows by: stages in the sound's way, inputs as they were given."""
    return {name: place for place, name in enumerate((*stages, *inputs))}


def is_tap(stage: str) -> bool:
    """Is this one of the net's own stages?"""
    return stage.startswith(TAP)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


def _size(row: Row) -> float:
    return math.inf if math.isnan(row.error) else row.error / row.limit if row.limit else row.error


def _finite(value: float) -> float | None:
    """Six digits; None for what is no finite number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
