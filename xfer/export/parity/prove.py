"""The measurement: checkpoint, oracle, the shipped graph and its twin, side by side on every input.

Checkpoint, oracle and engine are asked at the same time, one thread each: none needs another's answer, and RawNet2's
take a third of a second each. The two graphs of an engine take turns: two requests of OpenVINO in two threads of Python
have waited for each other for ever (2026.0, with two threads each).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from xfer.export import oracle
from xfer.export.inputs import CLIPPED, REAL
from xfer.export.onnx import FEATURES, OUTPUTS, TAP
from xfer.export.parity import listening
from xfer.export.parity.filters import FilterReport, compare_filters, is_sinc, kernels_in
from xfer.export.parity.limits import CALIBRATED, ROUNDINGS, in_order, is_body
from xfer.export.parity.plan import Pair, Way, few_of, runs_of
from xfer.export.parity.reference import Answer, Reference, one_thread
from xfer.export.parity.report import ParityReport, Row, is_tap, order_of
from xfer.export.parity.stages import Place, decision_row, front_end_rows, model_rows, twin_rows
from xfer.export.precisions.gate import Gate
from xfer.runtime.card import Card
from xfer.runtime.engines import Array, Outputs
from xfer.runtime.errors import Unusable
from xfer.runtime.selftest import processor_name

_AHEAD = 2
"""Inputs that are asked about before the oldest is compared; of RawNet2, each holds 100 MB."""


@dataclass(frozen=True)
class Subject:
    """A model file about to be proved."""

    card: Card
    """What the checkpoint says: its labels, its front-end. The engines carry the cards of their files."""
    ways: Sequence[Way]
    """The main one first."""
    graph: Any = None
    """The onnx.ModelProto of the file, to read the filters from; None leaves them out."""
    notes: tuple[str, ...] = ()
    """What cannot be compared here, and why."""
    gate: Gate | None = None
    """Of a precision other than fp32: validation clips, checkpoint against file."""
    put_back: tuple[str, ...] = ()
    """Layers that are float32 in such a file, since they hurt."""


def prove(
    reference: Reference,
    subject: Subject,
    inputs: Mapping[str, Array],
    progress: Callable[[int, int], None] | None = None,
) -> ParityReport:
    """Compare a model file with its checkpoint from sound to decision; `inputs` are windows, (window,) each.

    Where the main engine cannot take the graph at all, that is all that the report says. Raises Unusable where the
    checkpoint's own scores are not finite.
    """
    prover = _Prover(reference, subject, inputs)
    rows, filters = prover.filter_rows()
    main_way = subject.ways[0]
    try:
        main = main_way.open()
    except Unusable as error:
        main = None
        rows.append(prover.place(next(iter(inputs)), 1, "model", main_way.name).row("run", math.inf, str(error)))
    if main is not None:
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            rows += prover.alone(main, progress)
            rows += prover.listened(main)
            for way in subject.ways:
                rows += prover.few(way, main)
    stages = in_order(reference.taps)
    place = order_of(stages, tuple(inputs))
    rows, unheard = _as_calibrated(rows, subject.card.precision)
    rows, magnified = _with_own_rounding(reference, inputs, rows, stages)
    rows.sort(key=lambda row: (place[row.stage], place.get(row.input, -1)))
    report = ParityReport(
        model=subject.card.name,
        precision=subject.card.precision,
        engine=main.model.description if main else main_way.name,
        processor=processor_name(),
        inputs=tuple(inputs),
        stages=stages,
        rows=tuple(rows),
        engines=tuple(way.name for way in subject.ways),
        notes=(*subject.notes, *unheard, *magnified),
        filters=filters,
        gate=subject.gate,
        put_back=subject.put_back,
    )
    row = report.first_failure
    if row is not None and row.input in inputs and (is_tap(row.stage) or row.stage in OUTPUTS):
        own = reference.rounding(inputs[row.input])["logits"]
        report = replace(
            report, noise=f"; the checkpoint's own logits in float32 are {own:.1e} from those in float64 there"
        )
    return report


def _as_calibrated(rows: Sequence[Row], precision: str) -> tuple[list[Row], list[str]]:
    """The rows that a precision can be held to, and a note on the others, with what was found there.

    int8 is calibrated on recordings. On a full-scale chirp its quantizers are at their ends, as they are meant to be:
    there the front-end is held to its limits, and what the body says is told and not judged.
    """
    if precision not in CALIBRATED:
        return list(rows), []
    kept, left = list[Row](), list[Row]()
    for row in rows:
        heard = row.input.startswith(REAL) or row.input == CLIPPED
        (kept if heard or not is_body(row.stage) else left).append(row)
    worst = max((row.error for row in left if row.stage == "scores"), default=0.0)
    labels = [row.ok for row in left if row.stage == "top-1"]
    told = (
        f"{precision} was not calibrated on sound by formula: behind the front-end it is not held to a limit there "
        f"(scores differ by up to {worst:.2f}, the label is the same in {sum(labels)} of {len(labels)})"
    )
    return kept, [told] if left else []


def _with_own_rounding(
    reference: Reference, inputs: Mapping[str, Array], rows: Sequence[Row], stages: Sequence[str]
) -> tuple[list[Row], list[str]]:
    """The rows, a tap that is beyond its limit being allowed what the checkpoint's own rounding explains; and a note on
    each input where that was so.

    The worst row of the first tap is asked about first. What rounding does not explain ends it: the files of most
    failures are wrong everywhere, and each input costs a run of the net in float64.
    """
    rows, notes = list(rows), dict[str, str]()
    for stage in filter(is_tap, stages):
        beyond = [at for at, row in enumerate(rows) if row.stage == stage and not row.ok and row.input in inputs]
        for at in sorted(beyond, key=lambda at: -rows[at].error if rows[at].error < math.inf else -math.inf):
            row = rows[at]
            own = reference.rounding(inputs[row.input])[stage]
            if not row.error <= ROUNDINGS * own:
                return rows, list(notes.values())
            rows[at] = replace(row, limit=ROUNDINGS * own, note=f"{ROUNDINGS} times the checkpoint's own rounding")
            notes.setdefault(
                row.input,
                f"this net magnifies rounding on {row.input!r}: at {stage!r} the checkpoint in float32 is {own:.0e} "
                f"from itself in float64, and the file {row.error:.0e} from the checkpoint",
            )
    return rows, list(notes.values())


class _Prover:
    """One measurement, with the checkpoint's answers to the few inputs that run in more than one way."""

    def __init__(self, reference: Reference, subject: Subject, inputs: Mapping[str, Array]) -> None:
        self._reference, self._subject, self._inputs = reference, subject, inputs
        self._parameters = reference.net.frontend.oracle_parameters()
        self._names = [*OUTPUTS, FEATURES, *(f"{TAP}{name}" for name in reference.taps)]
        self._few = few_of(tuple(inputs))
        self._kept: dict[str, tuple[Answer, oracle.Array]] = {}

    def alone(self, main: Pair, progress: Callable[[int, int], None] | None) -> list[Row]:
        """Every input in a batch of one."""
        names = [*self._few, *(name for name in self._inputs if name not in self._few)]
        engine = self._subject.ways[0].name
        rows: list[Row] = []
        with ExitStack() as stack:
            lanes = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(3)]
            asked: deque[tuple[str, list[Future[Any]]]] = deque()
            waiting = iter(names)
            stack.callback(lambda: [future.cancel() for _, some in asked for future in some])
            for done in range(len(names)):
                while len(asked) < _AHEAD and (name := next(waiting, None)) is not None:
                    asked.append((name, self._ask(name, main, lanes)))
                name, futures = asked.popleft()
                answer, truth = futures[0].result(), futures[1].result()
                if name in self._few:
                    self._kept[name] = (answer, truth)
                window, card = self._inputs[name], self._subject.card
                rows += front_end_rows(window, answer, truth, card, self._parameters, self.place(name, 1))
                rows += self._compare((name,), engine, main, futures[2].result, {name: (answer, truth)})
                if progress is not None:
                    progress(done + 1, len(names))
        return rows

    def few(self, way: Way, main: Pair) -> list[Row]:
        """The few inputs in other batches, on other threads, in another engine."""
        try:
            pair = main if way.main else way.open()
        except Unusable as error:
            return [self.place(self._few[0], 1, "model", way.name).row("run", math.inf, str(error))]
        rows: list[Row] = []
        for names in runs_of(way, self._few):
            windows = np.stack([self._inputs[name] for name in names])
            rows += self._compare(names, way.name, pair, partial(self._run, pair, windows), self._kept)
        return rows

    def listened(self, main: Pair) -> list[Row]:
        """The way of `listen`, from tones at another rate to events."""
        net, engine = self._reference.net, self._subject.ways[0].name
        place = self.place(listening.NAME, 1, "model", engine)
        wanted = listening.tones(net.window, net.sample_rate, net.sample_rate)
        expected = self._reference.answer(wanted).outputs
        try:
            heard = listening.listen_to_tones(main.model, main.model.card, net.window, net.sample_rate)
        except Unusable as error:
            return [place.row("run", math.inf, str(error))]
        rows = [place.compared("heard", heard.windows[0], wanted, 1e-6)] if heard.windows else []
        if len(heard.windows) != 1:
            count = f"{len(heard.windows)} windows were heard where one window's length was played"
            rows.append(place.row("heard", math.inf, count))
        rows += [
            decision_row((event.label, event.known), expected, self._subject.card, place)
            for event in heard.events
            if event.kind == "event"
        ]
        return rows

    def filter_rows(self) -> tuple[list[Row], FilterReport | None]:
        """Sinc filters of the graph against the analytic ones; nothing where there are none."""
        subject = self._subject
        if subject.graph is None or not is_sinc(subject.card.frontend):
            return [], None
        place = self.place("all filters", 1, "", "")
        kernels = kernels_in(subject.graph, subject.card.frontend)
        if kernels is None:
            missing = "the graph has no convolution with constant filters of that number and length"
            return [place.row("filter impulse", math.inf, missing)], None
        found = compare_filters(kernels, subject.card.frontend, self._parameters)
        rows = []
        for stage, name in (("impulse", "impulse"), ("response", "response_db"), ("edges", "edges_hz")):
            at, error = found.worst(name)
            rows.append(replace(place, input=found.band(at)).row(f"filter {stage}", error))
        return rows, found

    def _ask(self, name: str, main: Pair, lanes: Sequence[ThreadPoolExecutor]) -> list[Future[Any]]:
        window = self._inputs[name]
        return [
            lanes[0].submit(self._reference.answer, window),
            lanes[1].submit(oracle.features, window, self._subject.card.frontend, self._parameters),
            lanes[2].submit(self._run, main, window[None]),
        ]

    def _run(self, pair: Pair, windows: Array) -> tuple[Outputs, dict[str, Array]]:
        """What the shipped graph says of some windows, and the twin's outputs by name. Raises Unusable."""
        outputs = pair.model.run(windows)
        return outputs, dict(zip(self._names, pair.twin.read(windows, self._names), strict=True))

    def _compare(
        self,
        names: Sequence[str],
        engine: str,
        pair: Pair,
        said: Callable[[], tuple[Outputs, dict[str, Array]]],
        known: Mapping[str, tuple[Answer, oracle.Array]],
    ) -> Iterator[Row]:
        """The rows of one batch; a window that fills it up a second time is left out."""
        size = len(names)
        try:
            outputs, twin = said()
        except Unusable as error:
            yield self.place(names[0], size, "model", engine).row("run", math.inf, str(error))
            return
        for name in dict.fromkeys(names):
            at = names.index(name)
            answer, truth = known[name]
            found = {key: values[at] for key, values in twin.items()}
            yield from twin_rows(found, answer, truth, self.place(name, size, "twin", engine))
            yield from model_rows(
                Outputs(*(part[at] for part in outputs)),
                answer.outputs,
                self._subject.card,
                pair.model.card,
                self.place(name, size, "model", engine),
            )

    def place(self, name: str, batch: int, graph: str = "", engine: str = "") -> Place:
        """Where rows are measured."""
        return Place(name, batch, graph, engine, self._subject.card.precision)
