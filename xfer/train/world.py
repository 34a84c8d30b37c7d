"""Several processes that train one net: each takes its share of every batch, and all end with the same weights.

Started by torchrun (one process a device, on one machine or several); what it puts into the environment is read here.
An effective batch is the recipe's whatever the number of processes; gradients and batch statistics are those of the
whole batch (`SharedNorm`), so that a training in N processes is the training in one, to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed, nn

from xfer.runtime.errors import Unusable

PATIENCE = timedelta(days=2)
"""How long processes wait for each other: one may decode a large data set meanwhile. One that dies is noticed by
torchrun within a second, whatever this says."""


@dataclass(frozen=True)
class World:
    """This process among those that train together; alone by default, and then nothing here costs anything."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among the processes of this machine."""

    @property
    def main(self) -> bool:
        """Is this the one process that writes and speaks?"""
        return self.rank == 0

    @property
    def place(self) -> tuple[int, ...]:
        """What makes this process's draws differ from the main one's, which are those of a process alone."""
        return (self.rank,) if self.rank else ()

    def share(self, count: int) -> slice:
        """This process's part of `count` things in a row: as many as any other's, or one more."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def total(self, *values: float) -> list[float]:
        """Sums over all processes."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(sums)
        return [float(value) for value in sums]

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by the sum over all processes."""
        if self.size == 1:
            return
        known = list(parameters)
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in known])
        distributed.all_reduce(flat)
        for parameter, sums in zip(known, torch.split(flat, [p.numel() for p in known]), strict=True):
            parameter.grad = sums.view_as(parameter).clone()

    def joined(self, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The parts of all processes, one after the other: (its rows, ...) -> (all rows, ...)."""
        if self.size == 1:
            return part
        parts: list[npt.NDArray[Any]] = [part] * self.size
        distributed.all_gather_object(parts, part)
        return np.concatenate(parts)

    def from_main(self, thing: Any) -> Any:
        """What the main process has."""
        if self.size == 1:
            return thing
        held = [thing]
        distributed.broadcast_object_list(held, src=0)
        return held[0]

    def same_weights(self, net: nn.Module) -> None:
        """Give every process the main one's weights and statistics."""
        if self.size > 1:
            for value in net.state_dict().values():
                distributed.broadcast(value, src=0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()

    @contextmanager
    def machine_first(self) -> Iterator[None]:
        """The first process of each machine does it alone, then the others: they find what it left in the cache."""
        if self.local_rank:
            self.wait()
        yield
        if not self.local_rank:
            self.wait()


ALONE = World()


def is_spread() -> bool:
    """Was this process started as one of several?"""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def own_rank() -> int:
    """Which of them it is; 0 for a process alone."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def join() -> Iterator[World]:
    """Meet the other processes that torchrun started; a process alone is `ALONE`.

    Raises Unusable where this torch cannot, or the others cannot be reached.
    """
    if not is_spread():
        yield ALONE
        return
    if not distributed.is_available():
        raise Unusable("this torch was built without torch.distributed: train in one process")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        distributed.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise Unusable(f"the other processes cannot be reached: {str(error).splitlines()[0]}") from None
    try:
        yield World(distributed.get_rank(), distributed.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        distributed.destroy_process_group()


def lost_another(error: RuntimeError) -> bool:
    """Is this what torch says where another process went away in the middle of the work?"""
    said = str(error).lower()
    lost = (
        "connection closed",
        "connection reset",
        "connection refused",
        "broken pipe",
        "socket",
        "nccl",
        "remote process",
    )
    return isinstance(error, distributed.DistError) or any(word in said for word in lost)


class SharedNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the windows of all processes (torch's own SyncBatchNorm is for CUDA only).

    Shape: (n, channels, ...) -> the same. In evaluation it is the plain one.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes from two on."""

    def forward(self, input: Tensor) -> Tensor:
        """Shape: (n, channels, ...) -> the same."""
        if not self.training:
            return super().forward(input)
        from torch.distributed.nn.functional import all_reduce

        wide = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        axes = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        own = wide.new_tensor([input.numel() / input.shape[1]])
        sums = all_reduce(torch.cat([wide.sum(axes), own]))  # type: ignore[no-untyped-call]
        count, mean = sums[-1], sums[:-1] / sums[-1]
        centred = wide - mean.view(shape)
        variance = all_reduce(centred.square().sum(axes)) / count  # type: ignore[no-untyped-call]
        self._remember(mean.detach(), (variance * count / (count - 1).clamp_min(1)).detach())
        scaled: Tensor = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            scaled = scaled * self.weight.view(shape) + self.bias.view(shape)
        return scaled.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def share_norms(module: nn.Module, device: torch.device) -> None:
    """Let every batch norm inside see the whole batch; weights and their names stay."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            kind = nn.SyncBatchNorm if device.type == "cuda" else SharedNorm
            shared = kind(child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
            shared.to(device, *{value.dtype for value in child.state_dict().values() if value.is_floating_point()})
            shared.load_state_dict(child.state_dict())
            shared.train(child.training).requires_grad_(any(p.requires_grad for p in child.parameters()))
            setattr(module, name, shared)
        else:
            share_norms(child, device)
