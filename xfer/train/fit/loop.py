"""The loop itself.

What is trained is a `Problem`: it gives batches, turns inputs into logits and scores the validation side. All
randomness of a step is seeded by (seed, epoch, step), and `last.safetensors` is written after every epoch and once a
minute within one, so a run that is killed and resumed ends with the same weights.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from xfer.runtime.errors import AnswerIsNo
from xfer.train.checkpoint import Checkpoint, load
from xfer.train.fit.forms import PLAIN, Form
from xfer.train.fit.losses import Loss, margin_scale
from xfer.train.fit.memory import in_use
from xfer.train.fit.optimizing import learning_rate, make_optimizer
from xfer.train.fit.problem import Batch, Inputs, Problem, Progress
from xfer.train.fit.standing import Average, Standing, restore, save_best, save_last
from xfer.train.recipe import FitRecipe, Recipe
from xfer.train.runs import Run
from xfer.train.world import ALONE, World

Tell = Callable[[Progress], None]
NAMED = 6
"""So many recordings of a bad batch are named."""


def fit(
    problem: Problem,
    recipe: Recipe,
    run: Run,
    tell: Tell,
    *,
    resume: bool = False,
    form: Form = PLAIN,
    world: World = ALONE,
) -> Standing:
    """Train until the epochs or the patience are used up; write best and last checkpoint as it goes.

    Each process of a `world` calls it with its own share of the batches; the main one writes, and all stand alike.
    Raises AnswerIsNo where the loss is no number any more; the last good checkpoint stays. KeyboardInterrupt passes
    through: `last.safetensors` holds what was learned until a minute ago.
    """
    how = recipe.fit
    work = _Work(problem, recipe, run, tell, form, world)
    if resume and world.from_main(run.last.exists()):
        work.standing = restore(problem, recipe, work.optimizer, work.average, work.scaler, _last(run, world))
        if world.main:
            run.keep_log_until(work.standing.epoch)
    world.same_weights(problem.net)
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
            if world.main:
                run.log(row | {"windows_per_second": round(speed, 2), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
            if best and world.main:
                save_best(run, problem, recipe, row)
        standing.epoch, standing.step, standing.loss, standing.windows, standing.row = epoch, 0, 0.0, 0, row
        work.save()
    return standing


class _Work:
    """What an epoch needs."""

    def __init__(self, problem: Problem, recipe: Recipe, run: Run, tell: Tell, form: Form, world: World) -> None:
        module = problem.trained()
        self.problem, self.recipe, self.run, self.tell = problem, recipe, run, tell
        self.form, self.world = form, world
        self.optimizer = make_optimizer(module, recipe.fit)
        self.average = Average(problem.net, recipe.fit.average)
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.device = self.parameters[0].device
        scale = margin_scale(recipe.fit, problem.net.head) if recipe.fit.margin else 0.0
        self.loss = Loss(recipe.fit, problem.counts(), self.device, scale)
        self.scaler = GradScaler(self.device.type, enabled=form.precision == "fp16")
        self.standing = Standing()
        self.parts = recipe.fit.accumulate
        if recipe.fit.compile:
            problem.net.compile()
        self._halved = False
        self._saved = time.monotonic()

    def save(self) -> None:
        """Write `last.safetensors`."""
        if self.world.main:
            save_last(self.run, self.problem, self.recipe, self.optimizer, self.average, self.scaler, self.standing)
        self._saved = time.monotonic()

    def save_when_due(self) -> None:
        """The same, once a minute."""
        if time.monotonic() - self._saved >= self.recipe.fit.save_seconds:
            self.save()

    def gradients(self, batch: Batch, windows: int | None = None) -> tuple[float, str]:
        """Gradients of a batch in the parameters, and its loss; a note where memory ran out for the first time.

        Where several processes share a batch of `windows`, both are this one's part of the sum over all.

        A batch that does not fit goes through the net in twice as many pieces, which changes what batch norm sees.
        """
        try:
            return self._accumulated(*batch, windows), ""
        except (torch.OutOfMemoryError, RuntimeError) as error:
            # Among several processes the others already wait for this one's share of a batch.
            alone = self.world.size == 1
            if self._halved or not alone or not _is_out_of_memory(error) or len(batch[1]) < 2 * self.parts:
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._halved, self.parts = True, 2 * self.parts
        note = f"out of memory: from here on a batch goes through the net in {self.parts} pieces (fit.accumulate)"
        return self._accumulated(*batch, windows), note

    def _accumulated(self, inputs: Inputs, targets: Tensor, windows: int | None) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        total, windows = 0.0, windows or len(targets)
        # A piece of one window would leave batch norm without statistics; every process cuts as many.
        pieces = max(1, min(self.parts, windows // self.world.size // 2))
        for piece, answers in zip(inputs.tensor_split(pieces), targets.tensor_split(pieces), strict=True):
            with self.form.autocast(self.device):
                logits = self.problem.logits(piece)
            loss = self.loss(logits, answers) * (len(answers) / windows)
            total += float(loss.detach())
            # Where batch statistics are shared, nobody may leave the others waiting in the way back.
            if math.isfinite(total) or self.world.size > 1:
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return total

    def learn(self) -> bool:
        """A step with the gradients as they stand; False, and nothing learned, where they are no numbers.

        With fp16 that is common: the loss was scaled too far, and the scaler leaves such a step out by itself.
        """
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.recipe.fit.clip_gradient or math.inf)
        if not self.scaler.is_enabled() and not math.isfinite(float(norm)):
            return False
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update(self.problem.net)
        return True


def _train_epoch(work: _Work) -> float:
    """What is left of the next epoch's batches; windows a second."""
    problem, how, standing = work.problem, work.recipe.fit, work.standing
    problem.trained()
    epoch, steps = standing.epoch + 1, problem.steps()
    began, done = time.monotonic(), 0
    for batch in problem.batches(epoch, standing.step):
        step = standing.step
        count = int(work.world.total(len(batch[1]))[0])
        # Dropout; a hash of integers is the same everywhere.
        torch.manual_seed(hash((work.recipe.seed, epoch, step, *work.world.place)) & 0x7FFFFFFF)
        for group in work.optimizer.param_groups:
            group["lr"] = learning_rate(how, (epoch - 1) * steps + step, how.epochs * steps)
        part, note = work.gradients(batch, count)
        (value,) = work.world.total(part)
        if not math.isfinite(value):
            raise _no_number(work, "loss", epoch, step)
        work.world.add_gradients(work.parameters)
        if not work.learn():
            raise _no_number(work, "gradient", epoch, step)
        standing.step = step + 1
        standing.loss += value * count
        standing.windows += count
        done += count
        speed = done / max(time.monotonic() - began, 1e-9)
        loss = standing.loss / standing.windows
        work.tell(Progress(epoch, how.epochs, step + 1, steps, loss, speed, note=note, memory=in_use(work.device)))
        work.save_when_due()
    return done / max(time.monotonic() - began, 1e-9)


def _last(run: Run, world: World) -> Checkpoint:
    """The last checkpoint; processes on other machines need not see the run's folder."""
    if world.size == 1:
        return load(run.last)
    files = (run.last, run.last.with_suffix(".json"))
    held = world.from_main([file.read_bytes() for file in files] if world.main else None)
    with tempfile.TemporaryDirectory() as folder:
        for file, content in zip(files, held, strict=True):
            (Path(folder) / file.name).write_bytes(content)
        return load(Path(folder) / run.last.name)


def _no_number(work: _Work, what: str, epoch: int, step: int) -> AnswerIsNo:
    names = work.problem.names(epoch, step)
    held = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    kept = f"{work.run.last} is kept" if work.run.last.exists() else "nothing was saved yet"
    return AnswerIsNo(
        f"the {what} is no number any more at epoch {epoch}, step {step + 1}, on {held}: lower the learning rate "
        f"(--set fit.learning_rate={work.recipe.fit.learning_rate / 10:g}); {kept}"
    )


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _patience_is_over(standing: Standing, how: FitRecipe) -> bool:
    return how.patience > 0 and standing.epoch - standing.best_epoch >= how.patience
