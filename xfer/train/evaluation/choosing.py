"""Which clips of a data set a net is asked about: never those that it was trained on, where that can be known."""

from __future__ import annotations

from collections.abc import Sequence

from xfer.runtime.errors import Unusable
from xfer.train.data.cache import Store, fill
from xfer.train.data.check import KnownFacts, Progress
from xfer.train.data.clips import SPLITS, Clip, DataSet
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.splits import listed_in, split
from xfer.train.evaluation.subject import Subject

SIDES = ("auto", *SPLITS, "all")


def usable(data: DataSet, store: Store, rate: int, tell: Progress) -> tuple[DataSet, list[str]]:
    """The data set without what cannot be used, decoded at `rate` Hz into the store; and a sentence for each lost clip.

    Raises Unusable where nothing is left.
    """
    faults = fill(store, data.clips, (rate,), progress=lambda done, of: tell("decoding", done, of))
    good: list[Clip] = []
    lost: list[str] = []
    for clip, facts in zip(data.clips, KnownFacts(store, data.clips, faults), strict=True):
        if facts.fault is None:
            good.append(clip)
        else:
            lost.append(facts.message.replace("{path}", str(clip.path)))
    if not good:
        raise Unusable(f"{data.name}: none of its {len(data.clips)} recordings can be used; the first: {lost[0]}")
    return data.with_clips(tuple(good)), lost


def choose(data: DataSet, subject: Subject, side: str) -> tuple[Sequence[Clip], str]:
    """The clips of one side, and which side that is in words.

    auto: the test side of the split that the net was trained with, where its run is beside it; else the published one,
    or the one that a training with the default recipe makes, where the net was trained on data of this name; else all.
    Of data of which it knows no label: all.
    Raises Unusable where the side has no clips.
    """
    strange = not set(data.labels) & set(subject.labels)
    if side == "all" or (side == "auto" and strange):
        return data.clips, "all"
    table = subject.path.parent / "split.csv"
    own = subject.trained_on == data.name
    if own and table.is_file():
        placed, origin = listed_in(data, table), "of the run's split"
    elif any(clip.split or clip.fold for clip in data.clips):
        placed, origin = split(data, DataRecipe()), "as published"
    elif own or side != "auto":
        placed, origin = split(data, DataRecipe()), "of the default split"
    else:
        return data.clips, "all"
    for wanted in ("test", "validation") if side == "auto" else (side,):
        clips = [clip for clip in placed.clips if clip.split == wanted]
        if clips:
            return clips, f"{wanted}, {origin}"
    raise Unusable(f"{data.name} has no clips on the side {side!r}: take another --side, or all")
