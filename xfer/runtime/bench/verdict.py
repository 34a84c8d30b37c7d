"""What the numbers mean: which precision to take here, in a sentence, and for `listen` to remember."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xfer.runtime.bench.measure import Measured
from xfer.runtime.bench.rounds import Row
from xfer.runtime.engines import FORMATS
from xfer.runtime.verdicts import Stored, checkpoint_of

WORTH = 1.1
"""A form must be faster by this factor to be taken in place of the plain one: less is within what two runs differ."""
LARGEST_LOSS = 0.005
"""Of the task's metric, as at export's gate: half a point."""


@dataclass(frozen=True)
class Verdict:
    """Of all forms of one checkpoint."""

    task: str
    checkpoint: str
    """SHA-256 of what all these files were made of; the file's name where the card does not say."""
    sentences: tuple[str, ...]
    choice: Row | None
    """What listening should take; None where no form runs and verifies here."""
    forms: int
    """How many formats and precisions were compared."""

    @property
    def sentence(self) -> str:
        """All of it."""
        return " ".join(self.sentences)

    def to_store(self, processor: str) -> Stored | None:
        """What listening remembers; None where nothing was chosen among several."""
        if self.choice is None or self.forms < 2 or not checkpoint_of(self.choice.card):
            return None
        card = self.choice.card
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return Stored(self.task, self.checkpoint, processor, card.format, card.precision, self.sentence, now)


def judge(rows: Sequence[Row], metrics: Mapping[Path, float] | None = None) -> list[Verdict]:
    """A verdict for each checkpoint among the rows; `metrics`: the task's metric of each file, where it was asked."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(checkpoint_of(row.card) or str(row.path), []).append(row)
    return [_verdict(checkpoint, group, metrics or {}) for checkpoint, group in groups.items()]


def _verdict(checkpoint: str, rows: list[Row], metrics: Mapping[Path, float]) -> Verdict:
    forms = {(row.card.format, row.card.precision): row for row in _as_listened(rows)}
    count = len({(row.card.format, row.card.precision) for row in rows})
    good = {form: row for form, row in forms.items() if _measured(row).equal}
    sentences = [
        f"{_name(form)} does not compute here what was exported ({_measured(row).where}): do not use it."
        for form, row in forms.items()
        if form not in good
    ]
    if not good:
        return Verdict(rows[0].card.task, checkpoint, (*sentences, "No form can be used here."), None, count)
    plain = min(good, key=_plainness)
    faster_ones = []
    for form, row in good.items():
        if form == plain:
            continue
        faster = _measured(good[plain]).p50_ms / _measured(row).p50_ms
        lost = metrics[good[plain].path] - metrics[row.path] if {good[plain].path, row.path} <= set(metrics) else 0.0
        sentences.append(_compared(form, plain, faster, lost, good[plain].bytes / row.bytes))
        if faster >= WORTH and lost <= LARGEST_LOSS:
            faster_ones.append(form)
    choice = min(faster_ones, key=lambda form: _measured(good[form]).p50_ms, default=plain)
    chosen = good[choice]
    sentences += _engines(rows, chosen) + _pace(chosen)
    return Verdict(chosen.card.task, checkpoint, tuple(sentences), chosen, count)


def _as_listened(rows: Sequence[Row]) -> list[Row]:
    """Of each form the way in which `listen` would run it: the format's own engine, fewest threads, the CPU first."""
    best: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row.measured is None:
            continue
        form = (row.card.format, row.card.precision)
        if form not in best or _way(row) < _way(best[form]):
            best[form] = row
    return list(best.values())


def _way(row: Row) -> tuple[int, bool, int]:
    return FORMATS[row.card.format].engines.index(row.setting.engine), row.setting.device != "cpu", row.setting.threads


def _plainness(form: tuple[str, str]) -> tuple[bool, int]:
    return form[1] != "fp32", list(FORMATS).index(form[0])


def _compared(form: tuple[str, str], plain: tuple[str, str], faster: float, lost: float, smaller: float) -> str:
    """One form against the plain one."""
    name, kept = _name(form, plain), _name(plain, form)
    if lost > LARGEST_LOSS:
        return f"{name} loses {100 * lost:.1f} points of the metric: keep {kept}."
    if faster >= WORTH:
        return f"{name} is {faster:.1f} times as fast as {kept} here: take {name}."
    if faster <= 1 / WORTH:
        return f"{name} is slower here ({1 / faster:.1f} times the latency of {kept}): keep {kept}."
    if smaller >= WORTH:
        return f"{name} is as fast as {kept} here, so it saves size only: keep {kept}."
    return f"{name} is as fast as {kept} here: keep {kept}."


def _name(form: tuple[str, str], other: tuple[str, str] | None = None) -> str:
    """`int8`, or `openvino int8` where the format differs too."""
    if other is not None and form[0] == other[0]:
        return form[1]
    return f"{form[0]} {form[1]}"


def _engines(rows: Sequence[Row], chosen: Row) -> list[str]:
    """What another engine or more threads would do for the chosen file."""
    told = []
    mine = _measured(chosen)
    for row in rows:
        if row.path != chosen.path or row is chosen or row.measured is None or not row.measured.equal:
            continue
        faster = mine.p50_ms / row.measured.p50_ms
        same_engine = (row.setting.engine, row.setting.device) == (chosen.setting.engine, chosen.setting.device)
        if same_engine and faster >= WORTH:
            told.append(f"{row.setting.threads} threads are {faster:.1f} times as fast as {chosen.setting.threads}.")
        elif not same_engine and row.setting.threads == chosen.setting.threads and faster >= WORTH:
            told.append(f"{row.setting.words} is {faster:.1f} times as fast as {chosen.setting.words}.")
    return told


def _pace(chosen: Row) -> list[str]:
    found = _measured(chosen)
    if found.real_time_factor >= 1:
        return [f"It does not keep up: a window takes {found.real_time_factor:.1f} hops; take a longer --hop."]
    return [f"It keeps up {1 / found.real_time_factor:.0f} times over, at {found.cpu_percent:.1f} % of one core."]


def _measured(row: Row) -> Measured:
    if row.measured is None:
        raise ValueError("nothing was measured")
    return row.measured


def document(verdict: Verdict) -> dict[str, Any]:
    """A verdict, ready for JSON."""
    choice = verdict.choice
    return {
        "task": verdict.task,
        "checkpoint": verdict.checkpoint,
        "verdict": verdict.sentence,
        "choice": None
        if choice is None
        else {"path": str(choice.path), "format": choice.card.format, "precision": choice.card.precision},
    }
