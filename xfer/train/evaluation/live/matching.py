"""From what was heard in a scene, and what was there, to rates over the threshold.

Everything is counted such that a higher threshold can only take away: hits, wrong names and false alarms alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from xfer.runtime.events import Event
from xfer.train.evaluation.rates import Interval

ANEW_SECONDS = 10.0
"""A wrong name that goes on is a false alarm, and another one every so often: a device would have said it again."""


@dataclass(frozen=True)
class Truth:
    """A clip in the stream; seconds of stream time."""

    label: str
    start: float
    onset: float
    """Where it begins to sound, between start and end."""
    end: float


@dataclass(frozen=True)
class Call:
    """An event that names the right label of a clip."""

    score: float
    onset_error: float
    """Seconds from the clip's onset to the start of the event's window; before it: negative."""
    latency: float
    """Seconds from the clip's onset until the event is there: to its end, and what it took to compute."""


@dataclass(frozen=True)
class Outcome:
    """What was heard of one clip."""

    truth: Truth
    calls: tuple[Call, ...]
    """In time."""
    wrong: float
    """Highest score of another label; below 0: there was none."""
    answer: str | None
    """The label of the surest event."""

    @property
    def score(self) -> float:
        """Highest score of its own label; below 0: it was never named."""
        return max((call.score for call in self.calls), default=-1.0)


@dataclass(frozen=True)
class Alarm:
    """A label that was named where it was not; seconds of stream time."""

    label: str
    start: float
    end: float
    score: float
    """The highest."""
    in_background: bool
    """No clip was there when it began."""


@dataclass(frozen=True)
class Point:
    """What comes of one threshold; rates are fractions of one."""

    threshold: float
    hits: int
    hit_rate: float
    wrong_rate: float
    """Share of clips during which another label was named, whether or not their own was too."""
    false_alarms: int
    """Labels named where they were not: in the background, and another's during a clip."""
    in_background: int
    """Of these, those that began where there was no clip."""
    false_alarms_per_hour: float
    onset_error_median: float | None
    """Seconds, of hits: how far the start of the first event over the threshold lies from the onset."""
    onset_error_90: float | None
    """90 % of hits are nearer."""
    latency_median: float | None
    """Seconds, of hits: from the onset until the first event over the threshold is there."""
    latency_90: float | None


def match(
    events: Iterable[Event], truth: Sequence[Truth], tolerance: float, nothing: Collection[str] = ()
) -> tuple[tuple[Outcome, ...], tuple[Alarm, ...]]:
    """What was heard of each clip, and every false alarm, at a threshold of 0.

    An event belongs to a clip when its window touches it, or begins less than `tolerance` seconds after its end. Labels
    of `nothing` say that nothing was heard. `truth` in time.
    """
    calls: list[list[Call]] = [[] for _ in truth]
    wrong = [-1.0] * len(truth)
    surest: list[tuple[float, str | None]] = [(-1.0, None)] * len(truth)
    alarms: list[Alarm] = []
    running = False
    starts = [each.start for each in truth]
    for event in events:
        if event.label is None or event.score is None or event.label in nothing:
            running = False
            continue
        began = bisect_left(starts, event.end)  # those that start before the event's end
        mine = [at for at in range(began) if event.start < truth[at].end + tolerance]
        own = next((at for at in reversed(mine) if truth[at].label == event.label), None)
        here = own if own is not None else mine[-1] if mine else None
        if here is not None and event.end > truth[here].onset:
            surest[here] = max(surest[here], (event.score, event.label), key=lambda each: each[0])
        if own is not None:
            running = False
            if event.end > truth[own].onset:
                after = event.end - truth[own].onset + (event.latency_ms or 0.0) / 1000
                calls[own].append(Call(event.score, event.start - truth[own].onset, after))
            continue
        if here is not None:
            wrong[here] = max(wrong[here], event.score)
        last = alarms[-1] if running else None
        if last and last.label == event.label and event.start - last.start < ANEW_SECONDS:
            alarms[-1] = Alarm(last.label, last.start, event.end, max(last.score, event.score), last.in_background)
        else:
            alarms.append(Alarm(event.label, event.start, event.end, event.score, here is None))
        running = True
    outcomes = tuple(Outcome(each, tuple(calls[at]), wrong[at], surest[at][1]) for at, each in enumerate(truth))
    return outcomes, tuple(alarms)


def point(outcomes: Sequence[Outcome], alarms: Sequence[Alarm], threshold: float, hours: float) -> Point:
    """What comes of a threshold; `hours` is the length of the stream."""
    first = [next((call for call in each.calls if call.score >= threshold), None) for each in outcomes]
    hits = [call for call in first if call is not None]
    wrong = sum(each.wrong >= threshold for each in outcomes)
    raised = [alarm for alarm in alarms if alarm.score >= threshold]
    errors = [abs(call.onset_error) for call in hits]
    latencies = [call.latency for call in hits]
    return Point(
        threshold,
        len(hits),
        len(hits) / len(outcomes),
        wrong / len(outcomes),
        len(raised),
        sum(alarm.in_background for alarm in raised),
        len(raised) / hours,
        _quantile(errors, 0.5),
        _quantile(errors, 0.9),
        _quantile(latencies, 0.5),
        _quantile(latencies, 0.9),
    )


def alarms_interval(count: int, hours: float) -> Interval:
    """95 % interval of a rate an hour, from so many alarms (exact, Poisson): none in half an hour may be 7 an hour."""
    from scipy.stats import chi2

    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return float(low / hours), float(chi2.ppf(0.975, 2 * count + 2) / 2 / hours)


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None
