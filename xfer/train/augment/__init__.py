"""Augmentation on the device, per batch, seeded: one file an effect."""

from __future__ import annotations

from xfer.train.augment.augment import EFFECTS, Augment, Masked
from xfer.train.augment.recipe import AugmentRecipe

__all__ = ["EFFECTS", "Augment", "AugmentRecipe", "Masked"]
