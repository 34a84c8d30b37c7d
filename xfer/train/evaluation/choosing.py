"""Which clips of a data set a net is asked about: never those that it was trained on, where that can be known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from xfer.runtime.errors import Unusable
from xfer.train.data.cache import Store, fill
from xfer.train.data.check import KnownFacts, Progress
from xfer.train.data.clips import SPLITS, Clip, DataSet
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.splits import listed_in, split
from xfer.train.data.splits.identity import identity, shuffled
from xfer.train.data.waves import Waves
from xfer.train.evaluation.evaluate import hear_cohort
from xfer.train.evaluation.subject import Subject
from xfer.train.evaluation.trials import Trials, balanced_trials
from xfer.train.evaluation.verification import LEAST, TOP, Cohort

SIDES = ("auto", *SPLITS, "all")
COHORT_CLIPS = 10
"""Clips of each cohort speaker that are heard, at most."""


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
    Of data of which it knows no label: all. To these come all clips of speakers that it does not know.
    Raises Unusable where the side has no clips.
    """
    known = set(subject.labels)
    strange = not set(data.labels) & known
    speakers = side == "auto" and subject.task == data.task == "speaker"
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
    strangers = [clip for clip in data.clips if speakers and clip.label not in known]
    people = f"{len({clip.label for clip in strangers})} speakers that it never heard"
    for wanted in ("test", "validation") if side == "auto" else (side,):
        clips = [clip for clip in placed.clips if clip.split == wanted and not (speakers and clip.label not in known)]
        if clips:
            return [*clips, *strangers], f"{wanted}, {origin}" + (f", and {people}" if strangers else "")
    if strangers:
        return strangers, people
    raise Unusable(f"{data.name} has no clips on the side {side!r}: take another --side, or all")


def only_listed(trials: Trials, clips: Sequence[Clip]) -> tuple[Trials, Sequence[Clip]]:
    """Those of the clips that some trial is over, and the trials by their places among these."""
    places = np.unique(np.concatenate([trials.one, trials.other]))
    found = Trials(np.searchsorted(places, trials.one), np.searchsorted(places, trials.other), trials.same)
    return found, [clips[place] for place in places]


def new_trials(clips: Sequence[Clip], subject: Subject) -> tuple[Trials, Sequence[Clip]]:
    """A balanced list of trials from speakers that the net does not know, and the clips that it is over.

    Raises Unusable where there are not two such speakers, one of them with two clips.
    """
    strangers = [clip for clip in clips if clip.label not in subject.labels]
    people = np.unique([clip.label for clip in strangers], return_inverse=True)[1] if strangers else None
    trials = balanced_trials(people) if people is not None else None
    if trials is None:
        raise Unusable(
            "no trials can be made: that takes two speakers that the net was not trained on, and two clips of one "
            "(to keep some from training: --set data.held_out=10)"
        )
    return trials, strangers


def find_cohort(
    subject: Subject,
    data: DataSet,
    asked: Sequence[Clip],
    store: Store,
    tell: Progress,
    *,
    listed: bool = False,
    other: DataSet | None = None,
    top: int = TOP,
) -> tuple[Cohort | None, str]:
    """Who is in no trial over the `asked` clips, for AS-norm; and in words why there is nobody.

    These are the speakers that the net was trained on, from the train side of this data, or all of `other` data; of
    each a few clips, which are heard. None also where nothing will be verified.
    Raises Unusable for a `top` that is none.
    """
    if top < 0 or 0 < top < LEAST:
        raise Unusable(f"AS-norm over the {top} nearest speakers has no spread: {LEAST} or more, or 0 to leave it out")
    known = set(subject.labels)
    tested = {clip.label for clip in asked if listed or clip.label not in known}
    if not top or len(tested) < 2 or subject.task != "speaker":
        return None, ""
    if other is not None:
        clips: Sequence[Clip] = other.clips
    else:
        try:
            clips = [clip for clip in choose(data, subject, "train")[0] if clip.label in known]
        except Unusable:  # it has no such side
            clips = []
    taken: Counter[str] = Counter()
    chosen = []
    where = other or data
    for clip in shuffled(clips, 0, lambda clip: repr(identity(where.root, clip))):
        taken[clip.label] += 1
        if clip.label not in tested and taken[clip.label] <= COHORT_CLIPS:
            chosen.append(clip)
    waves = Waves(subject.sample_rate, store)
    cohort = hear_cohort(subject, chosen, waves, where.name, top, lambda done, of: tell("hearing the cohort", done, of))
    if cohort is None:
        return None, f"{where.name} has no {LEAST} speakers " + (
            "who are in no trial" if other else "whom it was trained on; name recordings of others with --cohort DATA"
        )
    return cohort, ""
