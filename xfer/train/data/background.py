"""Background: what a short clip is placed over in training, and what the class `background` consists of.

What sits alone in a padded window says little about what is said once amid noise. So a clip that is shorter than the
window stands at a random offset over recordings of the room, generated noise, silence, or other classes far below; and
windows that hold background only are a class of their own, so that a net need not name a word where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xfer.runtime.audio import Samples, tile
from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.room import BACKGROUND, own_class, stretches

if TYPE_CHECKING:  # the recipe knows the nets, and so torch
    from xfer.train.data.waves import Waves
    from xfer.train.recipe import WindowRecipe

FAR_DB = {"silence": (50.0, 80.0), "others": (20.0, 40.0)}
"""How far below a clip's active level these stay, whatever the recipe says: nearer they would be noise, or speech."""
ALONE_DBFS = {"recordings": (-60.0, -20.0), "noise": (-60.0, -20.0), "silence": (-90.0, -70.0)}
"""Level of a window that holds background only."""
FRAME_SECONDS = 0.01
ACTIVE_SHARE = 0.01
"""Frames whose power is over this share of the loudest one's (20 dB below it) are active."""
LOWEST_HZ = 20.0


def active_power(samples: Samples, rate: int) -> float:
    """Mean power of the frames in which something sounds: pauses round a word do not make it quieter. (n,) -> >= 0."""
    frame = max(1, round(FRAME_SECONDS * rate))
    whole = len(samples) // frame * frame
    if not whole:
        return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    powers = np.square(samples[:whole].reshape(-1, frame), dtype=np.float64).mean(axis=1)
    return float(powers[powers >= ACTIVE_SHARE * powers.max()].mean())


def noise(rng: np.random.Generator, count: int, rate: int) -> Samples:
    """Noise whose power falls with frequency as 1 / f**tilt, at RMS 1: -> (count,).

    The tilt is random, from 0 (white) over 1 (pink) to 2 (brown); rooms lie between. Below 20 Hz it is flat.
    """
    tilt = rng.uniform(0.0, 2.0)
    hertz = np.fft.rfftfreq(count, 1.0 / rate)
    parts = rng.standard_normal((2, len(hertz)))
    spectrum = (parts[0] + 1j * parts[1]) * np.maximum(hertz, LOWEST_HZ) ** (-tilt / 2)
    spectrum[0] = 0.0
    return _at_level(np.fft.irfft(spectrum, count).astype(np.float32), 0.0)


def under(background: Samples, samples: Samples, snr_db: float, rate: int) -> Samples:
    """The background at `snr_db` below the samples, active level against active level. Silence stays silence."""
    power = active_power(background, rate)
    if power <= 0.0:
        return background
    gain = np.sqrt(active_power(samples, rate) / power) * 10.0 ** (-snr_db / 20.0)
    return (background * np.float32(gain)).astype(np.float32)


class Background:
    """Where background comes from. Every draw is the given generator's: nothing here remembers anything."""

    def __init__(self, waves: Waves, data: DataSet, how: WindowRecipe, window: int, seed: int) -> None:
        """`data` after `room.with_background`. Raises Unusable where the recipe's sources give nothing."""
        self._waves, self._rate, self._snr_db = waves, waves.rate, how.snr_db
        own = own_class(data.labels) or BACKGROUND
        clips = data.of("train")
        self._recordings = (
            *stretches(data, waves, window, seed).get("train", ()),
            *(clip for clip in clips if clip.label == own),
        )
        self._others: dict[str, list[Clip]] = {}
        for clip in clips:
            if clip.label != own:
                self._others.setdefault(clip.label, []).append(clip)
        absent = {"recordings": not self._recordings, "others": len(self._others) < 2}
        self._sources = tuple(source for source in how.sources if not absent.get(source))
        self._alone = tuple(source for source in self._sources if source in ALONE_DBFS)
        if not (self._alone if how.background == "yes" else self._sources):
            raise Unusable(
                f"windows.sources = {list(how.sources)} gives no background in {data.name}: "
                'add "noise" or "silence" to it, or recordings of the room to the data'
            )
        self.target = data.labels.index(own) if how.background == "yes" else -1
        """Index of the label of windows that hold background only; -1: there are none."""
        self._share = how.background_share or 1.0 / len(data.labels)

    def count(self, windows: int) -> int:
        """How many windows of background alone stand beside so many of clips."""
        return 0 if self.target < 0 else max(1, round(windows * self._share / (1.0 - self._share)))

    def place(self, rng: np.random.Generator, samples: Samples, length: int, label: str) -> Samples:
        """Samples at a random offset over background: (n,) -> (length,), n <= length."""
        source = self._sources[int(rng.integers(len(self._sources)))]
        background = self._draw(source, rng, length, label)
        snr_db = rng.uniform(*FAR_DB.get(source, self._snr_db))
        window = under(background, samples, snr_db, self._rate).copy()
        offset = int(rng.integers(length - len(samples) + 1))
        window[offset : offset + len(samples)] += samples
        return window

    def window(self, rng: np.random.Generator, length: int) -> Samples:
        """Background alone, at any level at which it is found: -> (length,)."""
        source = self._alone[int(rng.integers(len(self._alone)))]
        return _at_level(self._draw(source, rng, length, ""), rng.uniform(*ALONE_DBFS[source]))

    def _draw(self, source: str, rng: np.random.Generator, length: int, label: str) -> Samples:
        """Background of one source at no level in particular, (length,)."""
        if source == "recordings":
            return self._anywhere(self._recordings, rng, length)
        if source == "others":
            labels = [other for other in self._others if other != label]
            return self._anywhere(self._others[labels[int(rng.integers(len(labels)))]], rng, length, once=True)
        if source == "silence" and rng.integers(2):
            return np.zeros(length, dtype=np.float32)
        return noise(rng, length, self._rate)

    def _anywhere(self, clips: Sequence[Clip], rng: np.random.Generator, length: int, once: bool = False) -> Samples:
        """A random stretch of a random clip, (length,); a shorter one is repeated, or stands `once` amid silence."""
        clip = clips[int(rng.integers(len(clips)))]
        held = self._waves.length(clip)
        if held >= length:
            return self._waves.window(clip, int(rng.integers(held - length + 1)), length)
        samples = self._waves.window(clip, 0, held)
        whole = np.pad(samples, (0, length - held)) if once else tile(samples, length)
        return np.roll(whole, int(rng.integers(length)))


def _at_level(samples: Samples, level_dbfs: float) -> Samples:
    """Samples at this RMS re 1; silence stays silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    if power <= 0.0:
        return samples
    return (samples * np.float32(10.0 ** (level_dbfs / 20.0) / np.sqrt(power))).astype(np.float32)
