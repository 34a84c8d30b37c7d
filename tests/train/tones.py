"""Two classes that differ in pitch, half a second each: a data set that a net must learn in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from xfer.train.recipe import Recipe, default_recipe, with_settings


def write_tones(root: Path) -> Path:
    """Six clips of low and six of high tones in noise."""
    rng = np.random.default_rng(0)
    for label, low in (("low", 200.0), ("high", 2000.0)):
        (root / label).mkdir()
        for i in range(6):
            t = np.arange(8000) / 16000
            wave = 0.3 * np.sin(2 * np.pi * low * rng.uniform(0.9, 1.1) * t) + rng.normal(0, 0.01, 8000)
            soundfile.write(root / label / f"{i}.wav", wave, 16000)
    return root


def small(root: Path, *settings: str) -> Recipe:
    """A ConvNet on them in a second an epoch."""
    recipe = default_recipe("sound", "convnet")
    recipe = replace(recipe, data=replace(recipe.data, path=str(root), validation_share=0.3))
    plain = ["windows.short=tile", "windows.background=no"]  # two classes, no third
    return with_settings(recipe, ["fit.batch=4", "fit.epochs=2", "fit.crops_per_clip=1", *plain, *settings])
