"""Export: a checkpoint becomes a model file, once it is proved that the file computes what was trained."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from xfer.export.clips import Recordings
from xfer.export.describe import card_of
from xfer.export.fold import fold
from xfer.export.formats import Form, form_of
from xfer.export.frontend import Choice, choose
from xfer.export.golden import AsExported, golden_clips
from xfer.export.inputs import parity_inputs
from xfer.export.onnx import to_shipped, to_twin
from xfer.export.parity import ParityReport, Reference, Subject, prove, ways_of
from xfer.export.parity.page import document
from xfer.export.parity.report import table
from xfer.export.place import check_place, older, put_in_place, workplace
from xfer.export.precisions.calibration import at_levels
from xfer.export.precisions.reducing import Reduced, reduce
from xfer.export.precisions.trial import Trial
from xfer.export.threshold import Asked, calibrated
from xfer.runtime.atomic import write_atomically
from xfer.runtime.card import Card
from xfer.runtime.engines import Array, open_engine
from xfer.runtime.errors import AnswerIsNo, Unusable
from xfer.runtime.models import load_model
from xfer.runtime.selftest import verify
from xfer.runtime.selftest.golden import to_text
from xfer.train.checkpoint import Checkpoint


@dataclass(frozen=True)
class Exported:
    """A model file that is in its place."""

    path: Path
    card: Card
    parity: ParityReport
    report: Path | None
    """Where the parity report lies, its page beside it (.html); None where the run's folder cannot be written."""
    size: int
    """Bytes."""
    seconds: float


def export(
    checkpoint: Checkpoint,
    out: Path = Path("models"),
    format: str = "onnx",
    precision: str = "fp32",
    name: str | None = None,
    frontend: str = "auto",
    clips: Mapping[str, Array] | None = None,
    progress: Callable[[str], None] = lambda _line: None,
    recordings: Recordings | None = None,
    asked: Asked | None = None,
    recorded: bool = True,
) -> Exported:
    """Fold, convert, prove and put in place; `clips` are real windows, (window,) each, that parity also hears.

    `frontend`: the form of the front-end, conv or fft, or auto: the one that is faster here in the format's engine.
    `recordings`: those of the run; a precision other than fp32 is calibrated and judged on them.
    `asked`: what a threshold for unknown sound is to be found on; without it the card says uncalibrated.
    `recorded`: may windows of the data travel in the file as golden clips, where their licence allows it?
    The file goes to `out`/<name><suffix>, the name being the task's unless given. It is written under a hidden name
    first; whatever goes wrong leaves an older file of that name as it was. The parity report goes to the run's.
    Raises AnswerIsNo where the file does not compute what was trained, or loses accuracy at the gate; Unusable for a
    format, precision, form or name that cannot be, or too few recordings; NotThere for an absent package; OSError (a
    full disk).
    """
    began = time.monotonic()
    form = form_of(format, precision)
    target = target_of(out, name or checkpoint.task, form)
    net = checkpoint.net
    with workplace(target) as folder:
        choice = choose(net.frontend, net.window, form.format, frontend)
        progress(f"folding {net.name}: front-end as {_told(choice)}, {form.format} {form.precision}")
        reference = Reference(net)
        card = card_of(checkpoint, name or checkpoint.task, form, choice, recordings.data if recordings else None)
        twin_graph = to_twin(fold(net, choice.form))
        graphs = Reduced(twin_graph, form.shipped(twin_graph))
        if form.reducer:
            trial = Trial(checkpoint, recordings, form, card, folder, progress)
            try:
                graphs = reduce(form, twin_graph, trial, progress)
            except AnswerIsNo as error:
                raise AnswerIsNo(_refusal(str(error), target, None)) from error
        if asked and asked.negatives:
            heard_by = folder / f"asked{form.suffix}"
            form.writer(graphs.shipped, card, heard_by)
            card = calibrated(card, open_engine(heard_by, 1, "cpu"), asked, progress)
        draft, twin = folder / target.name, folder / f"twin{form.suffix}"
        form.writer(graphs.shipped, card, draft)
        check_place(draft, target)
        form.writer(graphs.twin, card, twin)
        ways, notes = ways_of(draft, twin)
        progress(f"asking the {'file' if form.reducer else 'checkpoint'} what {net.name} should say")
        said_by = AsExported(ways[0].open().model, reference) if form.reducer else reference
        golden, said = golden_clips(said_by, card, (clips or {}) if recorded else {})
        progress(said)
        heard = {**(clips or {}), **(at_levels(clips or {}) if form.calibrated else {})}
        inputs = parity_inputs(net.window, net.sample_rate, heard)
        progress(f"parity on {len(inputs)} inputs, from front-end to decision")
        parity = prove(
            reference,
            Subject(card, ways, to_shipped(twin_graph), tuple(notes), graphs.gate, graphs.put_back),
            inputs,
            lambda done, of: None if done % 8 and done < of else progress(f"parity: {done} of {of} inputs"),
        )
        report = _write_report(parity, checkpoint.path.parent / f"parity-{form.format}{_dash(form)}.json", progress)
        if not parity.ok:
            for line in table(parity):
                progress(line)
            raise AnswerIsNo(_refusal(parity.sentence(), target, report))
        card = replace(card, parity=parity.summary())
        final = folder / "final" / target.name
        final.parent.mkdir()
        form.writer(graphs.shipped, card, final, to_text(golden, card.sample_rate))
        _check_final(final, target, report)
        size = _size(final)
        put_in_place(final, target)
    return Exported(target, card, parity, report, size, time.monotonic() - began)


def target_of(out: Path, name: str, form: Form) -> Path:
    """Where a model of that name goes. Raises Unusable for what cannot be a file's name."""
    if (
        not name
        or name.startswith((".", "-"))
        or any(letter in '/\\:*?"<>|' or not letter.isprintable() for letter in name)
    ):
        raise Unusable(f"{name!r} cannot be a model's name: take letters, digits, - and _ (--name)")
    return out / f"{name}{form.suffix}"


def _told(choice: Choice) -> str:
    """The form of the front-end and how it was chosen, in words."""
    form = "a transform in two stages, {} x {}".format(*choice.split) if choice.split else "a convolution"
    measured = [f"{name} {spent:g} ms" for name, spent in choice.milliseconds.items()]
    return f"{form} (here {', '.join(measured)})" if measured else form


def _check_final(final: Path, target: Path, report: Path | None) -> None:
    """Load the finished file as any device would, and let it verify itself: only its card changed since parity."""
    verified = verify(load_model(final, device="cpu"))
    if not verified.equal:
        row = next(row for row in verified.rows if not row.difference.equal)
        raise AnswerIsNo(
            _refusal(f"the finished file does not verify: {row.input}: {row.difference.where}", target, report)
        )


def _refusal(sentence: str, target: Path, report: Path | None) -> str:
    kept = older(target) or f"{target} was not written"
    return f"{sentence}; {kept}{f'; all comparisons: {report}' if report else ''}"


def _write_report(parity: ParityReport, path: Path, progress: Callable[[str], None]) -> Path | None:
    """Write the parity report and its page into the run's folder; where that may only be read there is none, and this
    is said."""
    try:
        write_atomically(path, parity.to_text().encode("utf-8", "surrogateescape"))
        write_atomically(path.with_suffix(".html"), document(parity).encode("utf-8", "surrogateescape"))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        progress(
            f"the parity report cannot be written to {path.parent}, which may only be read; the card has its summary"
        )
        return None
    return path


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _dash(form: Form) -> str:
    return "" if form.precision == "fp32" else f"-{form.precision}"
