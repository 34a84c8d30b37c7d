"""Optimizers and learning rates."""

from __future__ import annotations

import math

import torch
from torch import nn

from xfer.runtime.errors import Unusable, nearest
from xfer.train.nets.frontends import Sinc
from xfer.train.recipe import FitRecipe


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


def make_optimizer(module: nn.Module, how: FitRecipe) -> torch.optim.Optimizer:
    """The optimizer; norms, sinc parameters and biases are not decayed (FACTS.md 8.36)."""
    plain: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            keep = isinstance(part, (nn.modules.batchnorm._BatchNorm, Sinc)) or "bias" in name
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
