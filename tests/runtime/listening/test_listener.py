"""Listening: the same samples give the same events, gaps are never scored, latency is what it says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.listening.nets import NOISE, Blocks, SumEngine, heard
from tests.runtime.tiny import RATE, TONES, WINDOW, melody, tone, write_tiny
from xfer.runtime.audio import Short, fill, resample, window_starts
from xfer.runtime.engines import Array, Outputs
from xfer.runtime.errors import Unusable
from xfer.runtime.events import Event
from xfer.runtime.listening import EACH_WINDOW, Listener, Rules
from xfer.runtime.models import Model, load_model
from xfer.runtime.sources import FileSource


def listen(
    samples: Array, rate: int, sizes: Sequence[int], model: Any = None, rules: Rules = EACH_WINDOW, **more: Any
) -> list[Event]:
    engine = SumEngine()
    model = model or Model(engine.card, engine, Path("sum"))
    return list(Listener(model, rules, **more).events(Blocks(samples, rate, sizes)))


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 3_000),
    rate=st.sampled_from([1_000, 1_500, 800]),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=6),
    bad=st.lists(st.integers(0, 2_999), max_size=4),
    hop=st.sampled_from([None, 0.013, 0.25]),
    short=st.sampled_from(["tile", "place"]),
)
def test_the_same_samples_give_the_same_events(
    length: int, rate: int, sizes: list[int], bad: list[int], hop: float | None, short: Short
) -> None:
    engine = SumEngine(short)
    model = Model(engine.card, engine, Path("sum"))
    samples = NOISE[:length].copy()
    samples[[at for at in bad if at < length]] = np.nan
    whole = heard(listen(samples, rate, [length], model, hop_seconds=hop))
    assert heard(listen(samples, rate, sizes, model, hop_seconds=hop)) == whole
    assert whole, "not one event"


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_file_and_a_stream_of_the_same_samples_with_a_real_model(tmp_path: Path, rate: int) -> None:
    model = load_model(write_tiny(tmp_path / "speaker.onnx"))
    soundfile.write(tmp_path / "a.wav", melody(1.1, rate), rate, subtype="FLOAT")
    file = FileSource(tmp_path / "a.wav")
    events = list(Listener(model, EACH_WINDOW).events(file))
    assert {event.label for event in events} == set(TONES)
    for sizes in ([1, 333, 4_097, 7], [rate], [64]):
        assert heard(listen(melody(1.1, rate), rate, sizes, model)) == heard(events)


@pytest.mark.parametrize("length", [30, 99, 100, 101, 139, 140, 141, 1_000])
@pytest.mark.parametrize("averaged", [1, 3])
@pytest.mark.parametrize("short", ["tile", "place"])
def test_scores_are_the_mean_over_the_last_windows(length: int, averaged: int, short: Short) -> None:
    """Against the definition: windows by `window_starts`, scores one by one, then the mean."""
    engine = SumEngine(short)
    events = list(
        Listener(Model(engine.card, engine, Path()), replace(EACH_WINDOW, averaged=averaged)).events(
            Blocks(NOISE[:length], 1_000, [17])
        )
    )
    starts = window_starts(length, 100, 40)
    windows = [fill(NOISE[:length], 100, short)[at : at + 100] for at in starts]
    scores = np.array([SumEngine().run(window[None]).scores[0] for window in windows], np.float64)
    assert [event.start for event in events] == [at / 1_000 for at in starts]
    assert [event.end for event in events] == [min(at + 100, length) / 1_000 for at in starts]
    for i, event in enumerate(events):
        mean = scores[max(0, i - averaged + 1) : i + 1].mean(axis=0)
        assert event.score == pytest.approx(mean.max(), abs=1e-6)
        assert event.label == "ab"[int(mean.argmax())]


def test_the_engine_hears_the_resampled_samples() -> None:
    engine = SumEngine()
    list(Listener(Model(engine.card, engine, Path()), EACH_WINDOW).events(Blocks(NOISE, 1_500, [100])))
    whole = resample(NOISE, 1_500, 1_000)
    np.testing.assert_array_equal(engine.seen[3], whole[120:220])
    np.testing.assert_array_equal(engine.seen[-1], whole[-100:])


@pytest.mark.parametrize("rate", [1_000, 1_500])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -8.01])
def test_windows_that_touch_a_gap_are_not_scored(rate: int, value: float) -> None:
    samples = NOISE[: 2 * rate].copy()
    samples[rate : rate + 10] = value
    events = listen(samples, rate, [333])
    gaps = [event for event in events if event.kind == "gap"]
    assert [(gap.start, gap.end) for gap in gaps] == [(1.0, round(1 + 10 / rate, 6))]
    assert gaps[0].label is None
    assert gaps[0].score is None
    scored = [event for event in events if event.kind == "event"]
    assert scored
    assert not [event for event in scored if event.start < gaps[0].end and event.end > gaps[0].start]
    assert [event.start for event in scored][-1] > 1.0
    untouched = 1.0 if rate == 1_000 else 0.9  # the resampler's filter reaches some samples back
    clean = [event for event in listen(NOISE[: 2 * rate], rate, [333]) if event.end <= untouched]
    assert heard(scored)[: len(clean)] == heard(clean), "what was before the gap changed"
    starts = sorted({event.start for event in events if event.kind == "event"})
    assert all(0 <= (event.score or 0) <= 1 for event in events)
    assert len(starts) == len(scored)


def test_one_gap_is_told_once_and_far_ones_apart() -> None:
    samples = NOISE.copy()
    samples[500:800:3] = np.nan  # ragged, but one stretch
    samples[2_000] = np.inf
    gaps = [(event.start, event.end) for event in listen(samples, 1_000, [7]) if event.kind == "gap"]
    assert gaps == [(0.5, 0.798), (2.0, 2.001)]


def test_nothing_but_a_gap_gives_no_answer() -> None:
    events = listen(np.full(3_000, np.nan, np.float32), 1_000, [100])
    assert [(event.kind, event.start, event.end) for event in events] == [("gap", 0.0, 3.0)]


def test_averaging_does_not_reach_over_a_gap() -> None:
    samples = np.concatenate([NOISE[:1_000], [np.nan], NOISE[:1_000]]).astype(np.float32)
    rules = replace(EACH_WINDOW, averaged=50)
    after = [event for event in listen(samples, 1_000, [100], rules=rules) if event.start > 1.0]
    engine = SumEngine()
    at = round(after[0].start * 1_000)
    alone = engine.run(samples[None, at : at + 100]).scores[0]
    assert after[0].score == pytest.approx(float(alone.max()), abs=1e-6)


def test_lost_samples_are_a_gap_and_time_goes_on() -> None:
    events = listen(NOISE, 1_000, [500, -200, 300])
    gaps = [event for event in events if event.kind == "gap"]
    assert [(gap.start, gap.end) for gap in gaps] == [(0.5, 0.7), (1.5, 1.7), (2.5, 2.7)]
    assert events[-1].end == 3.0
    assert events[-1].dropped == 600
    assert events[0].dropped == 0
    engine = SumEngine()
    untouched = [event for event in events if event.kind == "event" and event.start >= 1.7]
    at = round(untouched[0].start * 1_000)
    alone = engine.run(NOISE[None, at : at + 100]).scores[0]
    assert untouched[0].score == pytest.approx(float(alone.max()), abs=1e-6)


def test_a_loss_of_an_hour_is_survived() -> None:
    engine = SumEngine()
    events = list(
        Listener(Model(engine.card, engine, Path()), EACH_WINDOW).events(
            Blocks(np.zeros(3_601_000, np.float32), 1_000, [500, -3_600_000, 500])
        )
    )
    assert [(event.start, event.end) for event in events if event.kind == "gap"] == [(0.5, 3600.5)]
    assert len(engine.seen) < 40


class SlowEngine(SumEngine):
    def run(self, windows: Array) -> Outputs:
        time.sleep(0.02)
        return super().run(windows)


@pytest.mark.parametrize("live", [True, False])
def test_latency_counts_from_the_arrival_of_the_last_sample_when_live(live: bool) -> None:
    """One block of ten windows: live, the last sample of the first was made 360 ms before that of the last."""
    engine = SlowEngine()
    source = Blocks(NOISE[:460], 1_000, [460], live=live)
    events = list(Listener(Model(engine.card, engine, Path()), EACH_WINDOW).events(source))
    assert len(events) == 10
    latencies = [event.latency_ms or 0 for event in events]
    if live:
        for at, latency in enumerate(latencies):
            made_before = 360 - 40 * at
            assert 20 * (at + 1) <= latency - made_before < 20 * (at + 1) + 60
    else:
        assert all(19 < latency < 60 for latency in latencies)


def test_unknown_below_the_threshold() -> None:
    engine = SumEngine()
    for threshold, known in ((0.0, True), (1.0, False)):
        card = replace(engine.card, threshold=threshold)
        events = list(Listener(Model(card, engine, Path()), EACH_WINDOW).events(Blocks(NOISE, 1_000, [100])))
        assert {event.known for event in events} == {known}
        assert all(event.label in ("a", "b") for event in events)


@pytest.mark.parametrize("hop", [0, -1, float("nan"), float("inf"), 1e-9])
def test_a_hop_that_is_none_is_refused(hop: float) -> None:
    engine = SumEngine()
    with pytest.raises(Unusable, match="--hop"):
        Listener(Model(engine.card, engine, Path()), hop_seconds=hop)


def test_level_is_decibels_of_full_scale(tmp_path: Path) -> None:
    listener = Listener(load_model(write_tiny(tmp_path / "a.onnx")))
    list(listener.events(Blocks(tone(500, 1, RATE, 1.0), RATE, [RATE])))
    assert listener.state.level_dbfs == pytest.approx(-3.01, abs=0.01)
    assert listener.state.seconds == 1.0
    list(listener.events(Blocks(np.zeros(WINDOW, np.float32), RATE, [RATE])))
    assert listener.state.level_dbfs == float("-inf")
