"""`xfer export`: a checkpoint becomes a model file that runs anywhere, with proof that it computes what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer.cli.console import next_steps, result, result_json, say, talk, warn

if TYPE_CHECKING:
    from xfer.export.formats import Form
    from xfer.export.pipeline import Exported
    from xfer.runtime.card import Card
    from xfer.train.checkpoint import Checkpoint


def export(
    checkpoint: Annotated[
        str, typer.Argument(help="A checkpoint (.safetensors) or a run's folder; default: the newest finished run.")
    ] = "",
    format: Annotated[str, typer.Option(help="onnx or openvino.")] = "onnx",
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    frontend: Annotated[
        str, typer.Option(help="Form of the front-end: conv, fft, or auto: the faster one here.")
    ] = "auto",
    negatives: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DATA",
            help="A data set of sound that holds none of the labels: the threshold for unknown is found on it. "
            "Several: give it again. Default: classes held out of the training and recordings of background.",
        ),
    ] = None,
    false_accepts: Annotated[
        float, typer.Option("--false-accepts", help="Share of such clips that may be taken for a label.")
    ] = 0.05,
    name: Annotated[str, typer.Option(help="The model's name, in place of the task's.")] = "",
    out: Annotated[Path, typer.Option(help="Folder of the model file.")] = Path("models"),
    no_recordings: Annotated[
        bool,
        typer.Option("--no-recordings", help="No window of the data in the file, even where its licence allows it."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Warnings and errors only.")] = False,
) -> None:
    """Export a checkpoint as a model file; refused, with nothing written, where parity fails."""
    talk.quiet = quiet
    _need_packages(format, precision)
    from xfer.export.clips import real_windows, recordings_of
    from xfer.export.formats import form_of
    from xfer.export.frontend import checked_word
    from xfer.export.pipeline import export as run_export
    from xfer.export.provenance import changed_since
    from xfer.export.threshold import ask
    from xfer.train.runs import newest_finished

    form = form_of(format, precision)
    checked_word(frontend)
    source = Path(checkpoint) if checkpoint else newest_finished(Path("runs"))
    loaded = _load(source, out, name, form)
    say(f"{loaded.path}: {loaded.net.name} for task {loaded.task}, {len(loaded.labels)} labels")
    if loaded.data.get("synthetic"):
        warn("note: trained on SYNTHETIC sound only; the card says so wherever the model is shown")
    recordings = recordings_of(loaded)
    if recordings and changed_since(loaded, recordings.data):
        warn("note: the recordings of this run are no longer those that it was trained on")
    asked = ask(loaded, recordings, negatives or [], false_accepts)
    clips = real_windows(loaded, recordings=recordings)
    if not clips:
        say("the data of this run is not where it was: parity has its formula inputs alone")
    exported = run_export(
        loaded,
        out,
        form.format,
        form.precision,
        name or None,
        frontend,
        clips,
        progress=say,
        recordings=recordings,
        asked=asked,
        recorded=not no_recordings,
    )
    _show(exported, as_json)
    if negatives and exported.card.threshold is None:
        warn(f"note: the threshold stays {exported.card.threshold_origin}; every sound gets a label")


def _load(source: Path, out: Path, name: str, form: Form) -> Checkpoint:
    """Load a checkpoint; where that fails, the message also names the older model that stays."""
    from xfer.export.place import older_in
    from xfer.runtime.errors import XferError
    from xfer.train.checkpoint import load

    try:
        return load(source)
    except XferError as error:
        kept = older_in(out, form.suffix, name)
        raise (type(error)(f"{error}; {kept}") if kept else error) from None


def _show_threshold(card: Card) -> None:
    """What is called unknown; where that is most of what should be known, what other shares would give."""
    from xfer.runtime.card import describe_threshold, digits

    result(f"unknown: {describe_threshold(card)}")
    if card.threshold is None:
        if card.threshold_origin == "uncalibrated":
            say("sound that holds none of the labels would tell: xfer export --negatives DATA")
        return
    result(f"  {card.threshold_origin}")
    known = card.calibration["validation"]
    if 2 * known["accepted"] < known["clips"]:
        warn(f"note: only {known['accepted']} of {known['clips']} validation clips stay known; other --false-accepts:")
        for point in card.calibration["curve"]:
            share, stay = f"{point['false_accepts']:g}", f"{point['known']} of {known['clips']}"
            warn(f"  {share:>5}: below {digits(point['threshold'])}, {stay} stay known")


def _need_packages(format: str, precision: str) -> None:
    """Raise NotThere, naming the extra, for a package that is needed and not installed."""
    from importlib.util import find_spec

    from xfer.runtime.errors import need_extra

    needed = [("torch", "train"), ("safetensors", "train"), ("tomli_w", "train"), ("onnx", "export")]
    needed += {"onnx": [("onnxruntime", "cpu")], "openvino": [("openvino", "openvino")]}.get(format, [])
    needed += {"fp16": [("onnxruntime", "cpu")], "int8": [("nncf", "export")]}.get(precision, [])
    for package, extra in needed:
        if find_spec(package) is None:
            raise need_extra(package, extra)


def _show(exported: Exported, as_json: bool) -> None:
    from xfer.export.parity.report import judged, table

    card, parity = exported.card, exported.parity
    if as_json:
        result_json(
            {
                "path": str(exported.path),
                "name": card.name,
                "task": card.task,
                "net": card.net,
                "format": card.format,
                "precision": card.precision,
                "opset": card.opset,
                "frontend": card.frontend["computed"],
                "bytes": exported.size,
                "threshold": card.threshold,
                "threshold_origin": card.threshold_origin,
                "calibration": card.calibration,
                "parity": card.parity,
                "report": str(exported.report) if exported.report else None,
                "seconds": round(exported.seconds, 1),
            }
        )
        return
    for line in table(parity):
        result(line)
    result(parity.sentence())
    for line in judged(parity):
        result(line)
    for note in parity.notes:
        say(f"note: {note}")
    _show_threshold(card)
    form = f"{card.format} {card.precision}" + (f", opset {card.opset}" if card.opset else "")
    result(f"{exported.path}  {exported.size / 1e6:.1f} MB  {form}  ({exported.seconds:.0f} s)")
    if exported.report:
        say(f"all {len(parity.rows)} comparisons: {exported.report}, drawn: {exported.report.with_suffix('.html')}")
    where = "" if exported.path.parent == Path("models") and card.name == card.task else f" --model {exported.path}"
    next_steps(f"xfer verify {exported.path}", f"xfer listen --task {card.task}{where}")
