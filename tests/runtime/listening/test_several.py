"""Several models on one stream: the events of each are those it gives alone, on one timeline, whatever the blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xfer.runtime.listening.session as session
from tests.runtime.listening.nets import NOISE, Blocks, a_model, heard
from xfer.runtime.audio import Resampler
from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable
from xfer.runtime.listening import Listener, Rules
from xfer.runtime.models import Model

SHORT = Rules(floor_seconds=1, hang_seconds=0.03, merge_seconds=0.05, longest_seconds=0.6, quiet_dbfs=-40)


def three() -> list[Model]:
    """Different rates, windows and hops; two of one rate."""
    return [
        a_model(name="one", task="speaker"),
        a_model(name="two", task="sound", window=130, hop=130, labels=("x", "y")),
        a_model(name="three", task="genre", rate=1_500, window=300, hop=77, threshold=0.8),
    ]


def scene(length: int, seed: int) -> Array:
    """Noise that comes and goes."""
    rng = np.random.default_rng(seed)
    gains = np.repeat(rng.choice([0.0, 0.001, 0.05, 1.0], size=length // 200 + 1), 200)[:length]
    made: Array = (NOISE[:length] * gains).astype(np.float32)
    return made


def everything(samples: Array, rate: int, sizes: list[int], models: list[Model], **more: Any) -> list[dict[str, Any]]:
    return heard(list(Listener(models, early=True, **more).events(Blocks(samples, rate, sizes))))


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 3_000),
    seed=st.integers(0, 99),
    rate=st.sampled_from([1_000, 800, 1_500]),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=6),
    losses=st.lists(st.integers(0, 2_999), max_size=3),
    gate=st.booleans(),
    each=st.booleans(),
)
def test_the_same_samples_give_the_same_events(
    length: int, seed: int, rate: int, sizes: list[int], losses: list[int], gate: bool, each: bool
) -> None:
    samples = scene(length, seed)
    samples[[at for at in losses if at < length]] = np.nan
    rules = replace(SHORT, gate=gate, each_window=each)
    whole = everything(samples, rate, [length], three(), rules=rules)
    assert everything(samples, rate, sizes, three(), rules=rules) == whole


def test_each_hears_what_it_hears_alone_and_time_goes_on() -> None:
    samples = scene(3_000, 4)
    together = everything(samples, 1_000, [333], three(), rules=SHORT)
    for model in three():
        alone = everything(samples, 1_000, [1_000], [model], rules=SHORT)
        assert alone
        assert [event for event in together if event["model"] == model.card.name] == alone
    per_window = everything(samples, 1_000, [50], three(), rules=replace(SHORT, each_window=True, pre_roll_seconds=0))
    ends = [event["end"] for event in per_window]
    assert {event["model"] for event in per_window} == {"one", "two", "three"}
    assert ends == sorted(ends), "not on one timeline"


def test_there_is_one_resampler_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []

    class Counted(Resampler):
        def __init__(self, from_rate: int, to_rate: int) -> None:
            made.append((from_rate, to_rate))
            super().__init__(from_rate, to_rate)

    monkeypatch.setattr(session, "Resampler", Counted)
    everything(scene(1_000, 1), 800, [100], three())
    assert sorted(made) == [(800, 1_000), (800, 1_500)]


def test_a_gap_is_told_once_for_all() -> None:
    samples = NOISE.copy()
    samples[1_000:1_100] = np.nan
    gaps = [event for event in everything(samples, 1_000, [100], three()) if event["kind"] == "gap"]
    assert [(gap["start"], gap["end"], gap["task"]) for gap in gaps] == [(1.0, 1.1, "speaker,sound,genre")]


def test_a_threshold_of_the_card_and_one_that_is_told() -> None:
    samples = NOISE[:1_000]
    for told, known in ((None, {True, False}), (0.0, {True}), (1.0, {False})):
        rules = replace(SHORT, gate=False, each_window=True, threshold=told)
        events = everything(samples, 1_000, [100], [three()[2]], rules=rules)
        assert {event["known"] for event in events} == known


def test_a_model_is_replaced_between_two_windows_and_no_sample_is_lost() -> None:
    old, new = a_model(name="old"), a_model(name="new")
    rules = replace(SHORT, gate=False, each_window=True)
    listener = Listener(old, rules)
    events = []
    for event in listener.events(Blocks(NOISE, 1_000, [10])):
        events.append(event)
        if len(events) == 20:
            listener.replace(old, new)
    alone = list(Listener(old, rules).events(Blocks(NOISE, 1_000, [10])))
    assert [(event.start, event.score) for event in events] == [(event.start, event.score) for event in alone]
    assert [event.model for event in events] == ["old"] * 20 + ["new"] * (len(events) - 20)
    with pytest.raises(Unusable, match="another window"):
        listener.replace(new, a_model(window=50))
    assert listener.models == [new]
