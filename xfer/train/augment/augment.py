"""All that a recipe does to the windows of a batch, on the device on which they lie.

A whole batch is augmented before it is cut into pieces for the net, so what a window becomes does not depend on how
much memory there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xfer.train.augment.codec import Codec
from xfer.train.augment.draws import Draws
from xfer.train.augment.effect import Effect
from xfer.train.augment.masking import draw_masks
from xfer.train.augment.mixup import draw_mixup, mixed, soft
from xfer.train.augment.noise import Noise
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.augment.response import Response
from xfer.train.augment.room import Room
from xfer.train.augment.shift import Shift
from xfer.train.augment.speed import Speed
from xfer.train.nets.masks import Masks

EFFECTS: tuple[type[Effect], ...] = (Speed, Shift, Room, Noise, Response, Codec)
"""What is done to waves, in this order: source, room, microphone, recorder."""


@dataclass(frozen=True)
class Masked:
    """Waves whose features are to be masked; it can be cut into pieces as a tensor can."""

    waves: Tensor
    """(n, time)"""
    masks: Masks

    def __len__(self) -> int:
        """Windows."""
        return len(self.waves)

    def tensor_split(self, pieces: int) -> tuple[Masked, ...]:
        """As torch.Tensor.tensor_split."""
        frequency, time = (each.tensor_split(pieces) for each in self.masks)
        return tuple(map(Masked, self.waves.tensor_split(pieces), map(Masks, frequency, time)))


@dataclass(frozen=True)
class Augment:
    """What a recipe does. Every number that is drawn derives from seed, epoch, step, the window's place and the effect.

    Where several processes share a batch, `first` is the place in it of the first window of this one's share, and each
    window becomes what it would have become in one process; only mixup stays within the share.
    """

    how: AugmentRecipe
    seed: int
    rate: int
    """Of the waves, Hz."""
    classes: int

    def waves(self, waves: Tensor, epoch: int, step: int, first: int = 0) -> Tensor:
        """Each effect, on the windows for which it was drawn: (n, time) -> (n, time), float32."""
        for kind in EFFECTS:
            probability = getattr(self.how, kind.name)
            if probability <= 0:
                continue
            draws = self._draws(len(waves), epoch, step, first, kind.name)
            chosen = draws.uniform() < probability
            rows = torch.nonzero(chosen).flatten()
            if len(rows) == len(waves):
                waves = kind.draw(self.how, draws, self.rate).apply(waves)
            elif len(rows):
                here = rows.to(waves.device)
                waves = waves.index_copy(0, here, kind.draw(self.how, draws.of(rows), self.rate).apply(waves[here]))
        return waves

    def masks(self, windows: int, epoch: int, step: int, device: torch.device, first: int = 0) -> Masks | None:
        """What the net is not to hear of so many windows; None where the recipe has no masks."""
        if self.how.masks <= 0:
            return None
        return draw_masks(self.how, self._draws(windows, epoch, step, first, "masks"), device)

    def mixed(self, inputs: Tensor, targets: Tensor, epoch: int, step: int, first: int = 0) -> tuple[Tensor, Tensor]:
        """Mixup: (n, ...), (n,) -> (n, ...) and targets (n, classes); both as they were where the recipe has none."""
        if self.how.mixup <= 0:
            return inputs, targets
        shares, partners = draw_mixup(self.how, self._draws(len(inputs), epoch, step, first, "mixup"))
        answers = soft(targets, self.classes)
        return mixed(inputs, shares, partners), mixed(answers, shares, partners)

    def __call__(
        self, waves: Tensor, targets: Tensor, epoch: int, step: int, first: int = 0
    ) -> tuple[Tensor | Masked, Tensor]:
        """A batch as the net is to hear it: (n, time), (n,) -> waves, with masks if any, and targets."""
        waves, targets = self.mixed(self.waves(waves, epoch, step, first), targets, epoch, step, first)
        masks = self.masks(len(waves), epoch, step, waves.device, first)
        return waves if masks is None else Masked(waves, masks), targets

    def _draws(self, windows: int, epoch: int, step: int, first: int, name: str) -> Draws:
        return Draws.derived(windows, self.seed, epoch, step, name, first=first)
