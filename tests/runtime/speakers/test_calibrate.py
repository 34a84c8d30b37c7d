"""Thresholds and rates, against an oracle (scikit-learn's ROC), by brute force, and over many simulated households."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.speakers.people import SIZE, crowd, person, recording
from xfer.runtime.errors import Unusable
from xfer.runtime.speakers import LEAST_VOICES, Person, calibrate, decided, gallery, heard, provisional, trials
from xfer.runtime.speakers.rates import equal_error, interval_of_share


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_equal_error_rate_is_that_of_an_independent_curve(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="the oracle needs pip install 'xfer[train]'")
    rng = np.random.default_rng(seed)
    own, others = rng.normal(1, 1, 200), rng.normal(0, 1, 500)
    alarms, hits, _ = metrics.roc_curve(np.r_[np.ones(200), np.zeros(500)], np.r_[own, others], drop_intermediate=False)
    at = np.flatnonzero(alarms >= 1 - hits)[0]
    low, high = sorted((alarms[at], 1 - hits[at]))
    found = equal_error(own, others, np.ones(200), np.ones(500))
    assert low - 0.006 <= found <= high + 0.006
    twice = equal_error(np.r_[own, own[:50]], others, np.ones(250), np.ones(500))
    weighted = equal_error(own, others, np.r_[np.full(50, 2.0), np.ones(150)], np.ones(500))
    assert twice == pytest.approx(weighted, abs=1e-12)


def test_equal_errors_at_the_ends() -> None:
    one = np.ones(3)
    assert equal_error(np.array([2.0, 3, 4]), np.array([0.0, 1, 1]), one, one) == 0
    assert equal_error(np.array([0.0, 0, 0]), np.array([1.0, 1, 1]), one, one) == 1
    assert equal_error(one, one, one, one) == 0.5  # equal scores are let in together
    assert np.isnan(equal_error(one, one, one, np.zeros(3)))


def test_no_recording_is_scored_against_a_centroid_that_it_is_in() -> None:
    people = crowd(3)
    found = trials(people)
    row = 0
    for place, somebody in enumerate(people):
        for left_out in somebody.recordings:
            rest = np.concatenate([each.embeddings for each in somebody.recordings if each is not left_out])
            mine = decided(left_out.embeddings) @ heard(rest)
            assert found.own[row : row + len(mine)] == pytest.approx(mine)
            for other, another in enumerate(people):
                if other != place:
                    theirs = decided(left_out.embeddings) @ heard(another.embeddings)
                    assert found.others[row : row + len(mine), other] == pytest.approx(theirs)
            assert np.isnan(found.others[row : row + len(mine), place]).all()
            row += len(mine)
    assert row == len(found.owners)


def test_a_recording_does_not_vouch_for_itself() -> None:
    """Somebody whose recordings have nothing in common: scored against themselves they would all be known."""
    rng = np.random.default_rng(0)
    parts = [recording(rng, np.eye(SIZE)[k] * 5, scatter=0.05) for k in range(3)]
    found = calibrate(trials([Person("ann", tuple(parts)), *crowd(2)]), 0.05)
    whole = gallery([("ann", np.concatenate([each.embeddings for each in parts]))], found.threshold)
    assert whole.match(parts[0].embeddings).score > 0.5
    assert np.nanmax(trials([Person("ann", tuple(parts)), *crowd(2)]).own[:18]) < 0.2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.5), st.integers(2, 6))
def test_no_more_than_the_wanted_share_of_strangers_gets_in_and_no_lower_threshold_does_it(
    seed: int, wanted: float, count: int
) -> None:
    found = trials([person(f"p{k}", seed + k, 2, 0.6) for k in range(count)])
    result = calibrate(found, wanted)
    strangers = found.nearest_other
    assert (strangers >= result.threshold).mean() == result.false_accepts <= wanted + 1e-12
    lower = strangers[strangers < result.threshold]
    assert not len(lower) or (strangers >= lower.max()).mean() > wanted
    own, people = found.own, found.scores.shape[1]
    named = [
        found.scores[t].argmax() == found.owners[t] and own[t] >= result.threshold for t in range(len(found.owners))
    ]
    assert result.misses == pytest.approx(1 - np.mean(named))
    assert result.people == people == count


def test_other_voices_stand_for_strangers() -> None:
    people, outside = crowd(2), crowd(9)[2:]
    alone = calibrate(trials(people), 0.05)
    with_others = [(each.name, [some.embeddings for some in each.recordings]) for each in outside]
    found = calibrate(trials(people, with_others), 0.05)
    assert (alone.voices, found.voices, found.people) == (2, 9, 2)
    assert found.strangers_decisions == alone.strangers_decisions + 7 * 18
    assert found.own_decisions == alone.own_decisions
    near = [("twin", [people[0].recordings[0].embeddings])]
    assert calibrate(trials(people, near), 0.0).threshold > alone.threshold


def test_one_voice_alone_cannot_say_how_often_strangers_get_in() -> None:
    with pytest.raises(Unusable, match="second person"):
        calibrate(trials(crowd(1)), 0.01)
    with pytest.raises(Unusable, match="fraction"):
        calibrate(trials(crowd(2)), 1.0)


def test_too_few_are_said_to_be_too_few() -> None:
    few = calibrate(trials(crowd(LEAST_VOICES - 1)), 0.01)
    assert few.eer_interval is few.false_accepts_interval is few.misses_interval is None
    assert any("too few for an interval" in note and "53%" in note for note in few.notes)
    enough = calibrate(trials(crowd(LEAST_VOICES)), 0.01)
    assert enough.eer_interval is not None
    assert not any("too few" in note for note in enough.notes)
    assert any("cannot show a rate of 0.001" in note for note in calibrate(trials(crowd(6)), 0.001).notes)


def test_one_recording_is_a_stranger_to_the_others_only() -> None:
    people = [*crowd(2), person("cem", 7, recordings=1)]
    found = calibrate(trials(people), 0.05)
    assert (found.people, found.voices) == (2, 3)
    assert any(note.startswith("cem: one recording") for note in found.notes)
    nobody = calibrate(trials([dataclasses.replace(each, recordings=each.recordings[:1]) for each in people]), 0.05)
    assert nobody.misses is nobody.eer is None


def test_intervals_hold_what_they_promise() -> None:
    """Of many simulated groups of people, about 95 of 100 intervals hold the true share."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        shares = rng.beta(2, 6, 25)  # people differ: the truth is the mean of all people, 0.25
        low, high = interval_of_share(rng.binomial(20, shares).astype(float), np.full(25, 20.0))
        held += low <= 0.25 <= high
    assert 88 <= held <= 99
    assert interval_of_share(np.zeros(3), np.full(3, 50.0)) == (0.0, pytest.approx(1 - 0.05 ** (1 / 3)))
    assert interval_of_share(np.full(3, 50.0), np.full(3, 50.0)) == (pytest.approx(0.05 ** (1 / 3)), 1.0)


def test_a_provisional_threshold_lets_the_enrolled_pass() -> None:
    people = crowd(4)
    threshold, origin = provisional(people)
    own = trials(people).own
    assert 0.85 <= (own >= threshold).mean() <= 0.95
    assert "provisional" in origin
    assert "same recording" not in origin
    single = [dataclasses.replace(each, recordings=each.recordings[:1]) for each in people]
    assert "same recording" in provisional(single)[1]
    short = dataclasses.replace(single[0].recordings[0], embeddings=single[0].recordings[0].embeddings[:2])
    assert "guess" in provisional([Person("ann", (short,))])[1]
