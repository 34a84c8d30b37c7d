"""The live state against its definitions, the clock of the stream, and a microphone tried out."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.listening.nets import Blocks, a_model
from tests.runtime.tiny import tone
from xfer.runtime.listening import Listener, LiveState, Rules
from xfer.runtime.listening.state import TAIL_SECONDS
from xfer.runtime.listening.timeline import Timeline
from xfer.runtime.listening.trial import measure, try_out
from xfer.runtime.sources.ring import ahead

RATE = 16_000


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=30), since=st.integers(0, 60_000))
def test_the_tail_is_the_end_of_what_was_heard(sizes: list[int], since: int) -> None:
    state = LiveState()
    state.begin("x", 1_000)
    total = 0
    for size in sizes:
        state.hear(np.arange(total, total + size, dtype=np.float32))
        total += size
    first, samples = state.tail(since)
    expected = np.arange(max(since, total - round(TAIL_SECONDS * 1_000), 0), total, dtype=np.float32)
    np.testing.assert_array_equal(samples, expected)
    assert first == (expected[0] if len(expected) else total)


@pytest.mark.parametrize("hertz", [110.0, 440.0, 3_000.0, 7_000.0])
def test_a_tone_is_the_highest_band_of_the_spectrum_at_its_level(hertz: float) -> None:
    state = LiveState()
    state.begin("x", RATE)
    assert (state.spectrum() == -100).all()
    state.hear(tone(hertz, 1.0, RATE, level=0.1))
    levels = state.spectrum(bands=24)
    edges = np.geomspace(50, RATE / 2, 25)
    band = int(np.searchsorted(edges, hertz)) - 1
    assert abs(int(levels.argmax()) - band) <= 1
    assert levels.max() == pytest.approx(-20, abs=1.5)
    assert state.level_dbfs == pytest.approx(-23.01, abs=0.02)


def test_it_tells_what_went_on_and_may_be_read_meanwhile() -> None:
    rate = 1_000
    samples = np.concatenate([np.zeros(20 * rate), np.random.default_rng(1).normal(0, 0.1, 5 * rate)]).astype(
        np.float32
    )
    samples[21_000:21_010] = np.nan
    samples[22_000:22_005] = 1.0
    listener = Listener(a_model(), Rules())
    stop = threading.Event()
    seen: list[str] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(json.dumps(listener.state.document(), allow_nan=False))
            listener.state.spectrum(size=256)

    reader = threading.Thread(target=read)
    reader.start()
    events = list(listener.events(Blocks(samples, rate, [100, -30, 100, 100], live=True)))
    stop.set()
    reader.join()
    found = listener.state.document()
    assert len(seen) > 1
    assert found["dropped"] == events[-1].dropped > 0
    assert found["clipped"] == 5
    assert found["gaps"] == sum(event.kind == "gap" for event in events)
    model = found["models"][0]
    assert model["skipped"] > model["windows"] > 0
    assert model["events"] == sum(event.kind == "event" for event in events)
    assert listener.state.seconds == pytest.approx(25, abs=0.1)
    assert listener.state.models[0].history[-1][0] == pytest.approx(25, abs=0.1)
    assert found["state"] == "ended"


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(1, 4_000), min_size=1, max_size=50), at=st.floats(0, 1))
def test_a_sample_was_made_when_the_clock_was_there(sizes: list[int], at: float) -> None:
    """A device that delivers at once: sample n was made at 100 + n / rate."""
    timeline = Timeline(1_000)
    for size in sizes:
        timeline.take(size, 0, 100 + (timeline.total + size) / 1_000)
    seconds = at * timeline.seconds
    assert timeline.made(seconds) == pytest.approx(100 + seconds, abs=1e-6)


@pytest.mark.parametrize("ppm", [-80.0, 0.0, 35.0, 500.0])
def test_a_clock_that_runs_slow_or_fast_is_measured(ppm: float) -> None:
    """Blocks come up to 30 ms late, at random; after ten minutes the drift is known to some millionths."""
    rng = np.random.default_rng(3)
    timeline = Timeline(48_000)
    assert timeline.drift_ppm is None
    for number in range(6_001):
        timeline.take(4_800, 0, 5.0 + (number + 1) * 0.1 * (1 + ppm / 1e6) + rng.uniform(0, 0.03))
    assert timeline.drift_ppm == pytest.approx(ppm, abs=4)
    timeline.take(4_800, 100, 700.0)
    assert timeline.drift_ppm is None, "after a loss it begins anew"


def test_a_microphone_is_measured() -> None:
    rng = np.random.default_rng(2)
    quiet = rng.normal(0, 1e-3, 3 * RATE).astype(np.float32)
    speech = quiet.copy()
    speech[RATE : 2 * RATE] += tone(300, 1.0, RATE, 0.2)
    good = measure(speech, RATE, 3.0)
    assert good.problems == ()
    assert not good.nothing_said
    assert good.noise_floor_dbfs == pytest.approx(-60, abs=1)
    assert good.peak_dbfs == pytest.approx(-14, abs=0.2)
    assert measure(quiet, RATE, 3.0).nothing_said
    for samples, more, says in (
        (np.zeros(RATE), {}, "muted"),
        (np.zeros(0), {}, "delivers nothing"),
        (np.clip(speech * 50, -1, 1), {}, "clips"),
        (speech * 0.001, {}, "quiet"),
        (rng.normal(0, 0.1, RATE), {}, "noisy"),
        (speech + 0.1, {}, "off by"),
        (speech, {"dropped": 5}, "5 samples were lost"),
        (speech, {"bad": 2}, "2 values are no sound"),
        (speech, {"waited": 6.0}, "delivers 50%"),
    ):
        found = measure(np.asarray(samples, np.float32), RATE, **({"waited": 1.0} | more))
        assert any(says in problem for problem in found.problems), (says, found.problems)


def test_a_source_is_tried_for_as_long_as_asked() -> None:
    shown: list[float] = []
    found = try_out(Blocks(tone(300, 5.0, RATE), RATE, [800, -100, 800], live=True), 2.0, shown.append)
    assert 2.0 <= found.seconds < 2.1
    assert found.dropped > 0
    assert shown[0] == pytest.approx(-9.03, abs=0.2)


def test_what_goes_wrong_in_the_reading_thread_is_raised_where_it_is_read() -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield from Blocks(np.zeros(10, np.float32), RATE, [10]).blocks()
        raise ValueError("broken")

    told = threading.Event()
    with pytest.raises(ValueError, match="broken"):
        list(ahead(broken, 1.0, lambda: RATE, told))
