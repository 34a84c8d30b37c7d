"""The paper's Table 3 in small: both nets, from scratch and transferred both ways with `head`, on real recordings.

    python benchmarks/transfer.py --data ../shared/data --runs runs/table3            train what is missing, then report
    python benchmarks/transfer.py --data ../shared/data --runs runs/table3 --report-only

Speaker: libri_vctk_layout (80 people). Genre: music_fma_layout (7 genres). Writes docs/results.md. Each number is the
best validation epoch's, measured once on the test side. The seed sets weights, order and augmentation; the split stays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = {"speaker": "libri_vctk_layout", "genre": "music_fma_layout"}
OTHER = {"speaker": "genre", "genre": "speaker"}
HEAD = ("--transfer", "head", "--epochs", "60", "--set", "fit.batch=32", "--set", "fit.learning_rate=3e-3")
CONVNET = ("--net", "convnet", "--set", "fit.crops_per_clip=4")
RAWNET2 = ("--net", "rawnet2", "--set", "fit.batch=16", "--set", "options.normalise=none")
SCRATCH = {
    ("convnet", "speaker"): (*CONVNET, "--epochs", "15"),
    ("convnet", "genre"): (*CONVNET, "--epochs", "12"),
    ("rawnet2", "speaker"): (*RAWNET2, "--set", "fit.crops_per_clip=3", "--epochs", "10"),
    ("rawnet2", "genre"): (*RAWNET2, "--set", "fit.crops_per_clip=4", "--epochs", "6"),
}
REPORT = Path("docs/results.md")


@dataclass(frozen=True)
class Cell:
    """One cell of the table for one seed."""

    net: str
    task: str
    transferred: bool
    seed: int

    @property
    def name(self) -> str:
        """The run's folder."""
        short = {"convnet": "conv", "rawnet2": "raw"}[self.net]
        return f"{short}-{OTHER[self.task] + '2' if self.transferred else ''}{self.task}-{self.seed}"

    def command(self, data: Path, runs: Path) -> list[str]:
        """The `xfer train` that fills it."""
        where = [str(data / DATA[self.task]), "--seed", str(self.seed), "--out", str(runs / self.name)]
        if not self.transferred:
            return [*where, *SCRATCH[self.net, self.task]]
        source = Cell(self.net, OTHER[self.task], False, self.seed)
        few = ("--set", "transfer.augmentations=1") if self.net == "rawnet2" else ()
        return [*where, "--from", str(runs / source.name), *HEAD, *few]


def cells(seeds: dict[str, int]) -> Iterator[Cell]:
    """Sources before what is transferred from them."""
    for seed in range(max(seeds.values())):
        for net, wanted in seeds.items():
            for transferred in (False, True):
                for task in DATA:
                    if seed < wanted:
                        yield Cell(net, task, transferred, seed)


def test_metrics(runs: Path, cell: Cell) -> dict[str, float] | None:
    """What the finished run measured on the test side."""
    try:
        if json.loads((runs / cell.name / "run.json").read_text())["state"] != "finished":
            return None
        found: dict[str, float] = json.loads((runs / cell.name / "best.json").read_text())["metrics"]["test"]
    except (OSError, KeyError, ValueError):
        return None
    return found


def spread(values: list[float], scale: float = 100.0) -> str:
    """Mean and sample standard deviation."""
    mean = f"{scale * np.mean(values):.1f}" if scale != 1.0 else f"{np.mean(values):.3f}"
    if len(values) < 2:
        return mean
    deviation = scale * np.std(values, ddof=1)
    return f"{mean} ± {deviation:.1f}" if scale != 1.0 else f"{mean} ± {deviation:.3f}"


def table(runs: Path, seeds: dict[str, int]) -> list[str]:
    """Rows: net, task, how it was trained; test rates over the seeds that are finished."""
    lines = [
        "| net | task | trained | clips right, % | windows right, % | macro F1 | seeds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for net in seeds:
        for task in DATA:
            for transferred in (False, True):
                found = [
                    metrics
                    for seed in range(seeds[net])
                    if (metrics := test_metrics(runs, Cell(net, task, transferred, seed))) is not None
                ]
                if not found:
                    continue
                how = f"head on a frozen {OTHER[task]} body" if transferred else "from scratch"
                rates = [[row[key] for row in found] for key in ("clip_accuracy", "window_accuracy", "macro_f1")]
                shown = f"{spread(rates[0])} | {spread(rates[1])} | {spread(rates[2], 1.0)}"
                lines.append(f"| {net} | {task} | {how} | {shown} | {len(found)} |")
    return lines


def main() -> None:
    """Train what is missing and write the report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--runs", type=Path, default=Path("runs/table3"))
    options.add_argument("--convnet-seeds", type=int, default=3)
    options.add_argument("--rawnet2-seeds", type=int, default=1, help="each takes about an hour on two cores")
    options.add_argument("--report-only", action="store_true")
    chosen = options.parse_args()
    seeds = {"convnet": chosen.convnet_seeds, "rawnet2": chosen.rawnet2_seeds}
    if not chosen.report_only:
        for cell in cells(seeds):
            if test_metrics(chosen.runs, cell) is None:
                print(cell.name, flush=True)
                command = [sys.executable, "-m", "xfer.cli", "train", *cell.command(chosen.data, chosen.runs)]
                subprocess.run(command, check=True)
    marker = "<!-- table 3 -->"
    before, _, rest = REPORT.read_text(encoding="utf-8").partition(marker)
    _, _, after = rest.partition(marker)
    REPORT.write_text("\n".join([before + marker, *table(chosen.runs, seeds), marker + after]), encoding="utf-8")
    print("\n".join(table(chosen.runs, seeds)))


if __name__ == "__main__":
    main()
