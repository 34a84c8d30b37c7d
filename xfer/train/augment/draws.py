"""Random numbers of a batch: those of a window are the same whatever stands beside it, and whatever was drawn before.

All derive from (seed, epoch, step, name of the effect), never from the state of a generator that lives on: a training
that is resumed within an epoch draws what it would have drawn.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

COLUMNS = 40
"""Numbers that an effect can draw for a window."""


class Draws:
    """What one effect draws for the windows of one batch. The small numbers are drawn on the CPU, for any device."""

    def __init__(self, table: Tensor, used: int = 1) -> None:
        """`table`: numbers from 0 to 1 for each window, (n, COLUMNS): a seed, then those that are drawn in turn."""
        self._table, self._used = table, used

    @classmethod
    def derived(cls, windows: int, *words: int | str, first: int = 0) -> Draws:
        """For so many windows from the `first` on, from words such as (seed, epoch, step, "noise")."""
        # A digest, since torch's generator for the CPU keeps 32 bits of a seed: neighbours must differ in all of them.
        digest = hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=8).digest()
        source = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
        # Drawn row by row, so that a larger batch begins with the same rows.
        return cls(torch.rand(first + windows, COLUMNS, generator=source, dtype=torch.float64)[first:])

    def __len__(self) -> int:
        """Windows."""
        return len(self._table)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """A number for each window, (n,), float64 on the CPU."""
        self._used += 1
        return low + (high - low) * self._table[:, self._used - 1]

    def uniforms(self, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """So many numbers for each window, (n, count), float64 on the CPU."""
        self._used += count
        return low + (high - low) * self._table[:, self._used - count : self._used]

    def whole(self, low: int, high: int) -> Tensor:
        """An integer from `low` to `high`, both included, for each window, (n,), int64 on the CPU."""
        return (low + torch.floor(self.uniform() * (high - low + 1))).clamp_max(high).long()

    def of(self, rows: Tensor) -> Draws:
        """The draws of these windows only, from here on."""
        return Draws(self._table[rows], self._used)

    def normal(self, count: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal numbers, (n, count), drawn on the device: too many to be drawn elsewhere and moved.

        Each window has a seed of its own, so they are the same whatever else was drawn; and at each call.
        """
        source = torch.Generator(device)
        numbers = torch.empty(len(self), count, device=device, dtype=dtype)
        for row, seed in zip(numbers, (2**53 * self._table[:, 0]).long().tolist(), strict=True):
            row.normal_(generator=source.manual_seed(seed))
        return numbers
