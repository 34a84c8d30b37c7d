"""Where a run stands: everything that is needed to go on as if it had never stopped, in `last.safetensors`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from xfer.runtime.errors import Unusable
from xfer.train.augment import AugmentRecipe
from xfer.train.checkpoint import Checkpoint, save_checkpoint
from xfer.train.fit.problem import Problem
from xfer.train.metrics import Metrics
from xfer.train.nets import Net
from xfer.train.recipe import FitRecipe, Recipe
from xfer.train.runs import Run

OPTIMIZER, AVERAGE = "optimizer.", "average."
FREE = {"fit.epochs", "fit.patience", "fit.save_seconds", "fit.tensorboard"}
"""What may be changed in a run's recipe before it goes on: how long it trains, how often it saves, what it logs."""


@dataclass
class Standing:
    """Where a run stands. Random states are not here: every draw is seeded by its epoch and step."""

    epoch: int = 0
    """Epochs done."""
    step: int = 0
    """Batches done of the next epoch."""
    loss: float = 0.0
    """Sum of the losses of these batches' windows, nats."""
    windows: int = 0
    """In these batches."""
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    row: dict[str, Any] = field(default_factory=dict)
    """What was measured after the last whole epoch."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """Where fp16's scale of the loss stands."""

    def improved(self, found: Metrics) -> bool:
        """More clips right, or as many at a lower loss."""
        return (found.clip_accuracy, -found.loss) > (self.best_accuracy, -self.best_loss)


class Average:
    """A moving average of the weights, by which the net is measured and exported where the recipe asks for it."""

    def __init__(self, net: Net, decay: float) -> None:
        rule = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self._model = AveragedModel(net, multi_avg_fn=rule) if decay else None

    def update(self, net: Net) -> None:
        """After a step."""
        if self._model is not None:
            self._model.update_parameters(net)

    @contextmanager
    def in_place(self, net: Net) -> Iterator[None]:
        """Meanwhile the net has the averaged weights."""
        if self._model is None:
            yield
            return
        own = {name: value.clone() for name, value in net.state_dict().items()}
        net.load_state_dict(self._model.module.state_dict())
        try:
            yield
        finally:
            net.load_state_dict(own)

    def tensors(self) -> dict[str, Tensor]:
        """To be stored."""
        if self._model is None:
            return {}
        return {AVERAGE + name: value for name, value in self._model.state_dict().items()}

    def restore(self, extra: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        if self._model is not None:
            stored = {name.removeprefix(AVERAGE): value for name, value in extra.items() if name.startswith(AVERAGE)}
            self._model.load_state_dict(stored)


def save_best(run: Run, problem: Problem, recipe: Recipe, row: dict[str, Any]) -> None:
    """Write the best checkpoint; the net has the weights that were measured."""
    save_checkpoint(
        run.best,
        problem.net,
        task=recipe.task,
        labels=problem.labels,
        recipe=asdict(recipe),
        metrics=row,
        data=problem.data,
    )


def save_last(
    run: Run,
    problem: Problem,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    average: Average,
    scaler: GradScaler,
    standing: Standing,
) -> None:
    """Write the last checkpoint, with all that is needed to go on."""
    extra = average.tensors()
    standing.scaler = scaler.state_dict()
    for index, slots in optimizer.state_dict()["state"].items():
        extra |= {f"{OPTIMIZER}{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
    save_checkpoint(
        run.last,
        problem.net,
        task=recipe.task,
        labels=problem.labels,
        recipe=asdict(recipe),
        metrics=standing.row,
        data=problem.data,
        extra=extra,
        progress=asdict(standing),
    )


def restore(
    problem: Problem,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    average: Average,
    scaler: GradScaler,
    last: Checkpoint,
) -> Standing:
    """Put net, optimizer, average, scaler and standing back to where the run stood.

    Raises Unusable where the data's labels or the recipe changed since.
    """
    if last.labels != problem.labels:
        raise Unusable(f"{last.path} was trained on other labels than the data has now: start a new run instead")
    changed = _changed(last.recipe, recipe)
    if changed:
        raise Unusable(
            f"{last.path} was trained by another recipe ({changed[0]} differs): "
            "put recipe.toml back as it was, or start a new run"
        )
    problem.net.load_state_dict(last.net.state_dict())
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in last.extra.items():
        if name.startswith(OPTIMIZER):
            index, slot = name.removeprefix(OPTIMIZER).split(".", 1)
            slots.setdefault(int(index), {})[slot] = value
    state = optimizer.state_dict()
    state["state"] = slots
    optimizer.load_state_dict(state)
    average.restore(last.extra)
    standing = Standing(**last.progress)
    if standing.scaler:
        scaler.load_state_dict(standing.scaler)
    return standing


def _changed(then: dict[str, Any], recipe: Recipe) -> list[str]:
    """Fields that a run may not change on its way, and that differ from the checkpoint's recipe."""
    now, found = asdict(recipe), list[str]()
    for section, kind in (("fit", FitRecipe), ("augment", AugmentRecipe)):
        old = then.get(section)
        # A field that is not in it came later, with a default that changes nothing.
        before = _plain(asdict(kind())) | (old if isinstance(old, dict) else {})
        found += [
            f"{section}.{name}"
            for name, value in sorted(_plain(now[section]).items())
            if f"{section}.{name}" not in FREE and before[name] != value
        ]
    return found


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: tuples as lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
