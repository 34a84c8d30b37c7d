"""What counts as hit, wrong name, false alarm, and when: hand-made cases, and counting by the definitions."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from xfer.runtime.events import Event
from xfer.train.evaluation.live.matching import ANEW_SECONDS, Truth, alarms_interval, match, point

TOLERANCE = 1.0


def said(label: str | None, start: float, score: float = 0.9, length: float = 1.0, latency_ms: float = 0.0) -> Event:
    kind = "event" if label else "gap"
    return Event(
        kind, "scene", start, start + length, "sound", "m", label, True, score if label else None, (), latency_ms
    )


CLIP = Truth("a", 10.0, 10.2, 12.0)

CASES = {
    # name: (events, hits, wrong, false alarms, of them in the background)
    "named while it sounds": ([said("a", 10.5)], 1, 0, 0, 0),
    "a window that only touches it": ([said("a", 9.3)], 1, 0, 0, 0),
    "a window that ends before it sounds": ([said("a", 9.15)], 0, 0, 0, 0),
    "a window that ends before it": ([said("a", 9.0)], 0, 0, 1, 1),
    "within the tolerance after it": ([said("a", 12.9)], 1, 0, 0, 0),
    "at the tolerance's end": ([said("a", 13.0)], 0, 0, 1, 1),
    "named again and again is one hit": ([said("a", 10.5), said("a", 11.0), said("a", 11.5)], 1, 0, 0, 0),
    "another label": ([said("b", 10.5)], 0, 1, 1, 0),
    "another label, then its own": ([said("b", 10.5), said("a", 11.0)], 1, 1, 1, 0),
    "its own between two others": ([said("b", 10.5), said("a", 11.0), said("b", 11.5)], 1, 1, 2, 0),
    "nobody is named": ([said("background", 10.5), said("background", 20.0)], 0, 0, 0, 0),
    "nothing was said": ([], 0, 0, 0, 0),
    "one name in the background": ([said("b", 20.0), said("b", 20.5), said("b", 21.0)], 0, 0, 1, 1),
    "the clip's label long after it": ([said("a", 20.0)], 0, 0, 1, 1),
    "two names in the background": ([said("b", 20.0), said("a", 20.5)], 0, 0, 2, 2),
    "a name, nothing, the name again": ([said("b", 20.0), said("background", 20.5), said("b", 21.0)], 0, 0, 2, 2),
    "a gap between": ([said("b", 20.0), said(None, 20.5), said("b", 21.0)], 0, 0, 2, 2),
    "from the background into the clip": ([said("b", 8.5), said("b", 9.5)], 0, 1, 1, 1),
    "it goes on for long": ([said("b", 20.0 + 0.5 * i) for i in range(50)], 0, 0, 3, 3),
}


@pytest.mark.parametrize("name", CASES)
def test_what_counts(name: str) -> None:
    events, hits, wrong, alarms, in_background = CASES[name]
    outcomes, found = match(events, [CLIP], TOLERANCE, {"background"})
    at = point(outcomes, found, 0.5, hours=0.5)
    assert (at.hits, at.wrong_rate, at.false_alarms, at.in_background) == (hits, wrong, alarms, in_background)
    assert at.hit_rate == hits
    assert at.false_alarms_per_hour == 2 * alarms


def test_the_first_event_over_the_threshold_gives_the_times() -> None:
    events = [said("a", 9.7, 0.4), said("a", 10.2, 0.7, latency_ms=50.0), said("a", 10.7, 0.95)]
    outcomes, alarms = match(events, [CLIP], TOLERANCE)
    low, middle, high = (point(outcomes, alarms, each, 1.0) for each in (0.3, 0.5, 0.9))
    assert low.onset_error_median == pytest.approx(0.5)  # 9.7 lies before 10.2; how far is what counts
    assert low.latency_median == pytest.approx(0.5)
    assert middle.onset_error_median == pytest.approx(0.0)
    assert middle.latency_median == pytest.approx(1.05)
    assert high.latency_90 == pytest.approx(1.5)
    none = point(outcomes, alarms, 0.96, 1.0)
    assert (none.hits, none.latency_median, none.onset_error_90) == (0, None, None)


def test_medians_are_over_clips() -> None:
    truth = [Truth("a", 10.0 * k, 10.0 * k, 10.0 * k + 2) for k in range(1, 6)]
    events = [said("a", each.start + 0.1 * k) for k, each in enumerate(truth)]
    at = point(*match(events, truth, TOLERANCE), 0.5, 1.0)
    assert (at.onset_error_median, at.onset_error_90) == pytest.approx((0.2, 0.36))
    assert (at.latency_median, at.latency_90) == pytest.approx((1.2, 1.36))


def test_the_answer_is_the_surest_event() -> None:
    events = [said("a", 10.5, 0.6), said("b", 11.0, 0.8), said("b", 30.0, 0.99)]
    assert match(events, [CLIP], TOLERANCE)[0][0].answer == "b"
    assert match(events[:1], [CLIP], TOLERANCE)[0][0].answer == "a"
    assert match(events[2:], [CLIP], TOLERANCE)[0][0].answer is None


def test_an_event_between_two_clips_is_right_for_the_one_whose_label_it_has() -> None:
    truth = [Truth("a", 10.0, 10.0, 12.0), Truth("b", 12.5, 12.5, 14.0)]
    outcomes, alarms = match([said("a", 11.8), said("b", 11.8)], truth, TOLERANCE)
    assert [len(each.calls) for each in outcomes] == [1, 1]
    assert not alarms


streams = st.lists(
    st.tuples(st.sampled_from(["a", "b", "background", None]), st.integers(0, 100).map(lambda k: k / 100)), max_size=80
)


@settings(max_examples=80, deadline=None)
@given(stream=streams, lengths=st.lists(st.integers(2, 9), min_size=1, max_size=4))
def test_a_higher_threshold_only_takes_away_and_hits_are_what_the_definition_says(
    stream: list[tuple[str | None, float]], lengths: list[int]
) -> None:
    events = [said(label, 0.5 * at, score) for at, (label, score) in enumerate(stream)]
    truth, at = [], 2.0
    for number, length in enumerate(lengths):
        truth.append(Truth("ab"[number % 2], at, at + 0.3, at + length / 2))
        at += length / 2 + 3.0
    outcomes, alarms = match(events, truth, TOLERANCE, {"background"})
    curve = [point(outcomes, alarms, k / 20, 1.0) for k in range(21)]
    for low, high in itertools.pairwise(curve):
        assert low.hits >= high.hits
        assert low.wrong_rate >= high.wrong_rate
        assert low.false_alarms >= high.false_alarms >= high.in_background
    for each in curve:
        by_definition = sum(
            any(
                event.label == clip.label
                and event.score >= each.threshold
                and event.end > clip.onset
                and event.start < clip.end + TOLERANCE
                for event in events
                if event.label
            )
            for clip in truth
        )
        assert each.hits == by_definition
    named = [event for event in events if event.label in ("a", "b")]
    right = [
        event
        for event in named
        if any(
            event.label == clip.label and event.end > clip.start and event.start < clip.end + TOLERANCE
            for clip in truth
        )
    ]
    assert len(alarms) <= len(named) - len(right)
    assert bool(alarms) == (len(named) > len(right))
    assert all(alarm.end - alarm.start <= ANEW_SECONDS + 1 for alarm in alarms)


@pytest.mark.parametrize("count", [0, 1, 10, 200])
def test_the_interval_of_a_rate_is_where_so_few_or_so_many_alarms_become_unlikely(count: int) -> None:
    low, high = alarms_interval(count, hours=0.5)
    assert poisson.cdf(count, high * 0.5) == pytest.approx(0.025)
    if count:
        assert poisson.sf(count - 1, low * 0.5) == pytest.approx(0.025)
    else:
        assert low == 0.0
