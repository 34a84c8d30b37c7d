"""A threshold for a wanted rate of false accepts, found on the user's own recordings, and how sure that is.

Every decision that `listen` would make on a recording is a trial. No recording is scored against a centroid that it is
in: its person's centroid is made anew without it. A stranger is an enrolled person with the own centroid taken away, or
somebody of the other voices; a stranger is let in where the nearest of all centroids is near enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer.runtime.errors import Unusable
from xfer.runtime.speakers.people import Person
from xfer.runtime.speakers.rates import equal_error, interval_of, interval_of_share
from xfer.runtime.speakers.scoring import AVERAGED, AnyFloats, Floats, decided, directions, heard

LEAST_VOICES = 5
"""Of fewer people no interval is given: to draw 3 people anew says nothing about a fourth."""
PROVISIONAL_SHARE = 0.10
"""Without a calibration, so many of the enrolled people's own decisions are given up."""
_ROUNDING = 1e-6
"""Windows that are all alike are as near to each other as float32 lets them."""
GUESS = 0.7
"""Threshold where recordings are so short that nothing can be left out."""


@dataclass(frozen=True)
class Trials:
    """Decisions on recordings, scored against all centroids."""

    owners: npt.NDArray[np.int64]
    """Whose each decision is, (t,): a place in `names`, enrolled people first."""
    scores: Floats
    """(t, people); NaN where no centroid without the recording could be made."""
    names: tuple[str, ...]
    """Everybody: enrolled people, then other voices."""

    @property
    def own(self) -> Floats:
        """Each decision's cosine with its own person, (t,); NaN for strangers."""
        found = np.full(len(self.owners), np.nan)
        mine = self.owners < self.scores.shape[1]
        found[mine] = self.scores[mine, self.owners[mine]]
        return found

    @property
    def others(self) -> Floats:
        """Each decision's cosines with everybody else, (t, people); NaN in the own column."""
        found = self.scores.copy()
        mine = np.flatnonzero(self.owners < found.shape[1])
        found[mine, self.owners[mine]] = np.nan
        return found

    @property
    def nearest_other(self) -> Floats:
        """Each decision's cosine with the nearest of everybody else, (t,); -inf where there is nobody else."""
        return np.asarray(np.nan_to_num(self.others, nan=-np.inf).max(axis=1))


@dataclass(frozen=True)
class Calibrated:
    """What was found. Rates are shares of decisions; intervals hold 95 %, by drawing people anew."""

    threshold: float
    wanted: float
    false_accepts: float
    """Of strangers' decisions, at the threshold."""
    false_accepts_interval: tuple[float, float] | None
    misses: float | None
    """Of enrolled people's decisions, those that do not name them; None where nobody has two recordings."""
    misses_interval: tuple[float, float] | None
    misnamed: float | None
    """Of enrolled people's decisions, those that name somebody else."""
    eer: float | None
    """Over pairs of a decision and a person: where as many own ones are missed as others are let in."""
    eer_interval: tuple[float, float] | None
    people: int
    """Enrolled people with two and more recordings."""
    own_decisions: int
    voices: int
    """People whose decisions stood for strangers'."""
    strangers_decisions: int
    notes: tuple[str, ...]
    """What these recordings cannot tell, one sentence each."""


def trials(people: Sequence[Person], others: Sequence[tuple[str, Sequence[AnyFloats]]] = ()) -> Trials:
    """Score every decision on every recording.

    others: voices that are not enrolled, each with the embeddings (n, d) of their recordings.
    """
    whole = np.array([heard(person.embeddings) for person in people])
    owners: list[int] = []
    rows: list[Floats] = []
    for place, person in enumerate(people):
        for left_out in person.recordings:
            rest = [each.embeddings for each in person.recordings if each is not left_out]
            scores = decided(left_out.embeddings) @ whole.T
            scores[:, place] = decided(left_out.embeddings) @ heard(np.concatenate(rest)) if rest else np.nan
            rows.append(scores)
            owners += [place] * len(scores)
    for place, (_, recordings) in enumerate(others, start=len(people)):
        for embeddings in recordings:
            rows.append(decided(embeddings) @ whole.T)
            owners += [place] * len(rows[-1])
    names = (*(person.name for person in people), *(name for name, _ in others))
    return Trials(np.array(owners), np.concatenate(rows), names)


def calibrate(found: Trials, wanted: float) -> Calibrated:
    """The lowest threshold at which no more than the wanted share of strangers' decisions is let in.

    Raises Unusable for a wanted rate that is none, or where there is no stranger.
    """
    if not 0 <= wanted < 1:
        raise Unusable(f"a false-accept rate of {wanted:g} is none: take a fraction of one, as in 0.01")
    own, nearest = found.own, found.nearest_other
    strangers = np.isfinite(nearest)
    if not strangers.any():
        raise Unusable(
            "one voice alone cannot say how often strangers are let in: enrol a second person, or name recordings of "
            "other voices: xfer speakers calibrate OTHERS..."
        )
    has_own = np.isfinite(own)
    threshold = _threshold(nearest[strangers], own[has_own], wanted)
    let_in = strangers & (nearest >= threshold)
    named_right = has_own & (own >= threshold) & (own > nearest)
    misnamed = has_own & (nearest >= threshold) & ~named_right
    voices = len(np.unique(found.owners[strangers]))
    people = len(np.unique(found.owners[has_own]))
    eer, eer_interval = _eer(found, min(people, voices) >= LEAST_VOICES)
    return Calibrated(
        threshold=threshold,
        wanted=wanted,
        false_accepts=float(let_in[strangers].mean()),
        false_accepts_interval=_interval(let_in, strangers, found.owners),
        misses=float(1 - named_right[has_own].mean()) if people else None,
        misses_interval=_interval(~named_right, has_own, found.owners),
        misnamed=float(misnamed[has_own].mean()) if people else None,
        eer=eer,
        eer_interval=eer_interval,
        people=people,
        own_decisions=int(has_own.sum()),
        voices=voices,
        strangers_decisions=int(strangers.sum()),
        notes=tuple(_notes(found, int(strangers.sum()), voices, people, wanted)),
    )


def provisional(people: Sequence[Person], overlap: int = 1, averaged: int = AVERAGED) -> tuple[float, str]:
    """A threshold without strangers, and how it was found: one that gives up a tenth of the people's own decisions.

    Each recording against its person's others; of one recording alone, each window against those that do not overlap
    it (`overlap`: so many on either side do). Everybody counts alike.
    """
    shares: list[tuple[float, float]] = []
    sessions = True
    for person in people:
        own = _left_out(person, averaged)
        if own is None:
            own, sessions = _windows_left_out(person.recordings[0].embeddings, overlap), False
        shares += [(float(score), 1 / len(own)) for score in own]
    if not shares:
        return GUESS, "a guess, since the recordings are too short to leave anything out"
    scores, weights = np.array(sorted(shares)).T
    place = int(np.searchsorted(np.cumsum(weights) / weights.sum(), PROVISIONAL_SHARE))
    how = "other recordings" if sessions else "other moments of the same recording, which is easier than another day"
    edge = float(scores[place]) - _ROUNDING
    return edge, f"provisional: {1 - PROVISIONAL_SHARE:.0%} of their own decisions pass, against {how}"


def _left_out(person: Person, averaged: int) -> Floats | None:
    """Decisions of each recording against the person's others; None where there is one alone."""
    if len(person.recordings) < 2:
        return None
    parts = []
    for left_out in person.recordings:
        rest = np.concatenate([each.embeddings for each in person.recordings if each is not left_out])
        parts.append(decided(left_out.embeddings, averaged) @ heard(rest))
    return np.concatenate(parts)


def _windows_left_out(embeddings: AnyFloats, overlap: int) -> Floats:
    """Each window against the mean of those further away than `overlap`, where there are any."""
    unit, found = directions(embeddings), []
    for k in range(len(unit)):
        rest = np.concatenate([unit[: max(0, k - overlap)], unit[k + overlap + 1 :]])
        if len(rest):
            found.append(float(unit[k] @ heard(rest)))
    return np.array(found)


def _threshold(strangers: Floats, own: Floats, wanted: float) -> float:
    """Halfway from the nearest stranger that stays out to the next score above: no score stands on the edge."""
    ranked = np.sort(strangers)[::-1]
    allowed = math.floor(wanted * len(ranked) + 1e-9)
    edge = float(ranked[allowed])
    above = np.concatenate([ranked, own])
    above = above[above > edge]
    return (edge + float(above.min())) / 2 if len(above) else float(np.nextafter(edge, np.inf))


def _interval(
    what: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_], owners: npt.NDArray[np.int64]
) -> tuple[float, float] | None:
    people, place = np.unique(owners[of], return_inverse=True)
    if len(people) < LEAST_VOICES:
        return None
    count = np.bincount(place, minlength=len(people)).astype(np.float64)
    hits = np.asarray(np.bincount(place, what[of].astype(np.float64), len(people)), dtype=np.float64)
    return interval_of_share(hits, count)


def _eer(found: Trials, interval: bool) -> tuple[float | None, tuple[float, float] | None]:
    own, others = found.own, found.others
    mine = np.flatnonzero(np.isfinite(own))
    rows, columns = np.nonzero(np.isfinite(others))
    if not len(mine) or not len(rows):
        return None, None
    scores = own[mine], others[rows, columns]
    people = found.scores.shape[1]

    def rate(times: Floats) -> float:
        # An enrolled person who is drawn twice also stands twice as the one compared with.
        return equal_error(*scores, times[found.owners[mine]], times[found.owners[rows]] * times[:people][columns])

    everybody = len(found.names)
    eer = rate(np.ones(everybody))
    return eer, interval_of(eer, rate, everybody) if interval else None


def _notes(found: Trials, strangers: int, voices: int, people: int, wanted: float) -> list[str]:
    notes = []
    single = [name for k, name in enumerate(found.names[: found.scores.shape[1]]) if _alone(found, k)]
    if single:
        notes.append(
            f"{', '.join(single)}: one recording cannot be left out and be there, so only as strangers to the others; "
            "add a second recording"
        )
    if not people:
        notes.append("nobody has two recordings: how often the right person is missed cannot be told")
    if strangers * wanted < 1:
        notes.append(
            f"{strangers} decisions of strangers cannot show a rate of {wanted:g}: the threshold lets none of them in, "
            "and that is all that is known"
        )
    if voices < LEAST_VOICES:
        most = 1 - 0.05 ** (1 / voices)
        notes.append(
            f"{voices} voice{'s' * (voices > 1)} stood for strangers, too few for an interval: if none of them gets "
            f"in, still up to {most:.0%} of all people might (95 %)"
        )
    return notes


def _alone(found: Trials, place: int) -> bool:
    return not bool(np.isfinite(found.own[found.owners == place]).any())
