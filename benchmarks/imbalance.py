"""What helps where classes are of very different size: each method of `fit`, on real recordings thinned to a tail.

    python benchmarks/imbalance.py --data ../shared/data/esc10 --from RUN [--seeds 3]

The training side keeps all clips of two classes and ever fewer of the others, which together are half of it, as in
FMA-medium (two genres are 54 %); validation and test stay even. The split is by fold, which keeps a recording's clips
together; which class is large is drawn by the seed. A new last layer on the frozen body of RUN learns, so that a
training takes a minute. Writes its table into docs/results.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from xfer.train.data.layouts import read

KEPT = (24, 24, 10, 8, 6, 5, 4, 3, 3, 2)
"""Training clips of each class, the largest first: the first two are 54 % of all."""
METHODS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "balanced sampling": ("fit.sampling=balanced",),
    "class weights": ("fit.class_weights=balanced",),
    "logit adjustment": ("fit.logit_adjustment=1.0",),
    "focal loss": ("fit.loss=focal",),
}
HEAD = ("--transfer", "head", "--epochs", "40", "--set", "fit.batch=32", "--set", "fit.learning_rate=3e-3")
REPORT = Path("docs/results.md")


def write_manifest(data: Path, seed: int, table: Path) -> list[str]:
    """The layout's own sides, training thinned; the classes' names, the largest first."""
    rng = np.random.default_rng(seed)
    clips = list(read(data).clips)
    order = [str(label) for label in rng.permutation(sorted({clip.label for clip in clips}))]
    quota = dict(zip(order, KEPT, strict=True))
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "group", "split", "task"])
        for clip in (clips[i] for i in rng.permutation(len(clips))):
            side = clip.split or "train"
            if side == "train":
                if not quota[clip.label]:
                    continue
                quota[clip.label] -= 1
            rows.writerow([clip.path.absolute(), clip.label, clip.group, side, "sound"])
    return order


def tested(table: Path, source: str, seed: int, settings: tuple[str, ...], out: Path) -> dict[str, Any]:
    """Metrics of the test side."""
    command = [sys.executable, "-m", "xfer.cli", "train", str(table), "--from", source, *HEAD, "--seed", str(seed)]
    command += ["--out", str(out), "--quiet", "--no-preflight", "--json"]
    command += [word for setting in settings for word in ("--set", setting)]
    told: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found: dict[str, Any] = told["test"]
    return found


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--from", dest="source", required=True)
    options.add_argument("--seeds", type=int, default=3)
    chosen = options.parse_args()
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in METHODS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(chosen.seeds):
            table = Path(folder) / f"manifest-{seed}.csv"
            order = write_manifest(chosen.data, seed, table)
            for name, settings in METHODS.items():
                out = Path(folder) / f"{seed}-{name.replace(' ', '-')}"
                told = tested(table, chosen.source, seed, settings, out)
                recall = [told["recall"][label] for label in order]
                row = (told["clip_accuracy"], told["macro_f1"], np.mean(recall[:2]), np.mean(recall[5:]))
                found[name].append(tuple(100 * float(value) for value in row))
                print(seed, name, [round(value, 1) for value in found[name][-1]], flush=True)
    lines = ["| method | clips right, % | macro F1, % | recall of the two largest, % | of the five smallest, % |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name, rows in found.items():
        middle, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
        cells = " | ".join(f"{m:.1f} ± {s:.1f}" for m, s in zip(middle, spread, strict=True))
        lines.append(f"| {name} | {cells} |")
    text, edge = REPORT.read_text(encoding="utf-8"), "<!-- imbalance -->"
    before, _, rest = text.partition(edge)
    _, _, after = rest.partition(edge)
    REPORT.write_text(f"{before}{edge}\n" + "\n".join(lines) + f"\n{edge}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
