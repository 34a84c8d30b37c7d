"""The threshold of an export: the model file itself is asked about negatives, before anybody calls it finished.

The file and not the checkpoint, although for fp32 parity makes them equal: what listens later is this file in this
precision, and int8 moves scores by more than the threshold is fine. It is run as `listen` runs it, in the format's own
engine on one thread, one window at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xfer.export.clips import Recordings
from xfer.export.describe import describe
from xfer.export.negatives import Negatives, given, of_run
from xfer.export.steady import steady
from xfer.export.unknown import LARGEST_TARGET, TARGET, Floats, Score, best_of, calibrate, heard, least, most
from xfer.runtime.card import Card, digits
from xfer.runtime.engines import Array, Engine
from xfer.runtime.errors import Unusable, XferError
from xfer.train.checkpoint import Checkpoint
from xfer.train.data.clips import Clip
from xfer.train.data.waves import Waves
from xfer.train.data.windows import Grid

_TOLD_EVERY = 50
_STEADY_SECONDS = 3
"""Heard of a clip, or all that is heard of it by the net, to say whether it is steady noise."""


@dataclass(frozen=True)
class Asked:
    """What a threshold is to be found on."""

    checkpoint: Checkpoint
    negatives: tuple[Negatives, ...]
    known: tuple[Clip, ...]
    """Validation clips, of which as many as possible should stay known."""
    target: float
    by_user: bool
    """The negatives were named: too few of them are an error."""


def ask(
    checkpoint: Checkpoint, recordings: Recordings | None, paths: Sequence[Path] = (), target: float = TARGET
) -> Asked:
    """What there is to find a threshold on: data sets at `paths`, else what the run itself kept apart.

    Raises FileNotThere; Unusable for a target that is none, for what is no data set, and for too few clips of it.
    """
    if not 0 < target <= LARGEST_TARGET:
        hint = f"{target / 100:g} is {target:g} %" if 1 <= target <= 100 * LARGEST_TARGET else "0.05 is 5 %"
        raise Unusable(f"--false-accepts {target:g} is no share above 0 and up to {LARGEST_TARGET:g}: {hint}")
    found = given(paths, checkpoint, recordings, target) if paths else of_run(checkpoint, recordings, target)
    asked = Asked(
        checkpoint,
        tuple(found),
        tuple(recordings.spread("validation", most(target))) if recordings else (),
        target,
        bool(paths),
    )
    if paths:
        _refuse_few(sum(len(each.clips) for each in found), "clips that hold no label", asked)
    return asked


def calibrated(card: Card, engine: Engine, asked: Asked, progress: Callable[[str], None]) -> Card:
    """The card with a threshold, how it was found, and a description that says so; without one where none is found.

    Raises Unusable where the user named negatives, and too few of them can be used.
    """
    grid = Grid(card.window, card.hop, 0, card.short)
    waves = Waves(card.sample_rate)

    def score(windows: Array) -> Array:
        return engine.run(windows).scores

    negatives: dict[str, list[Floats]] = {}
    lively = 0
    for each in asked.negatives:
        for reason in each.left_out:
            progress(f"negatives of {each.source}: {reason} left out")
        told = f"{each.source}: how the file hears"
        found = _all(score, waves, each.clips, grid, told, progress)
        negatives[each.source] = [events for events, _ in found]
        lively += sum(not dull for _, dull in found)
    total = sum(map(len, negatives.values()))
    why = _too_few(total, lively, asked)
    if why:
        progress(f"threshold: {why}")
        return replace(card, threshold_origin=why)
    known = _all(score, waves, asked.known, grid, "validation: how the file hears", progress)
    threshold = calibrate(negatives, [events for events, _ in known], asked.target)
    if threshold is None:
        sure = int((best_of([clip for clips in negatives.values() for clip in clips]) >= 1.0).sum())
        share = math.ceil(100 * sure / total)
        why = (
            f"uncalibrated: to {sure} of {total} clips that hold no label ({sure / total:.1%}) the model gives the "
            f"full score, so no threshold takes at most {100 * asked.target:g} %"
            + (f"; one takes {share} % (--false-accepts {share / 100:g})" if share <= 100 * LARGEST_TARGET else "")
        )
        progress(f"threshold: {why}")
        return replace(card, threshold_origin=why)
    progress(f"threshold {digits(threshold.value)}: {threshold.sentence()}")
    hashes = {each.source: each.sha256 for each in asked.negatives}
    document = threshold.to_json()
    document["negatives"] = [entry | {"data_sha256": hashes[entry["source"]]} for entry in document["negatives"]]
    return replace(
        card,
        threshold=threshold.value,
        threshold_origin=threshold.sentence(),
        calibration=document | {"engine": engine.description},
        description=describe(asked.checkpoint, threshold),
    )


def _all(
    score: Score, waves: Waves, clips: Sequence[Clip], grid: Grid, told: str, say: Callable[[str], None]
) -> list[tuple[Floats, bool]]:
    """What is heard of each clip that can be read, and whether it is steady noise only."""
    found: list[tuple[Floats, bool]] = []
    broken: list[XferError] = []
    for index, clip in enumerate(clips):
        if index % _TOLD_EVERY == 0:
            say(f"{told} {len(clips)} clips" if not index else f"{told}: {index} of {len(clips)}")
        try:
            dull = steady(waves.window(clip, 0, max(2 * grid.window, _STEADY_SECONDS * waves.rate)))
            found.append((heard(score, waves, clip, grid), dull))
        except XferError as error:
            broken.append(error)
    if broken:
        say(f"{told}: {len(broken)} cannot be used, the first: {broken[0]}")
    return found


def _too_few(total: int, lively: int, asked: Asked) -> str:
    """Why nothing can be said; empty where something can. Raises Unusable where the user must mend it."""
    if not total:
        return "uncalibrated: no clip that holds no label could be read"
    if not lively:
        return f"uncalibrated: all {total} clips that hold no label are steady noise, tones or silence"
    if asked.by_user:
        _refuse_few(lively, "clips that hold no label and are more than steady noise", asked)
    needed = least(asked.target)
    return f"uncalibrated: {lively} clips that hold no label, where {needed} are needed" if lively < needed else ""


def _refuse_few(count: int, what: str, asked: Asked) -> None:
    needed = least(asked.target)
    if count < needed:
        names = ", ".join(each.source for each in asked.negatives)
        left = "; ".join(", ".join(each.left_out) for each in asked.negatives if each.left_out)
        raise Unusable(
            f"{names}: {count} {what}"
            + (f" ({left} left out)" if left else "")
            + f", and {needed} are needed for {100 * asked.target:g} % false accepts: name more with --negatives"
            + (", or allow more with --false-accepts" if needed > least(TARGET) else "")
        )
