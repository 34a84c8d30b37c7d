"""Rates of verification against counting and plain loops; what they must not depend on; intervals that hold."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from xfer.train.evaluation.detection import _Curve, detection
from xfer.train.evaluation.trials import Trials, all_pairs, balanced_trials
from xfer.train.evaluation.verification import Cohort, asnorm, cohort_of, cosines, directions, verify


def voices(speakers=12, clips=8, noise=1.0, seed=3, size=16):
    """Embeddings round a mean a speaker."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(speakers), clips)
    return rng.normal(0, 1, (speakers, size))[people] + noise * rng.normal(0, 1, (len(people), size)), people


def points(scores, same):
    """Misses and false alarms at every threshold, by counting."""
    thresholds = [*np.unique(scores), np.inf]
    return [(np.mean(scores[same] < t), np.mean(scores[~same] >= t)) for t in thresholds]


def brute_eer(scores, same):
    """The crossing of the two broken lines, by a sweep over all their pieces."""
    found = points(scores, same)
    for (miss, alarm), (more, less) in pairwise(found):
        if more >= less:
            gap = (alarm - miss) + (more - less)
            return alarm + (less - alarm) * (alarm - miss) / gap if gap else alarm
    raise AssertionError("no crossing")


def brute_cost(scores, same, prior=0.01):
    return min(prior * miss + (1 - prior) * alarm for miss, alarm in points(scores, same)) / prior


@given(st.integers(0, 2**31), st.integers(2, 5), st.integers(2, 5), st.booleans())
@settings(max_examples=80, deadline=None)
def test_rates_are_what_counting_gives_also_with_ties(seed, speakers, clips, tied):
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(speakers), clips)
    trials = all_pairs(people)
    scores = rng.normal(0, 1, len(trials.same)) + trials.same
    if tied:
        scores = np.round(scores)
    found = detection(scores, trials, people)
    assert found.eer == pytest.approx(brute_eer(scores, trials.same), abs=1e-12)
    assert found.min_dcf == pytest.approx(brute_cost(scores, trials.same), abs=1e-12)
    assert 0 <= found.min_dcf <= 1


def test_rates_of_pairs_are_those_of_their_cosines_one_by_one():
    embeddings, people = voices()
    found = verify(embeddings, people, all_pairs(people))
    scores, same = [], []
    for i in range(96):
        for j in range(i + 1, 96):
            a, b = embeddings[i], embeddings[j]
            scores.append(sum(a * b) / math.sqrt(sum(a * a)) / math.sqrt(sum(b * b)))
            same.append(people[i] == people[j])
    scores, same = np.array(scores), np.array(same)
    assert found.cosine.eer == pytest.approx(brute_eer(scores, same), abs=1e-9)
    assert found.cosine.min_dcf == pytest.approx(brute_cost(scores, same), abs=1e-9)
    assert (found.targets, found.impostors) == (12 * 28, 96 * 95 // 2 - 12 * 28)
    assert found.asnorm is None
    assert "eer_asnorm" not in found.to_json()


def test_speakers_that_cannot_be_told_apart_are_at_chance_and_clear_ones_without_error():
    people = np.repeat(np.arange(10), 10)
    clear = verify(np.eye(10)[people], people, all_pairs(people)).cosine
    assert (clear.eer, clear.min_dcf, clear.eer_interval, clear.min_dcf_interval) == (0, 0, (0, 0), (0, 0))
    blurred = verify(np.random.default_rng(0).normal(0, 1, (100, 8)), people, all_pairs(people)).cosine
    assert blurred.eer == pytest.approx(0.5, abs=0.05)
    assert all_pairs(people[:1]) is None
    assert all_pairs(people[:10]) is None
    assert all_pairs(np.arange(10)) is None


@given(st.integers(0, 2**31), st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_only_the_order_of_scores_counts(seed, slope, shift):
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(4), 4)
    trials = all_pairs(people)
    scores = np.round(rng.normal(0, 1, len(trials.same)) + trials.same, 3)
    assert detection(scores, trials, people) == detection(np.exp(slope * scores) + shift, trials, people)


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_which_clip_of_a_pair_comes_first_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    embeddings, people = voices(5, 4, seed=seed % 1000)
    cohort = cohort_of(rng.normal(0, 1, (40, 16)), [str(k % 10) for k in range(40)], "others", 6)
    trials = all_pairs(people)
    swap = rng.random(len(trials.same)) < 0.5
    turned = Trials(np.where(swap, trials.other, trials.one), np.where(swap, trials.one, trials.other), trials.same)
    one, other = (verify(embeddings, people, each, cohort) for each in (trials, turned))
    for name in ("cosine", "asnorm"):
        first, second = vars(getattr(one, name)), vars(getattr(other, name))
        assert {key: pytest.approx(value, abs=1e-9) for key, value in first.items()} == second


def test_asnorm_is_its_formula_in_plain_loops():
    rng = np.random.default_rng(5)
    embeddings, people = voices(6, 5, size=12)
    crowd = rng.normal(0, 1, (30, 12))
    names = [f"s{k % 9}" for k in range(30)]
    trials = all_pairs(people)
    cohort = cohort_of(crowd, names, "crowd", top=4)
    assert cohort.embeddings.shape == (9, 12)

    def cos(a, b):
        return float(np.dot(a, b) / math.sqrt(np.dot(a, a)) / math.sqrt(np.dot(b, b)))

    means = {}
    for name in names:
        own = [clip / math.sqrt(np.dot(clip, clip)) for clip, other in zip(crowd, names, strict=True) if other == name]
        means[name] = sum(own) / len(own)
    unit = directions(embeddings)
    found = asnorm(unit, cosines(unit, trials), trials, cohort)
    for k in range(0, len(found), 7):
        a, b = embeddings[trials.one[k]], embeddings[trials.other[k]]
        parts = []
        for clip in (a, b):
            near = sorted((cos(clip, mean) for mean in means.values()), reverse=True)[:4]
            middle = sum(near) / 4
            spread = math.sqrt(sum((each - middle) ** 2 for each in near) / 4)
            parts.append((cos(a, b) - middle) / spread)
        assert found[k] == pytest.approx(sum(parts) / 2, rel=1e-9)


def test_asnorm_takes_out_what_makes_a_speaker_like_everybody():
    """Half of the speakers share a strong direction with each other and a part of the cohort: as of another sex, or on
    another microphone. Plain cosines between any two of them are high."""
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(30), 6)
    common = np.where(np.arange(30) % 2, 5.0, 0.0)
    own = rng.normal(0, 1, (30, 24))
    own[:, 0] += common
    embeddings = own[people] + 0.9 * rng.normal(0, 1, (180, 24))
    crowd = rng.normal(0, 1, (400, 24))
    crowd[::2, 0] += 5.0
    cohort = cohort_of(crowd, [str(k) for k in range(400)], "crowd", top=100)
    found = verify(embeddings, people, all_pairs(people), cohort)
    assert found.asnorm.eer < 0.8 * found.cosine.eer
    assert found.asnorm.min_dcf < found.cosine.min_dcf
    said = found.to_json()
    assert said["cohort"] == {"data": "crowd", "speakers": 400, "top": 100}
    assert said["eer_asnorm"] == found.asnorm.eer
    assert said["min_dcf_asnorm_interval"] == found.asnorm.min_dcf_interval


def test_a_cohort_of_fewer_than_asked_for_is_taken_whole_and_one_speaker_is_none():
    crowd = np.random.default_rng(0).normal(0, 1, (6, 4))
    assert cohort_of(crowd, ["a", "b", "c", "a", "b", "c"], "few", top=200).nearest == 3
    assert cohort_of(crowd, ["a"] * 6, "one", top=200) is None
    assert cohort_of(crowd[:0], [], "none", top=200) is None


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Gaussian scores of known distance d: the true EER is Phi(-d/2), the cost's minimum is found on a fine grid."""
    distance = 2.5
    line = np.linspace(-3, 8, 20001)
    cost = (norm.cdf(line - distance) * 0.01 + norm.sf(line) * 0.99).min() / 0.01
    people = np.repeat(np.arange(20), 6)
    trials = all_pairs(people)
    hits = np.zeros(2)
    rounds = 60
    for seed in range(rounds):
        rng = np.random.default_rng([8, seed])
        found = detection(rng.normal(0, 1, len(trials.same)) + distance * trials.same, trials, people, seed)
        hits += [found.eer_interval[0] <= norm.cdf(-distance / 2) <= found.eer_interval[1],
                 found.min_dcf_interval[0] <= cost <= found.min_dcf_interval[1]]  # fmt: skip
        assert found.eer_interval[0] <= found.eer <= found.eer_interval[1]
    assert (hits >= 0.85 * rounds).all(), hits


def test_intervals_know_that_clips_of_one_speaker_are_no_independent_witnesses():
    """Speakers who differ in how alike their clips are: the interval is that of 12 speakers, not of 2,000 pairs."""
    embeddings, people = voices(12, 18, noise=1.0, seed=4)
    wild = np.where(np.arange(12) % 3 == 0, 3.0, 0.7)[people][:, None]
    embeddings = embeddings + np.random.default_rng(1).normal(0, 1, embeddings.shape) * wild
    trials = all_pairs(people)
    found = verify(embeddings, people, trials).cosine
    alone = detection(cosines(directions(embeddings), trials), trials, np.arange(len(people)))
    width = found.eer_interval[1] - found.eer_interval[0]
    assert width > 2 * (alone.eer_interval[1] - alone.eer_interval[0])


@given(st.lists(st.integers(0, 6), min_size=2, max_size=60), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=80, deadline=None)
def test_a_list_made_here_is_balanced_true_and_says_nothing_twice(people, per_speaker, seed):
    people = np.array(people)
    made = balanced_trials(people, per_speaker, seed)
    counts = np.bincount(people)
    if (counts > 1).any() and (counts > 0).sum() > 1:
        assert made.targets == made.impostors > 0
        assert np.array_equal(people[made.one] == people[made.other], made.same)
        assert (made.one != made.other).all()
        assert len({frozenset(pair) for pair in zip(made.one, made.other, strict=True)}) == len(made.same)
        own = np.bincount(people[made.one[made.same]], minlength=7)
        assert (own <= np.minimum(per_speaker, counts.max() * (counts.max() - 1) // 2)).all()
        again = balanced_trials(people, per_speaker, seed)
        assert np.array_equal(made.one, again.one)
    else:
        assert made is None


def test_a_list_made_here_meets_every_pair_of_speakers():
    people = np.repeat(np.arange(6), 10)
    made = balanced_trials(people, 45)
    met = {
        frozenset((people[a], people[b])) for a, b in zip(made.one, made.other, strict=True) if people[a] != people[b]
    }
    assert len(met) == 15
    assert made.targets == 6 * 45


def test_a_cohort_direction_far_from_all_is_not_among_the_nearest():
    unit = np.array([[1.0, 0.0], [0.8, 0.6]])
    trials = Trials(np.array([0]), np.array([1]), np.array([True]))
    near = Cohort(np.array([[1.0, 0.0], [0.6, 0.8]]), "near", 2)
    far = Cohort(np.array([[-1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [0.0, -1.0]]), "far", 2)
    scores = cosines(unit, trials)
    assert np.array_equal(asnorm(unit, scores, trials, near), asnorm(unit, scores, trials, far))


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_a_speaker_who_is_drawn_twice_stands_twice(seed):
    """A draw's rates are those of a list in which each trial is written as often as its speakers stand."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(5), 3)
    trials, times = all_pairs(people), rng.integers(0, 4, 5)
    scores = np.round(rng.normal(0, 1, len(trials.same)) + trials.same, 1)
    first, second = people[trials.one], people[trials.other]
    again = np.where(first == second, times[first], times[first] * times[second])
    found = _Curve(scores, trials, people).rates(times.astype(float))
    scores, same = np.repeat(scores, again), np.repeat(trials.same, again)
    if same.any() and not same.all():
        assert found == pytest.approx((brute_eer(scores, same), brute_cost(scores, same)), abs=1e-9)
    else:
        assert found is None


def test_scores_that_are_all_equal_tell_nothing():
    people = np.repeat(np.arange(4), 3)
    trials = all_pairs(people)
    found = detection(np.zeros(len(trials.same)), trials, people)
    assert (found.eer, found.min_dcf) == (0.5, 1.0)
