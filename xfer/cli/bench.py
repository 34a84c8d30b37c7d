"""`xfer bench`: size, parity, latency, real-time factor, memory of model files, on this device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.cli.console import next_steps, result, result_json, say, talk, warn

if TYPE_CHECKING:
    from xfer.runtime.bench import Row, Verdict

_COLUMNS = (
    "model",
    "precision",
    "engine",
    "MB",
    "parity",
    "verify",
    "metric",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "real time",
    "CPU %",
    "peak MB",
    "start s",
)


def bench(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Model files (.onnx, or .openvino folders).")],
    data: Annotated[str, typer.Option(metavar="DATA", help="Also the task's metric on this data set.")] = "",
    device: Annotated[
        str, typer.Option(help="Only this: cpu, cuda, cuda:N, gpu, npu ... Default: every one that works here.")
    ] = "",
    threads: Annotated[int, typer.Option(min=0, help="Only so many threads. Default: one, and all.")] = 0,
    engine: Annotated[str, typer.Option(help="Only this: onnxruntime or openvino. Default: all that are here.")] = "",
    seconds: Annotated[float, typer.Option(min=0.1, max=100, help="So long is latency measured, each way.")] = 3.0,
    allow_cpu: Annotated[bool, typer.Option("--allow-cpu", help="Take the CPU where the device is not there.")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="Float32 files as OpenVINO computes them in bfloat16.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but warnings on stderr.")] = False,
) -> int:
    """Measure each model with each engine and number of threads, and say which form to take on this device."""
    from xfer.runtime.bench import bench as run_bench
    from xfer.runtime.bench import judge
    from xfer.runtime.processor import processor_name
    from xfer.runtime.verdicts import keep

    talk.quiet = quiet
    processor = processor_name()
    say(f"on {processor}; leave the machine alone meanwhile: what else runs is measured too")
    rows = []
    for row in run_bench(models, engine, device, threads, seconds, allow_cpu, bf16):
        say(f"{row.path.name}  {row.setting.words}: {_in_short(row)}")
        for note in row.measured.notes if row.measured else ():
            warn(note)
        rows.append(row)
    metrics = _metrics(list(dict.fromkeys(row.path for row in rows)), data) if data else {}
    verdicts = judge(rows, {path: value for path, (_, value) in metrics.items()})
    kept = None
    for verdict in verdicts:
        stored = verdict.to_store(processor)
        if stored is not None:
            kept = keep(stored)
    if as_json:
        result_json(_document(processor, rows, verdicts, metrics, kept))
    else:
        _table(rows, metrics)
        for verdict in verdicts:
            result(
                f"verdict: {verdict.sentence}" if len(verdicts) == 1 else f"{_names(verdict, rows)}: {verdict.sentence}"
            )
        if kept is not None:
            say(f"kept for xfer listen in {kept}")
    wrong = [(row, row.measured.where) for row in rows if row.measured is not None and not row.measured.equal]
    for row, where in wrong:
        warn(f"xfer: {row.path} with {row.setting.words} does not compute what was exported: {where}")
    if not as_json and not wrong:
        next_steps(f"xfer listen --task {rows[0].card.task}")
    return 1 if wrong else 0


def _metrics(paths: list[Path], data: str) -> dict[Path, tuple[str, float]]:
    """Of each model file the task's metric on a data set, with its name; larger is better."""
    from importlib.util import find_spec

    if any(find_spec(package) is None for package in ("loky", "scipy", "sklearn")):
        warn("the task's metric is left out, since data sets are read by another part: pip install 'xfer[train]'")
        return {}
    from xfer.cli.progress import StepBar
    from xfer.train.data.cache import Store
    from xfer.train.data.open import read_data
    from xfer.train.data.waves import Waves
    from xfer.train.evaluation import evaluate, open_subject
    from xfer.train.evaluation.choosing import choose, usable

    found = {}
    with StepBar() as bar, Store() as store:
        for path in paths:
            subject = open_subject(path)
            readable, _ = usable(read_data(data, "", None, None), store, subject.sample_rate, bar.tell)
            clips, side = choose(readable, subject, "auto")
            told = evaluate(subject, readable, clips, Waves(subject.sample_rate, store), side)
            if told.clip_accuracy is not None:
                found[path] = (f"{told.clip_accuracy:.1%} of {told.clips} clips", told.clip_accuracy)
            elif told.verification is not None:
                eer = told.verification.cosine.eer
                found[path] = (f"EER {eer:.1%}", 1 - eer)
    return found


def _in_short(row: Row) -> str:
    if row.measured is None:
        return row.problem
    return f"{row.measured.p50_ms:.2f} ms a window, {'equal' if row.measured.equal else 'DIFFERS'}"


def _table(rows: list[Row], metrics: dict[Path, tuple[str, float]]) -> None:
    cells = [_cells(row, metrics) for row in rows]
    used = [i for i in range(len(_COLUMNS)) if any(row[i] for row in cells)]
    widths = {i: max(len(row[i]) for row in [_COLUMNS, *cells]) for i in used}
    for row in [_COLUMNS, *cells]:
        line = "  ".join(row[i].rjust(widths[i]) if i >= 7 else row[i].ljust(widths[i]) for i in used)
        result(line.rstrip())


def _cells(row: Row, metrics: dict[Path, tuple[str, float]]) -> tuple[str, ...]:
    head = (
        row.path.name,
        row.card.precision,
        row.setting.words,
        f"{row.bytes / 1e6:.1f}",
        row.parity,
    )
    metric = metrics[row.path][0] if row.path in metrics else ""
    found = row.measured
    if found is None:
        return (*head, "not run", metric, *("" for _ in range(7)))
    return (
        *head,
        "equal" if found.equal else "DIFFERS",
        metric,
        *(f"{value:.2f}" for value in (found.p50_ms, found.p95_ms, found.p99_ms)),
        f"{found.real_time_factor:.4f}",
        f"{found.cpu_percent:.1f}",
        "" if found.peak_memory_mb is None else f"{found.peak_memory_mb:.0f}",
        f"{found.cold_start_seconds:.2f}",
    )


def _names(verdict: Verdict, rows: list[Row]) -> str:
    from xfer.runtime.verdicts import checkpoint_of

    mine = [row.path.name for row in rows if (checkpoint_of(row.card) or str(row.path)) == verdict.checkpoint]
    return ", ".join(dict.fromkeys(mine))


def _document(
    processor: str,
    rows: list[Row],
    verdicts: list[Verdict],
    metrics: dict[Path, tuple[str, float]],
    kept: Path | None,
) -> dict[str, Any]:
    from xfer.runtime.bench.verdict import document

    return {
        "processor": processor,
        "verdict": " ".join(verdict.sentence for verdict in verdicts),
        "verdicts": [document(verdict) for verdict in verdicts],
        "kept": None if kept is None else str(kept),
        "rows": [row.document() | ({"metric": metrics[row.path][0]} if row.path in metrics else {}) for row in rows],
    }
