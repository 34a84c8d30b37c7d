"""`xfer verify`: does this exported model still compute what was trained, on this device?"""

from __future__ import annotations

from typing import Annotated

import typer

from xfer.cli.console import next_steps, result, result_json, talk, warn


def verify(
    model: Annotated[str, typer.Argument(help="A model file (.onnx, or a .openvino folder).")],
    device: Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the engine.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but warnings on stderr.")] = False,
) -> int:
    """Run a model on inputs made by formula and hold its answers against those stored when it was exported."""
    from xfer.runtime.models import load_model
    from xfer.runtime.selftest import verify as run_verify

    talk.quiet = quiet
    loaded = load_model(model, threads, device)
    for note in loaded.engine.notes:
        warn(note)
    report = run_verify(loaded)
    if as_json:
        result_json(report.document())
    else:
        width = max(len(row.input) for row in report.rows)
        for row in report.rows:
            size = row.difference
            numbers = f"scores {size.scores:.1e}  logits {size.logits:.1e}  embedding {size.embedding:.1e}"
            result(f"{row.input:<{width}}  {numbers}  {f'DIFFERS: {size.where}' if size.where else 'equal'}")
        beyond = sum(not row.difference.equal for row in report.rows)
        found = f"{beyond} of {len(report.rows)} inputs differ" if beyond else "equal"
        result(f"{found}: {report.model} with {report.engine} on {report.processor}")
    if not report.equal:
        warn("xfer: this device does not compute what was exported: try --device cpu, another engine, or export again")
        return 1
    if not as_json:
        next_steps(f"xfer listen --task {loaded.card.task} --model {model}")
    return 0
