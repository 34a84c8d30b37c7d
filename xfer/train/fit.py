"""The training loop: plain PyTorch, the same for a whole net and for a head on stored embeddings.

What is trained is a `Problem`: it gives batches, turns inputs into logits and scores the validation side. All
randomness of a step is seeded by (seed, epoch, step), so a run that is killed and resumed ends with the same weights.
"""

from __future__ import annotations

import ctypes
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xfer.runtime.errors import AnswerIsNo, Unusable, nearest
from xfer.train.checkpoint import Checkpoint, load, save_checkpoint
from xfer.train.metrics import Metrics
from xfer.train.nets import Net
from xfer.train.nets.frontends import Sinc
from xfer.train.recipe import FitRecipe, Recipe
from xfer.train.runs import Run


class Problem(Protocol):
    """What a method of training must offer to the loop."""

    net: Net
    labels: tuple[str, ...]
    data: dict[str, Any]
    """What the checkpoint says of the data."""

    def trained(self) -> nn.Module:
        """The module whose parameters are learned, in the mode for training."""

    def steps(self) -> int:
        """Batches in an epoch."""

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of an epoch, on the device."""

    def logits(self, inputs: Tensor) -> Tensor:
        """(n, classes)"""

    def validate(self) -> Metrics:
        """Metrics of the validation side, the net in evaluation mode."""


@dataclass(frozen=True)
class Progress:
    """What the loop tells while it works."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    """Mean over the epoch so far, nats."""
    windows_per_second: float
    validation: Metrics | None = None
    """Set once, at the end of an epoch."""
    best: bool = False
    """The validation is the best so far."""


@dataclass
class Standing:
    """Where a run stands; all of it is stored in `last.safetensors`."""

    epoch: int = 0
    """Epochs done."""
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf

    def improved(self, found: Metrics) -> bool:
        """More clips right, or as many at a lower loss."""
        return (found.clip_accuracy, -found.loss) > (self.best_accuracy, -self.best_loss)


def fit(
    problem: Problem, recipe: Recipe, run: Run, tell: Callable[[Progress], None], *, resume: bool = False
) -> Standing:
    """Train until the epochs or the patience are used up; write best and last checkpoint as it goes.

    Raises AnswerIsNo where the loss is no number any more; the last good checkpoint stays. KeyboardInterrupt passes
    through: `last.safetensors` holds the last finished epoch.
    """
    how = recipe.fit
    module = problem.trained()
    optimizer = _optimizer(module, how)
    standing = Standing()
    if resume and run.last.exists():
        standing = _restore(problem, optimizer, load(run.last))
        run.keep_log_until(standing.epoch)
    while standing.epoch < how.epochs and not _patience_is_over(standing, how):
        epoch = standing.epoch + 1
        loss, speed = _train_epoch(problem, optimizer, recipe, epoch, tell)
        found = problem.validate()
        standing.epoch = epoch
        best = standing.improved(found)
        if best:
            standing.best_epoch, standing.best_accuracy, standing.best_loss = epoch, found.clip_accuracy, found.loss
        steps = problem.steps()
        tell(Progress(epoch, how.epochs, steps, steps, loss, speed, found, best))
        row = {"epoch": epoch, "train_loss": loss, "validation": found.to_json()}
        # `last` comes last: after a kill at any moment, a resume drops what was written for an epoch it does not know.
        run.log(row | {"windows_per_second": round(speed, 2), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        if best:
            _save(run, problem, recipe, row)
        _save(run, problem, recipe, row, optimizer=optimizer, standing=standing)
    return standing


def _train_epoch(
    problem: Problem, optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: int, tell: Callable[[Progress], None]
) -> tuple[float, float]:
    """One pass over all batches: mean loss in nats, windows a second."""
    how = recipe.fit
    module = problem.trained()
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    steps = problem.steps()
    total, windows, began = 0.0, 0, time.monotonic()
    for step, (inputs, targets) in enumerate(problem.batches(epoch)):
        torch.manual_seed(
            hash((recipe.seed, epoch, step)) & 0x7FFFFFFF
        )  # dropout; a hash of integers is the same everywhere
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(how, (epoch - 1) * steps + step, how.epochs * steps)
        loss = F.cross_entropy(problem.logits(inputs), targets, label_smoothing=how.label_smoothing)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise AnswerIsNo(
                f"the loss is no number any more at epoch {epoch}, step {step + 1}: lower the learning rate "
                f"(--set fit.learning_rate={how.learning_rate / 10:g}); the checkpoint of epoch {epoch - 1} is kept"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if how.clip_gradient:
            nn.utils.clip_grad_norm_(parameters, how.clip_gradient)
        optimizer.step()
        windows += len(targets)
        total += value * len(targets)
        speed = windows / max(time.monotonic() - began, 1e-9)
        tell(Progress(epoch, how.epochs, step + 1, steps, total / windows, speed))
    return total / max(windows, 1), windows / max(time.monotonic() - began, 1e-9)


def learning_rate(how: FitRecipe, step: int, steps: int) -> float:
    """The learning rate of a step, from its number alone: nothing to store for a resume."""
    match how.schedule:
        case "constant":
            return how.learning_rate
        case "inverse":  # RawNet2's (FACTS.md 3.5)
            return how.learning_rate / (1.0 + 1e-4 * step)
        case "cosine":
            warm = how.warmup * steps
            if step < warm:
                return how.learning_rate * (step + 1) / (warm + 1)
            return how.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))
    raise Unusable(
        f"fit.schedule cannot be {how.schedule!r}: {nearest(how.schedule, ('cosine', 'inverse', 'constant'))}"
    )


def _optimizer(module: nn.Module, how: FitRecipe) -> torch.optim.Optimizer:
    """The optimizer; norms, sinc parameters and biases are not decayed (FACTS.md 8.36)."""
    plain: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            keep = isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d, Sinc)) or "bias" in name
            (plain if keep else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": how.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    match how.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=how.learning_rate)
        case "adam":
            return torch.optim.Adam(groups, lr=how.learning_rate, amsgrad=True)
        case "adadelta":
            return torch.optim.Adadelta(groups, lr=how.learning_rate, rho=0.95, eps=1e-7)
    raise Unusable(
        f"fit.optimizer cannot be {how.optimizer!r}: {nearest(how.optimizer, ('adamw', 'adam', 'adadelta'))}"
    )


def _patience_is_over(standing: Standing, how: FitRecipe) -> bool:
    return how.patience > 0 and standing.epoch - standing.best_epoch >= how.patience


def _save(
    run: Run,
    problem: Problem,
    recipe: Recipe,
    row: dict[str, Any],
    optimizer: torch.optim.Optimizer | None = None,
    standing: Standing | None = None,
) -> None:
    """Write the best checkpoint, or with optimizer and standing the last one."""
    extra: dict[str, Tensor] = {}
    if optimizer is not None:
        for index, slots in optimizer.state_dict()["state"].items():
            extra |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
    save_checkpoint(
        run.best if standing is None else run.last,
        problem.net,
        task=recipe.task,
        labels=problem.labels,
        recipe=asdict(recipe),
        metrics=row,
        data=problem.data,
        extra=extra,
        progress=asdict(standing) if standing else None,
    )


def _restore(problem: Problem, optimizer: torch.optim.Optimizer, last: Checkpoint) -> Standing:
    """Put net, optimizer and standing back to where the run stood.

    Raises Unusable where the data's labels changed since.
    """
    if last.labels != problem.labels:
        raise Unusable(f"{last.path} was trained on other labels than the data has now: start a new run instead")
    problem.net.load_state_dict(last.net.state_dict())
    state = optimizer.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in last.extra.items():
        _, index, slot = name.split(".", 2)
        slots.setdefault(int(index), {})[slot] = value
    state["state"] = slots
    optimizer.load_state_dict(state)
    return Standing(**last.progress)


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory instead of handing it back at each step.

    A RawNet2 step frees and takes gigabytes; the page faults of doing so cost a third of the step on two cores
    (measured: 1.6 against 2.4 windows/s). Does nothing on other C libraries.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(-4, 0)  # M_MMAP_MAX: no memory maps
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: never shrink
