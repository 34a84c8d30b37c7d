"""The loop itself.

What is trained is a `Problem`: it gives batches, turns inputs into logits and scores the validation side. All
randomness of a step is seeded by (seed, epoch, step), and `last.safetensors` is written after every epoch and once a
minute within one, so a run that is killed and resumed ends with the same weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from xfer.runtime.errors import AnswerIsNo
from xfer.train.checkpoint import load
from xfer.train.fit.losses import Loss
from xfer.train.fit.optimizing import learning_rate, make_optimizer
from xfer.train.fit.problem import Batch, Problem, Progress
from xfer.train.fit.standing import Average, Standing, restore, save_best, save_last
from xfer.train.recipe import FitRecipe, Recipe
from xfer.train.runs import Run

Tell = Callable[[Progress], None]
NAMED = 6
"""So many recordings of a bad batch are named."""


def fit(problem: Problem, recipe: Recipe, run: Run, tell: Tell, *, resume: bool = False) -> Standing:
    """Train until the epochs or the patience are used up; write best and last checkpoint as it goes.

    Raises AnswerIsNo where the loss is no number any more; the last good checkpoint stays. KeyboardInterrupt passes
    through: `last.safetensors` holds what was learned until a minute ago.
    """
    how = recipe.fit
    work = _Work(problem, recipe, run, tell)
    if resume and run.last.exists():
        work.standing = restore(problem, recipe, work.optimizer, work.average, load(run.last))
        run.keep_log_until(work.standing.epoch)
    standing = work.standing
    while standing.epoch < how.epochs and not _patience_is_over(standing, how):
        speed = _train_epoch(work)
        epoch, loss = standing.epoch + 1, standing.loss / max(standing.windows, 1)
        with work.average.in_place(problem.net):
            found = problem.validate()
            best = standing.improved(found)
            row = {"epoch": epoch, "train_loss": loss, "validation": found.to_json()}
            if best:
                standing.best_epoch, standing.best_accuracy, standing.best_loss = epoch, found.clip_accuracy, found.loss
            steps = problem.steps()
            tell(Progress(epoch, how.epochs, steps, steps, loss, speed, found, best))
            # `last` comes last: after a kill, a resume drops what was written for an epoch that it does not know.
            run.log(row | {"windows_per_second": round(speed, 2), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
            if best:
                save_best(run, problem, recipe, row)
        standing.epoch, standing.step, standing.loss, standing.windows, standing.row = epoch, 0, 0.0, 0, row
        work.save()
    return standing


class _Work:
    """What an epoch needs."""

    def __init__(self, problem: Problem, recipe: Recipe, run: Run, tell: Tell) -> None:
        module = problem.trained()
        self.problem, self.recipe, self.run, self.tell = problem, recipe, run, tell
        self.optimizer = make_optimizer(module, recipe.fit)
        self.average = Average(problem.net, recipe.fit.average)
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.device = self.parameters[0].device
        self.loss = Loss(recipe.fit, problem.counts(), self.device)
        self.standing = Standing()
        self.parts = recipe.fit.accumulate
        self._halved = False
        self._saved = time.monotonic()

    def save(self) -> None:
        """Write `last.safetensors`."""
        save_last(self.run, self.problem, self.recipe, self.optimizer, self.average, self.standing)
        self._saved = time.monotonic()

    def save_when_due(self) -> None:
        """The same, once a minute."""
        if time.monotonic() - self._saved >= self.recipe.fit.save_seconds:
            self.save()

    def gradients(self, batch: Batch) -> tuple[float, str]:
        """Gradients of a whole batch in the parameters, and its loss; a note where memory ran out for the first time.

        A batch that does not fit goes through the net in twice as many pieces, which changes what batch norm sees.
        """
        try:
            return self._accumulated(*batch), ""
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if self._halved or not _is_out_of_memory(error) or len(batch[1]) < 2 * self.parts:
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._halved, self.parts = True, 2 * self.parts
        note = f"out of memory: from here on a batch goes through the net in {self.parts} pieces (fit.accumulate)"
        return self._accumulated(*batch), note

    def _accumulated(self, inputs: Tensor, targets: Tensor) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        # A piece of one window would leave batch norm without statistics.
        pieces = max(1, min(self.parts, len(targets) // 2))
        for piece, answers in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.fit.precision == "bf16"):
                logits = self.problem.logits(piece)
            loss = self.loss(logits, answers) * (len(answers) / len(targets))
            total += float(loss.detach())
            if math.isfinite(total):
                loss.backward()  # type: ignore[no-untyped-call]
        return total


def _train_epoch(work: _Work) -> float:
    """What is left of the next epoch's batches; windows a second."""
    problem, how, standing = work.problem, work.recipe.fit, work.standing
    problem.trained()
    epoch, steps = standing.epoch + 1, problem.steps()
    began, done = time.monotonic(), 0
    for batch in problem.batches(epoch, standing.step):
        step, count = standing.step, len(batch[1])
        # Dropout; a hash of integers is the same everywhere.
        torch.manual_seed(hash((work.recipe.seed, epoch, step)) & 0x7FFFFFFF)
        for group in work.optimizer.param_groups:
            group["lr"] = learning_rate(how, (epoch - 1) * steps + step, how.epochs * steps)
        value, note = work.gradients(batch)
        if not math.isfinite(value):
            raise _no_number(work, epoch, step)
        if how.clip_gradient:
            nn.utils.clip_grad_norm_(work.parameters, how.clip_gradient)
        work.optimizer.step()
        work.average.update(problem.net)
        standing.step = step + 1
        standing.loss += value * count
        standing.windows += count
        done += count
        speed = done / max(time.monotonic() - began, 1e-9)
        work.tell(Progress(epoch, how.epochs, step + 1, steps, standing.loss / standing.windows, speed, note=note))
        work.save_when_due()
    return done / max(time.monotonic() - began, 1e-9)


def _no_number(work: _Work, epoch: int, step: int) -> AnswerIsNo:
    names = work.problem.names(epoch, step)
    held = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    kept = f"{work.run.last} is kept" if work.run.last.exists() else "nothing was saved yet"
    return AnswerIsNo(
        f"the loss is no number any more at epoch {epoch}, step {step + 1}, on {held}: lower the learning rate "
        f"(--set fit.learning_rate={work.recipe.fit.learning_rate / 10:g}); {kept}"
    )


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _patience_is_over(standing: Standing, how: FitRecipe) -> bool:
    return how.patience > 0 and standing.epoch - standing.best_epoch >= how.patience
