"""One voice or two in a recording, and is it the voice of the others? As far as the model's embeddings can tell.

A model that mixes up people in one decision of five cannot find every second voice: docs/speakers.md has how many it
found, and how often it suspected one person alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xfer.runtime.speakers.checks import Finding
from xfer.runtime.speakers.people import Person
from xfer.runtime.speakers.scoring import AnyFloats, directions, heard

LEAST_WINDOWS = 4
"""Fewer are not parted in two."""
TWO_VOICES, MAYBE_TWO = 0.50, 0.62
"""Cosine between the two parts of a recording below which it holds two voices, surely or perhaps."""
UNLIKE = 0.45
"""Cosine of a recording to the person's others below which it is worth a word."""
NEARER = 0.05
"""So much nearer to somebody else it must be before that is said."""
_ROUNDS = 20


def check_voices(embeddings: AnyFloats, seconds: float) -> list[Finding]:
    """Do the windows of a recording of so many seconds, (n, d), fall into two voices? Fewer than four are not asked."""
    if len(embeddings) < LEAST_WINDOWS:
        return []
    unit = directions(embeddings)
    second = _second(unit)
    if min(second.sum(), (~second).sum()) < 2:
        return []
    apart = float(heard(unit[second]) @ heard(unit[~second]))
    if apart >= MAYBE_TWO:
        return []
    at = seconds * int(np.argmax(second != second[0])) / len(second)
    surely = apart < TWO_VOICES
    says = "it seems to hold two voices" if surely else "it may hold two voices"
    what = f"{says} (from about {at:.0f} s on it is less alike: cosine {apart:.2f})"
    return [Finding("voices", surely, f"{what}: enrol from recordings of one person alone")]


def check_likeness(embeddings: AnyFloats, own: AnyFloats | None, others: Sequence[Person]) -> list[Finding]:
    """Is a recording, (n, d), like what is enrolled of its person, and not more like somebody else? Only told.

    `own`: (n, d), or None where nothing is enrolled of them.
    """
    here = heard(embeddings)
    nearest = max(others, key=lambda each: float(here @ heard(each.embeddings)), default=None)
    theirs = -1.0 if nearest is None else float(here @ heard(nearest.embeddings))
    if own is None:
        return []
    mine = float(here @ heard(own))
    if nearest is not None and theirs > mine + NEARER:
        what = f"it sounds more like {nearest.name} (cosine {theirs:.2f}) than like the other recordings ({mine:.2f})"
        return [Finding("likeness", False, f"{what}: is it the right person?")]
    if mine < UNLIKE:
        what = f"it sounds unlike the other recordings of this person (cosine {mine:.2f})"
        return [Finding("likeness", False, f"{what}: is it the right person, alone?")]
    return []


def _second(unit: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which windows are of the second of two parts, (n,): k-means on the sphere, from the two furthest apart."""
    cosines = unit @ unit.T
    first, other = np.unravel_index(np.argmin(cosines), cosines.shape)
    centres = unit[[first, other]]
    second = np.zeros(len(unit), dtype=np.bool_)
    for _ in range(_ROUNDS):
        found = np.asarray((unit @ centres.T).argmax(axis=1) == 1)
        if found.all() or not found.any() or (found == second).all():
            return found
        second = found
        centres = directions(np.array([unit[~second].mean(axis=0), unit[second].mean(axis=0)]))
    return second
