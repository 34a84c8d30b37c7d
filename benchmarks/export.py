"""The matrix of exports: nets x formats x precisions x engines, with parity, accuracy, size and latency of each.

    python benchmarks/export.py RUN... [--models FOLDER] [--seconds 3]

Each run is exported in every form that the table in export/formats has (what lies in FOLDER already is taken as it is),
then each file is measured in every engine that opens it, on one thread and on all, as `xfer bench` does, and hears the
test side of its run's data. Writes docs/benchmarks.md. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xfer.export.clips import real_windows, recordings_of
from xfer.export.formats import FORMS
from xfer.export.pipeline import export, target_of
from xfer.runtime.bench import Row, bench
from xfer.runtime.errors import AnswerIsNo
from xfer.runtime.selftest import processor_name
from xfer.train.checkpoint import Checkpoint, load
from xfer.train.evaluation import Evaluation, evaluate, open_subject

REPORT = Path("docs/benchmarks.md")
EDGE = "<!-- export -->"


def exported(checkpoint: Checkpoint, models: Path, name: str) -> Iterator[Path | str]:
    """The file of every form, or why there is none."""
    recordings = recordings_of(checkpoint)
    clips = real_windows(checkpoint, recordings=recordings)
    for form in FORMS:
        target = target_of(models, name, form)
        try:
            if not target.exists():
                export(
                    checkpoint,
                    models,
                    form.format,
                    form.precision,
                    name,
                    clips=clips,
                    progress=print,
                    recordings=recordings,
                )
            yield target
        except AnswerIsNo as error:
            yield f"{checkpoint.net.name} as {form.format} {form.precision}: {error}"


def tested(path: Path, checkpoint: Checkpoint) -> Evaluation:
    """The file's answers on the test side of its own run's data."""
    recordings = recordings_of(checkpoint)
    if recordings is None:
        raise SystemExit("the recordings of the run are not where they were")
    clips = recordings.data.of("test")
    return evaluate(open_subject(path, "cpu"), recordings.data, clips, recordings.waves, "test")


def line(row: Row, parity: dict[str, Any], right: str, plain: dict[tuple[str, int], float]) -> str:
    """One way to run one file; `plain`: p50 of float32 by engine and threads, of the same net."""
    found, card = row.measured, row.card
    if found is None:
        return f"| {card.net} | {card.format} {card.precision} | {row.setting.words} | {row.problem} |" + " |" * 8
    times = plain.get((row.setting.engine, row.setting.threads))
    gate = parity.get("gate")
    judged = f"{gate['before']} → {gate['after']} of {gate['clips']}" if gate else ""
    floats = len(parity.get("put_back", []))
    cells = (
        card.net,
        f"{card.format} {card.precision}",
        row.setting.words.replace(" on CPU", ""),
        f"{row.bytes / 1e6:.1f}",
        f"{parity['scores']:.0e}",
        judged + (f", {floats} put back" if floats else ""),
        right,
        f"{found.p50_ms:.1f}",
        f"{times / found.p50_ms:.2f}" if times else "",
        f"{found.p95_ms:.1f}",
        f"{found.peak_memory_mb:.0f}" if found.peak_memory_mb else "",
        f"{found.cold_start_seconds:.2f}",
    )
    return "| " + " | ".join(cells) + " |"


def table(runs: list[Path], models: Path, seconds: float) -> Iterator[str]:
    """A line for each way, and a sentence for each form that the gate refused."""
    heads = ("net", "file", "engine", "MB", "scores off", "validation clips right", "test clips right", "p50 ms")
    heads += ("faster than fp32", "p95 ms", "peak MB", "start s")
    yield "| " + " | ".join(heads) + " |"
    yield "| --- " * len(heads) + "|"
    refused = []
    for run in runs:
        checkpoint = load(run)
        files = list(exported(checkpoint, models, checkpoint.net.name))
        refused += [each for each in files if isinstance(each, str)]
        plain: dict[tuple[str, int], float] = {}
        for path in (each for each in files if isinstance(each, Path)):
            answers = tested(path, checkpoint)
            right = f"{sum(answers.right)} of {len(answers.right)}"
            for row in bench([path], seconds=seconds):
                way = (row.setting.engine, row.setting.threads)
                # An engine's own format first: OpenVINO opens an ONNX file too.
                own = row.card.format == "openvino" if way[0] == "openvino" else True
                if row.card.precision == "fp32" and own and row.measured:
                    plain[way] = row.measured.p50_ms
                yield line(row, row.card.parity, right, plain)
    for sentence in refused:
        yield ""
        yield f"Not written: {sentence}"


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("runs", type=Path, nargs="+")
    options.add_argument("--models", type=Path, default=Path("runs/exported"))
    options.add_argument("--seconds", type=float, default=3.0)
    chosen = options.parse_args()
    lines = [f"{processor_name()}, {os.cpu_count()} cores.", ""]
    for each in table(chosen.runs, chosen.models, chosen.seconds):
        print(each, flush=True)
        lines.append(each)
    text = REPORT.read_text(encoding="utf-8")
    before, _, rest = text.partition(EDGE)
    _, _, after = rest.partition(EDGE)
    REPORT.write_text(f"{before}{EDGE}\n" + "\n".join(lines) + f"\n{EDGE}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
