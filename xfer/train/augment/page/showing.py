"""A few clips before and after each effect, drawn as training draws it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xfer.runtime.audio import Samples, tile
from xfer.train.augment.augment import EFFECTS
from xfer.train.augment.draws import Draws
from xfer.train.augment.masking import draw_masks
from xfer.train.augment.mixup import draw_mixup
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.data.clips import Clip
from xfer.train.data.page.examples import WINDOW_SECONDS
from xfer.train.data.waves import Waves
from xfer.train.nets.masks import Masks, masked

SECONDS = 4.0
"""Of a longer clip, its middle."""


@dataclass(frozen=True)
class Sound:
    """A clip after one effect, or as it is."""

    file: str
    """Name without suffix."""
    title: str
    words: str
    """What was drawn, or what the file is."""
    samples: Samples


@dataclass(frozen=True)
class Showing:
    """One clip, as it is first, then with each effect alone, then with all of them."""

    clip: Clip
    folder: str
    rate: int
    sounds: tuple[Sound, ...]


def show(
    clips: Sequence[Clip], waves: Waves, how: AugmentRecipe, gain_db: tuple[float, float], seed: int
) -> Iterator[Showing]:
    """Each clip with every effect whose probability in `how` is not 0, as if it were 1.

    Raises FileNotThere or Unusable where a clip cannot be read any more.
    """
    rate, certain = waves.rate, replace(how, mixup=1.0, masks=1.0)
    count = round(SECONDS * rate)
    heard = [waves.window(clip, max(0, (waves.length(clip) - count) // 2), count) for clip in clips]
    for index, (clip, samples) in enumerate(zip(clips, heard, strict=True)):
        other = (index + 1) % len(clips)
        sounds = [Sound("as-it-is", "as it is", f"{len(samples) / rate:.2f} s at {rate:,} Hz", samples)]
        draw = _Drawing(seed, index)
        gain = draw("gain").uniform(*gain_db)
        before = torch.from_numpy(samples)[None]
        louder = before * 10.0 ** (gain.float()[:, None] / 20.0)
        if gain_db != (0.0, 0.0):
            sounds.append(_sound("gain", f"{float(gain):+.1f} dB", louder))
        together = louder
        for kind in EFFECTS:
            if getattr(how, kind.name) > 0:
                effect = kind.draw(how, draw(kind.name), rate)
                sounds.append(_sound(kind.name, effect.words(0), effect.apply(before)))
                together = effect.apply(together)
        if how.mixup > 0 and len(clips) > 1:
            share = float(draw_mixup(certain, draw("mixup"))[0])
            partner = torch.from_numpy(tile(heard[other], len(samples))[: len(samples)])[None]
            words = f"{share:.0%} of itself, {1 - share:.0%} of {clips[other].label}"
            sounds.append(_sound("mixup", words, share * before + (1 - share) * partner))
            together = share * together + (1 - share) * partner
        if how.masks > 0:
            masks = draw_masks(certain, draw("masks"), before.device)
            sounds.append(_sound("masks", _spans(how), _unheard(before, masks, rate)))
            together = _unheard(together, masks, rate)
        sounds.append(_sound("together", "one after the other, in this order", together))
        name = re.sub(r"[^\w-]+", "-", clip.label).strip("-") or "clip"
        yield Showing(clip, f"{index + 1}-{name[:40]}", rate, tuple(sounds))


@dataclass(frozen=True)
class _Drawing:
    """Draws for the clip with this place; its own for each effect."""

    seed: int
    place: int

    def __call__(self, name: str) -> Draws:
        return Draws.derived(1, self.seed, 0, 0, name, first=self.place)


def _unheard(waves: Tensor, masks: Masks, rate: int) -> Tensor:
    """What is left where masks lie on the spectrum, made audible again: (1, time) -> (1, time)."""
    length = 2 ** round(math.log2(WINDOW_SECONDS * rate))
    if waves.shape[1] <= length // 2:  # too short for a spectrum that is padded by reflection
        return waves
    hann = torch.hann_window(length)
    spectrum = torch.stft(waves, length, length // 4, window=hann, return_complex=True)
    left = masked(spectrum.transpose(1, 2)[:, None], masks)[:, 0].transpose(1, 2)
    return torch.istft(left, length, length // 4, window=hann, length=waves.shape[1])


def _spans(how: AugmentRecipe) -> str:
    return (
        f"{how.masks_frequency} bands up to {how.masks_frequency_share:.0%}, "
        f"{how.masks_time} stretches up to {how.masks_time_share:.0%}"
    )


def _sound(name: str, words: str, waves: Tensor) -> Sound:
    return Sound(name, name, words, waves[0].numpy())
