"""A scene as a source of sound: its samples are made block by block, and do not depend on the sizes of the blocks."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from xfer.runtime.audio import Samples, tile
from xfer.runtime.sources import Block
from xfer.train.data.background import active_power, noise
from xfer.train.evaluation.live.scene import Piece, Placed, Scene

if TYPE_CHECKING:
    from xfer.train.data.waves import Waves

BLOCK_SECONDS = 1.0
HELD_PIECES = 4
"""Pieces of background that stay in memory: a block touches two."""


class SceneSource:
    """A scene as `xfer.runtime.listening.Listener` hears it (a `runtime.sources.Source`)."""

    name = "scene"
    live = False
    """Events tell what a window took to compute: sound that is made on demand has no arrival."""
    notes: tuple[str, ...] = ()

    def __init__(self, scene: Scene, waves: Waves, block: int = 0) -> None:
        """`block`: samples at once; 0: a second."""
        self.scene, self.rate = scene, scene.rate
        self._waves = waves
        self._block = block or round(BLOCK_SECONDS * scene.rate)
        self._stopped = False
        self._pieces: OrderedDict[int, Samples] = OrderedDict()
        self._clip: tuple[Placed, Samples] | None = None
        rise = np.sin(0.5 * np.pi * (np.arange(scene.fade) + 0.5) / max(scene.fade, 1))
        self._rise = rise.astype(np.float32)  # rise**2 + fall**2 = 1: the power stays where two pieces overlap

    def blocks(self) -> Iterator[Block]:
        """All of the scene. Raises what `waves` raises where a recording is gone meanwhile."""
        for at in range(0, self.scene.total, self._block):
            if self._stopped:
                return
            yield Block(self.samples(at, min(self._block, self.scene.total - at)), time.monotonic())

    def stop(self) -> None:
        """End after the current block."""
        self._stopped = True

    def close(self) -> None:
        """Nothing is open."""

    def samples(self, start: int, count: int, clips: bool = True) -> Samples:
        """Samples `start` to `start + count` of the scene, (count,); without `clips` the background alone."""
        out = np.zeros(count, dtype=np.float32)
        for piece in self.scene.pieces:
            if piece.start < start + count and start < piece.start + piece.count:
                _add(out, start, self._piece(piece), piece.start)
        for placed in self.scene.placed if clips else ():
            if placed.start < start + count and start < placed.end:
                _add(out, start, self._placed(placed), placed.start)
        return out

    def _piece(self, piece: Piece) -> Samples:
        """A piece of background at the scene's level, faded in and out, (piece.count,)."""
        if piece.number not in self._pieces:
            if piece.clip is None:
                samples = noise(np.random.default_rng([self.scene.seed, 3, piece.number]), piece.count, self.rate)
            else:
                held = min(piece.count, self._waves.length(piece.clip) - piece.first)
                samples = tile(self._waves.window(piece.clip, piece.first, held), piece.count)
            power = active_power(samples, self.rate)
            gain = 10 ** (self.scene.level_dbfs / 20) / np.sqrt(power) if power > 0 else 0.0
            samples = (samples * np.float32(gain)).astype(np.float32)
            samples[: len(self._rise)] *= self._rise
            samples[len(samples) - len(self._rise) :] *= self._rise[::-1]
            self._pieces[piece.number] = samples
            while len(self._pieces) > HELD_PIECES:
                self._pieces.popitem(last=False)
        return self._pieces[piece.number]

    def _placed(self, placed: Placed) -> Samples:
        if self._clip is None or self._clip[0] is not placed:
            samples = self._waves.samples(placed.clip) * np.float32(placed.gain)
            self._clip = (placed, samples.astype(np.float32))
        return self._clip[1]


def _add(out: Samples, start: int, samples: Samples, at: int) -> None:
    """Add `samples`, which begin at `at`, to `out`, which begins at `start`."""
    first, last = max(start, at), min(start + len(out), at + len(samples))
    out[first - start : last - start] += samples[first - at : last - at]
