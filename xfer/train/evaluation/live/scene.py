"""A scene: held-out clips at random times over background, and where each of them really sounds.

What a scene holds is decided once, from a seed; its samples are made when they are asked for, a stretch at a time, so
half an hour of it never lies in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xfer.runtime.audio import Samples
from xfer.runtime.errors import Unusable
from xfer.train.data.background import ACTIVE_SHARE, FRAME_SECONDS, active_power
from xfer.train.data.clips import Clip

if TYPE_CHECKING:
    from xfer.train.data.waves import Waves

LARGEST_SHARE = 2 / 3
"""Of a scene, at most so much is clips and the time that must lie between them."""
LONGEST_SECONDS = 30.0
"""Of a longer clip its beginning is heard: a scene is to hold many."""
PIECE_SECONDS, FADE_SECONDS = 10.0, 0.25
"""Background changes so often, and so long do two pieces of it overlap."""
QUIET_DBFS = -60.0
"""Level of background under clips that are silent themselves."""


@dataclass(frozen=True)
class Placed:
    """A clip in the scene; places are samples of the scene."""

    clip: Clip
    start: int
    end: int
    """One past its last sample."""
    onset: int
    """Where it begins to sound: its first frame that is at most 20 dB below its loudest."""
    gain: float
    """Brings its active level to the scene's."""


@dataclass(frozen=True)
class Piece:
    """A piece of background; pieces overlap by the fade."""

    start: int
    count: int
    number: int
    """Of generated noise: its seed."""
    clip: Clip | None = None
    """The recording that it is from; None: generated noise."""
    first: int = 0
    """Where in the recording."""


@dataclass(frozen=True)
class Scene:
    """What sounds when."""

    rate: int
    """Hz."""
    total: int
    """Samples."""
    placed: tuple[Placed, ...]
    """In time, never overlapping."""
    pieces: tuple[Piece, ...]
    """In time, from one end to the other."""
    fade: int
    """Samples."""
    snr_db: float
    """Active level of every clip over that of the background."""
    level_dbfs: float
    """Active level of the background."""
    seed: int

    @property
    def seconds(self) -> float:
        """Length."""
        return self.total / self.rate


@dataclass(frozen=True)
class Terms:
    """What a scene is asked to be."""

    minutes: float = 30.0
    snr_db: float = 20.0
    apart_seconds: float = 3.0
    """At least so much background between two clips: what one of them made sound must be over before the next."""
    seed: int = 0


def compose(clips: Sequence[Clip], waves: Waves, background: Sequence[Clip], terms: Terms) -> Scene:
    """A scene of as many clips as there is room for, over recordings of `background`, or generated noise.

    Where not all clips find room, classes take turns, so that each is there alike.
    Raises Unusable where not one clip does, and what `waves` raises.
    """
    rate, rng = waves.rate, np.random.default_rng([terms.seed, 1])
    total = round(terms.minutes * 60 * rate)
    apart = round(terms.apart_seconds * rate)
    chosen = _chosen([shortened(clip, waves) for clip in clips], waves, LARGEST_SHARE * total, apart, rng)
    if not chosen:
        shortest = min(waves.length(clip) for clip in clips) / rate
        least = (min(shortest, LONGEST_SECONDS) + 2 * terms.apart_seconds) / LARGEST_SHARE / 60
        raise Unusable(f"no clip finds room in {terms.minutes:g} minutes: take more, as in --minutes {least:.0f}")
    heard = [_sounding(waves.samples(clip), rate) for clip in chosen]
    levels = np.array([level for _, level in heard if level > 0])
    level = float(np.median(levels)) if len(levels) else 10 ** (QUIET_DBFS / 20)
    free = total - sum(waves.length(clip) for clip in chosen) - (len(chosen) + 1) * apart
    before = np.sort(rng.integers(free + 1, size=len(chosen)))
    placed: list[Placed] = []
    taken = apart
    for clip, (onset, own), slack in zip(chosen, heard, before.tolist(), strict=True):
        start, count = slack + taken, waves.length(clip)
        placed.append(Placed(clip, start, start + count, start + onset, level / own if own > 0 else 1.0))
        taken += count + apart
    under = 20 * float(np.log10(level)) - terms.snr_db
    fade = round(FADE_SECONDS * rate)
    pieces = tuple(_pieces(background, waves, total, fade, np.random.default_rng([terms.seed, 2])))
    return Scene(rate, total, tuple(placed), pieces, fade, terms.snr_db, under, terms.seed)


def shortened(clip: Clip, waves: Waves) -> Clip:
    """The clip's beginning, where it is long."""
    longest = round(LONGEST_SECONDS * waves.rate)
    return clip if waves.length(clip) <= longest else replace(clip, duration=longest / waves.rate)


def _chosen(clips: Sequence[Clip], waves: Waves, room: float, apart: int, rng: np.random.Generator) -> list[Clip]:
    """Clips for which there is room, in random order."""
    queues: dict[str, list[Clip]] = {}
    for at in rng.permutation(len(clips)).tolist():
        queues.setdefault(clips[at].label, []).append(clips[at])
    chosen: list[Clip] = []
    used = apart
    while queues:
        for label in sorted(queues):
            clip = queues[label].pop()
            if not queues[label]:
                del queues[label]
            needed = waves.length(clip) + apart
            if used + needed <= room:
                chosen.append(clip)
                used += needed
    return [chosen[at] for at in rng.permutation(len(chosen)).tolist()]


def _sounding(samples: Samples, rate: int) -> tuple[int, float]:
    """Where a clip begins to sound, in samples, and its active level (root mean square; 0: it is silent)."""
    frame = max(1, round(FRAME_SECONDS * rate))
    whole = len(samples) // frame
    level = float(np.sqrt(active_power(samples, rate)))
    if not whole or level == 0.0:
        return 0, level
    powers = np.square(samples[: whole * frame].reshape(whole, frame), dtype=np.float64).mean(axis=1)
    return int(np.argmax(powers >= ACTIVE_SHARE * powers.max())) * frame, level


def _pieces(background: Sequence[Clip], waves: Waves, total: int, fade: int, rng: np.random.Generator) -> list[Piece]:
    """Pieces from before the scene's beginning to beyond its end; a recording that is too short is repeated."""
    longest = round(PIECE_SECONDS * waves.rate)
    pieces: list[Piece] = []
    at = -fade
    while at < total:
        clip, first, count = None, 0, longest
        if background:
            clip = background[int(rng.integers(len(background)))]
            held = waves.length(clip)
            count = max(min(held, longest), 3 * fade)
            first = int(rng.integers(max(held - count, 0) + 1))
        pieces.append(Piece(at, count, len(pieces), clip, first))
        at += count - fade
    return pieces
