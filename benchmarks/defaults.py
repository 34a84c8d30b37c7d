"""Our defaults against `--recipe paper`, and against themselves with one choice taken back; on real recordings.

    python benchmarks/defaults.py --data ../shared/data --runs runs/defaults      train what is missing, then report
    python benchmarks/defaults.py --data ../shared/data --runs runs/defaults --report-only

Speaker: libri_vctk_layout (80 people). Genre: music_fma_layout (7 genres). All on the same split, so that the same
clips are tested. Each number is the best validation epoch's, measured once on the test side. Writes docs/results.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

DATA = {"speaker": "libri_vctk_layout", "genre": "music_fma_layout"}
RECIPES: dict[str, tuple[str, ...]] = {
    "paper": ("--recipe", "paper", "--set", "data.scheme=auto"),
    "ours": (),
    "constant": ("--set", "fit.schedule=constant"),
    "grid": ("--set", "windows.training=grid"),
    "nogain": ("--set", "fit.gain_db=[0,0]"),
    "window": ("--set", "options.normalise=window"),
    "smooth": ("--set", "fit.label_smoothing=0.1"),
    "adadelta": ("--set", "fit.optimizer=adadelta", "--set", "fit.learning_rate=1.0", "--set", "fit.weight_decay=0.0"),
    "long": ("--set", "fit.crops_per_clip=12"),
}
WORDS = {
    "paper": "`--recipe paper`",
    "ours": "our defaults",
    "constant": "ours, the learning rate constant",
    "grid": "ours, fixed windows instead of random crops",
    "nogain": "ours, no random gain",
    "window": "ours, each window normalised",
    "smooth": "ours, labels smoothed by 0.1",
    "adadelta": "ours, with the paper's Adadelta",
    "long": "ours, three times the crops",
}
REPORT = Path("docs/results.md")


def name_of(recipe: str, task: str, seed: int) -> str:
    """The run's folder."""
    return f"{recipe}-{task}-{seed}"


def finished(run: Path) -> bool:
    """Was it trained to its end?"""
    try:
        return bool(json.loads((run / "run.json").read_text())["state"] == "finished")
    except (OSError, KeyError, ValueError):
        return False


def train(data: Path, runs: Path, recipe: str, task: str, seed: int) -> None:
    """Begin it, or go on with it."""
    run = runs / name_of(recipe, task, seed)
    begin = [str(data / DATA[task]), "--net", "convnet", "--seed", str(seed), "--out", str(run), *RECIPES[recipe]]
    words = ["--resume", str(run)] if (run / "recipe.toml").exists() else begin
    subprocess.run([sys.executable, "-m", "xfer.cli", "train", "--quiet", "--no-preflight", *words], check=True)


def row(runs: Path, recipe: str, task: str) -> str | None:
    """A line of the table, over the seeds that are finished."""
    found = []
    for run in sorted(runs.glob(name_of(recipe, task, 0)[:-1] + "*")):
        if finished(run):
            metrics = json.loads((run / "best.json").read_text())["metrics"]
            lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            epochs = [line for line in lines if "validation" in line]
            steps = sum(1 for _ in epochs)
            test, validation = metrics["test"], metrics["validation"]
            rates = (validation["clip_accuracy"], test["clip_accuracy"], test["window_accuracy"], test["macro_f1"])
            found.append((*(100 * rate for rate in rates), steps))
    if not found:
        return None
    middle = np.mean(found, axis=0)
    spread = np.std(found, axis=0, ddof=1) if len(found) > 1 else np.zeros(5)
    cells = [f"{m:.1f} ± {s:.1f}" if len(found) > 1 else f"{m:.1f}" for m, s in zip(middle, spread, strict=True)]
    return f"| {task} | {WORDS[recipe]} | {' | '.join(cells[:4])} | {middle[4]:.0f} | {len(found)} |"


def main() -> None:
    """Train and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--runs", type=Path, required=True)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--tasks", choices=list(DATA), nargs="*", default=list(DATA))
    options.add_argument("--recipes", choices=list(RECIPES), nargs="*", default=["paper", "ours"])
    options.add_argument("--report-only", action="store_true")
    chosen = options.parse_args()
    plan = [(r, t, s) for s in range(chosen.seeds) for t in chosen.tasks for r in chosen.recipes]
    for recipe, task, seed in [] if chosen.report_only else plan:
        if not finished(chosen.runs / name_of(recipe, task, seed)):
            train(chosen.data, chosen.runs, recipe, task, seed)
    lines = ["| task | recipe | validation clips, % | test clips, % | test windows, % | macro F1, % | epochs | seeds |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    lines += [line for task in DATA for recipe in RECIPES if (line := row(chosen.runs, recipe, task))]
    text, edge = REPORT.read_text(encoding="utf-8"), "<!-- defaults -->"
    before, _, rest = text.partition(edge)
    _, _, after = rest.partition(edge)
    REPORT.write_text(f"{before}{edge}\n" + "\n".join(lines) + f"\n{edge}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
