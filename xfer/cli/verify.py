"""`xfer verify`: does this exported model still compute what was trained, on this device?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.cli.console import next_steps, result, result_json, say, talk, warn

if TYPE_CHECKING:
    from pathlib import Path

    from xfer.runtime.selftest import VerifyReport


def verify(
    model: Annotated[str, typer.Argument(help="A model file (.onnx, or a .openvino folder).")],
    device: Annotated[
        str, typer.Option(help="Only this: cpu, cuda, cuda:N, gpu, npu ... Default: every one that works here.")
    ] = "",
    threads: Annotated[int, typer.Option(min=0, help="Only so many threads. Default: one, and all.")] = 0,
    engine: Annotated[str, typer.Option(help="Only this: onnxruntime or openvino. Default: all that are here.")] = "",
    allow_cpu: Annotated[bool, typer.Option("--allow-cpu", help="Take the CPU where the device is not there.")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="A float32 file as OpenVINO computes it in bfloat16.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but warnings on stderr.")] = False,
) -> int:
    """Run a model's golden clips on each engine that is here, and hold its answers against those of the checkpoint."""
    from xfer.runtime.here import settings_for
    from xfer.runtime.models import model_path
    from xfer.runtime.processor import processor_name
    from xfer.runtime.selftest import verify_with

    talk.quiet = quiet
    path = model_path(model)
    reports = []
    for report in verify_with(path, settings_for(path, engine, device, threads, allow_cpu, bf16)):
        for note in report.notes:
            warn(note)
        if not as_json:
            _show(report)
        reports.append(report)
    compared = [report for report in reports if report.rows]
    equal = all(report.equal for report in compared)
    if as_json:
        result_json(_document(path, reports, equal))
    else:
        differ = sum(not report.equal for report in compared)
        found = "equal" if equal else f"{differ} of {len(compared)} differ"
        result(f"{found}: {path} on {processor_name()}, {compared[0].inputs}")
    if not equal:
        warn("xfer: this device does not compute what was exported: try --device cpu, another engine, or export again")
        return 1
    if not as_json:
        _say_what_next(path)
    return 0


def _show(report: VerifyReport) -> None:
    if report.problem:
        result(f"{report.engine}: not compared: {report.problem}")
        return
    sizes = "  ".join(f"{stage} {size:.1e}" for stage, size in report.largest().items())
    result(f"{report.engine}: {'equal' if report.equal else 'DIFFERS'}  ({sizes})")
    different = [row for row in report.rows if not row.difference.equal]
    for row in different:
        result(f"  {row.input}: {row.difference.where}")
    if len(different) < len(report.rows) and different:
        say(f"  the other {len(report.rows) - len(different)} inputs are equal")


def _document(path: Path, reports: list[VerifyReport], equal: bool) -> dict[str, Any]:
    from xfer.runtime.processor import processor_name

    return {
        "model": str(path),
        "processor": processor_name(),
        "equal": equal,
        "engines": [report.document() for report in reports],
    }


def _say_what_next(path: Path) -> None:
    """Listening, and the other forms of the same net that lie beside it, which this said nothing about."""
    from xfer.runtime.engines import read_card
    from xfer.runtime.models import other_forms

    card = read_card(path)
    others = [str(other) for other in other_forms(path, card)]
    next_steps(
        f"xfer listen --task {card.task} --model {path}",
        *(f"xfer verify {other}" for other in others),
        " ".join(["xfer bench", str(path), *others]),
    )
