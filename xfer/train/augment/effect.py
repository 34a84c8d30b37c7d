"""What an effect is: numbers drawn for each window of a batch, and what they do to it."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self

from torch import Tensor

from xfer.train.augment.draws import Draws
from xfer.train.augment.recipe import AugmentRecipe


class Effect(Protocol):
    """One effect on waves, drawn for the windows of a batch."""

    name: ClassVar[str]
    """The recipe's field with its probability."""
    summary: ClassVar[str]
    """What it stands for, a few words."""

    @classmethod
    def draw(cls, how: AugmentRecipe, draws: Draws, rate: int) -> Self:
        """Numbers for each window of `draws`; waves are at `rate` Hz."""

    def apply(self, waves: Tensor) -> Tensor:
        """Shape: (n, time) -> (n, time), float32, on the same device; silence stays silence."""

    def words(self, row: int) -> str:
        """What was drawn for a window, for people."""
