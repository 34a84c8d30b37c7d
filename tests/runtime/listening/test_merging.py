"""From decisions to events: scenes with a known answer, and what holds of any decisions."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer.runtime.decide import Decision
from xfer.runtime.listening import Rules
from xfer.runtime.listening.merging import Merger, Reading, Told

PLAIN = Rules(merge_seconds=0.0, longest_seconds=1e9, hold=0.5)
THRESHOLD = 0.6


def decision(label: str, score: float, threshold: float | None = THRESHOLD) -> Decision:
    """`a` or `b` with this score, and what is left to the other."""
    other = "b" if label == "a" else "a"
    top = ((label, score), (other, 1 - score))
    return Decision(label, threshold is None or score >= threshold, score, top, threshold)


def told_of(text: str, rules: Rules = PLAIN, threshold: float | None = THRESHOLD, hop: float = 1.0) -> list[Told]:
    """A window a second, each as long: `A` and `B` are sure, `a` and `b` are below the threshold, `.` is silence."""
    merger = Merger(rules)
    told: list[Told] = []
    for at, sign in enumerate(text):
        start, end = at * hop, at * hop + 1.0
        if sign == ".":
            told += merger.pause(end)
            continue
        found = decision(sign.lower(), 0.9 if sign.isupper() else 0.55, threshold)
        told += merger.hear(Reading(start, end, found, (start, end), hop))
    return told + merger.finish()


def ended(text: str, rules: Rules = PLAIN, threshold: float | None = THRESHOLD, hop: float = 1.0) -> list[object]:
    """Start, end and name of the events that are over; `?`: unknown."""
    return [
        (each.start, each.end, each.decision.label if each.decision.known else "?")
        for each in told_of(text, rules, threshold, hop)
        if each.state == "ended"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AAA", [(0, 3, "a")]),
        ("AA.A", [(0, 2, "a"), (3, 4, "a")]),
        ("AABB", [(0, 2, "a"), (2, 4, "b")]),
        (".aa.", [(1, 3, "?")]),
        ("aabb", [(0, 4, "?")]),  # unknown is unknown, whoever is nearest
        ("AaaA", [(0, 4, "a")]),  # above hold * threshold, 0.3: it goes on
        ("AbA", [(0, 3, "a")]),  # b leads, but nobody knows b: a still has 0.45
        ("aA", [(0, 1, "?"), (1, 2, "a")]),
        ("...", []),
    ],
)
def test_scenes(text: str, expected: list[object]) -> None:
    assert ended(text) == expected


def test_with_nothing_to_hold_against_the_best_label_is_the_event() -> None:
    assert ended("AAbB", threshold=None) == [(0, 2, "a"), (2, 4, "b")]


def test_below_what_it_is_held_by_an_event_is_over() -> None:
    assert ended("AaA", replace(PLAIN, hold=1.0)) == [(0, 1, "a"), (1, 2, "?"), (2, 3, "a")]


def test_near_ones_are_one_and_what_lies_between_and_is_short_is_none() -> None:
    rules = replace(PLAIN, merge_seconds=1.0)
    assert ended("AA.A..A", rules) == [(0, 4, "a"), (6, 7, "a")]
    assert ended("AABAA", rules) == [(0, 2, "a"), (2, 3, "b"), (3, 5, "a")]
    assert ended("AABAA", replace(rules, shortest_seconds=2.0)) == [(0, 5, "a")]


def test_a_label_must_win_for_long_enough() -> None:
    rules = replace(PLAIN, shortest_seconds=2.0)
    assert ended("A.AA.B", rules) == [(2, 4, "a")]
    assert [each.start for each in told_of("A.AAA", rules) if each.state == "began"] == [2]


def test_what_lasts_is_told_every_so_often_and_leaves_nothing_out() -> None:
    assert ended("A" * 25, replace(PLAIN, longest_seconds=10.0)) == [(0, 10, "a"), (10, 20, "a"), (20, 25, "a")]


def test_a_change_within_two_windows_lies_in_the_middle_of_what_they_share() -> None:
    """Windows of 1 s every 0.5 s: the last of a ends at 2, the first of b begins at 1.5."""
    assert ended("AAABB", hop=0.5) == [(0, 1.75, "a"), (1.75, 3.0, "b")]


@settings(max_examples=300, deadline=None)
@given(
    text=st.text("AABab..", max_size=60),
    rules=st.builds(
        Rules,
        merge_seconds=st.sampled_from([0.0, 0.5, 2.0]),
        longest_seconds=st.sampled_from([3.0, 1e6]),
        shortest_seconds=st.sampled_from([0.0, 0.4, 1.1]),
        hold=st.sampled_from([0.5, 1.0]),
    ),
    hop=st.sampled_from([0.25, 0.5, 1.0]),
    threshold=st.sampled_from([None, THRESHOLD]),
)
def test_of_any_decisions(text: str, rules: Rules, hop: float, threshold: float | None) -> None:
    told = told_of(text, rules, threshold, hop)
    over = [each for each in told if each.state == "ended"]
    began = [each for each in told if each.state == "began"]
    assert len(began) == len(over), "what began ended, once"
    for one, other in itertools.pairwise(over):
        assert one.end <= other.start
    scored = [(at * hop, at * hop + 1.0) for at, sign in enumerate(text) if sign != "."]
    for each in over:
        assert each.start < each.end
        assert each.end - each.start < rules.longest_seconds + 1.0 + rules.merge_seconds + hop
        assert any(start <= each.start <= end for start, end in scored)
        assert each.decision.known == (threshold is None or each.decision.score >= threshold)
    if not rules.shortest_seconds and scored:
        covered = sum(each.end - each.start for each in over)
        union = len(
            {at * hop + step * hop for at, sign in enumerate(text) if sign != "." for step in range(int(1 / hop))}
        )
        assert covered >= union * hop - 1e-9, "a window that was heard is in no event"
