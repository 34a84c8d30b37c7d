"""TensorBoard's log of a run, `<run>/tensorboard/`: the rows of `metrics.jsonl` as scalars over the epochs.

The loop knows nothing of it: it is told what the progress bar is told. The log is written from `metrics.jsonl` when a
run goes on, so that no epoch is ever in it twice, whatever was written before a kill.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from xfer.runtime.errors import need_extra
from xfer.train.fit.optimizing import learning_rate
from xfer.train.fit.problem import Progress
from xfer.train.recipe import Recipe
from xfer.train.runs import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
Tell = Callable[[Progress], None]


def need_tensorboard(recipe: Recipe) -> None:
    """Raise NotThere, naming the extra, where a recipe asks for the log and the package is missing."""
    if recipe.fit.tensorboard and find_spec("tensorboard") is None:
        raise need_extra("tensorboard", "tensorboard")


@contextmanager
def event_log(run: Run, recipe: Recipe, tell: Tell, writes: bool = True) -> Iterator[Tell]:
    """`tell`, and the log beside it where the recipe asks for one and this process `writes`."""
    if not (recipe.fit.tensorboard and writes):
        yield tell
        return
    log = _Log(run, recipe)

    def both(progress: Progress) -> None:
        tell(progress)
        log.take(progress)

    try:
        yield both
    finally:
        log.close()


class _Log:
    """One run's log; nothing is touched before the first news: only then does `metrics.jsonl` hold what counts."""

    def __init__(self, run: Run, recipe: Recipe) -> None:
        self._run, self._recipe = run, recipe
        self._writer: SummaryWriter | None = None

    def take(self, progress: Progress) -> None:
        """Write an epoch, when it is whole."""
        if self._writer is None:
            self._writer = self._begin(progress.steps)
        if progress.validation is None:
            return
        row = {
            "epoch": progress.epoch,
            "train_loss": progress.loss,
            "validation": progress.validation.to_json(),
            "windows_per_second": round(progress.windows_per_second, 2),
        }
        self._write(self._writer, row, progress.steps)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def _begin(self, steps: int) -> SummaryWriter:
        """A new log that holds the epochs that the run has."""
        from torch.utils.tensorboard import SummaryWriter

        folder = self._run.folder / FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        writer = SummaryWriter(str(folder))
        for row in self._run.rows() if (self._run.folder / "metrics.jsonl").exists() else ():
            self._write(writer, row, steps)
        return writer

    def _write(self, writer: SummaryWriter, row: dict[str, Any], steps: int) -> None:
        how, epoch = self._recipe.fit, int(row["epoch"])
        then = datetime.fromisoformat(row["time"]).timestamp() if "time" in row else None
        scalars = {"loss/train": row["train_loss"], "windows_per_second": row["windows_per_second"]}
        for name in ("loss", "clip_accuracy", "window_accuracy", "macro_f1"):
            group = "loss" if name == "loss" else "accuracy"
            scalars[f"{group}/validation" + ("" if name == "loss" else f"_{name}")] = row["validation"][name]
        scalars["learning_rate"] = learning_rate(how, epoch * steps - 1, how.epochs * steps)  # of its last step
        for name, value in scalars.items():
            writer.add_scalar(name, value, epoch, walltime=then)
