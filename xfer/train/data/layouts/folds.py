"""Published folds as a split: the highest fold that is there is the test side, the next one validates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xfer.train.data.clips import Clip, Split


def on_sides(clips: Sequence[Clip]) -> tuple[list[Clip], tuple[str, ...]]:
    """The clips with their fold's side of the split, and what to tell of it.

    Three folds or more: the highest is test, the next validation, the others train. Two: the higher is test, the
    other is to be divided (None). One: it is to be divided.
    """
    folds = sorted({clip.fold for clip in clips if clip.fold is not None}, reverse=True)
    sides: dict[int | None, Split] = {}
    if len(folds) >= 2:
        sides[folds[0]] = "test"
    if len(folds) >= 3:
        sides[folds[1]] = "validation"
        sides |= dict.fromkeys(folds[2:], "train")
        note = f"published folds: {folds[0]} is the test side, {folds[1]} validates, the others train"
    else:
        note = (
            f"{len(folds)} published fold{'s' if len(folds) > 1 else ''} here, where three would train, validate and "
            "test: what is missing is drawn by group"
        )
    return [replace(clip, split=sides.get(clip.fold)) for clip in clips], (note,)
