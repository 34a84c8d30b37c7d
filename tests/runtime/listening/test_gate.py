"""The gate against its definition, frame by frame; and that it never swallows what it should let in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from tests.runtime.listening.nets import Blocks, a_model
from xfer.runtime.audio import load
from xfer.runtime.engines import Array
from xfer.runtime.listening import Listener, Rules
from xfer.runtime.listening.gate import Gate

RATE = 1_000
FRAME = 20
"""Samples at RATE."""


def by_definition(samples: Array, rules: Rules) -> list[bool]:
    """Which frames are sound, one after another, half by half around the straight line that fits it best."""
    lows: list[tuple[float, float]] = []
    second: list[float] = []
    answers = []
    for at in range(0, len(samples) - FRAME + 1, FRAME):
        power = 0.0
        for part in range(at, at + FRAME, FRAME // 2):
            values = [float(value) for value in samples[part : part + FRAME // 2]]
            slope, start = np.polyfit(range(10), values, 1) if np.isfinite(values).all() else (np.nan, np.nan)
            power += sum((value - start - slope * n) ** 2 for n, value in enumerate(values)) / FRAME
        level = 10 * np.log10(max(power, 1e-10)) if np.isfinite(power) else float("nan")
        history = round(rules.floor_seconds)
        floor, above = min(lows[-history:]) if len(lows) >= history else (-100.0, -100.0)
        margin = min(rules.margin_db + 5 * (above - floor), 16.0)
        answers.append(level > max(rules.quiet_dbfs, min(floor, rules.highest_floor_dbfs) + margin))
        second.append(level)
        if len(second) == 50:
            told = sorted(value for value in second if value == value)
            if len(told) >= 25:
                lows.append((told[len(told) // 10], told[len(told) // 4]))
            second = []
    return answers


def run_of(gate: Gate, frames: int) -> list[bool]:
    return [gate.sound(at * FRAME, (at + 1) * FRAME) is not None for at in range(frames)]


def street(seconds: float, seed: int) -> Array:
    """A room whose noise comes and goes in steps, with sounds in it, silence, and values that are no sound."""
    rng = np.random.default_rng(seed)
    steps = np.repeat(rng.choice([0, 1e-4, 2e-3, 2e-2, 0.3], size=round(seconds) + 1), RATE)[: round(seconds * RATE)]
    samples = rng.normal(0, 1, len(steps)).astype(np.float32) * steps.astype(np.float32)
    samples[rng.integers(0, len(samples), 3)] = np.nan
    return samples


@settings(max_examples=40, deadline=None)
@given(
    seconds=st.floats(0.5, 30),
    seed=st.integers(0, 1000),
    floor_seconds=st.sampled_from([1.0, 3.0, 8.0]),
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=5),
)
def test_frames_are_those_of_the_definition_whatever_the_blocks(
    seconds: float, seed: int, floor_seconds: float, sizes: list[int]
) -> None:
    rules = Rules(floor_seconds=floor_seconds)
    samples = street(seconds, seed)
    gate = Gate(RATE, rules)
    at, turn = 0, 0
    while at < len(samples):
        gate.push(samples[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    expected = by_definition(samples, rules)
    assert run_of(gate, len(expected)) == expected


def test_what_is_asked_about_a_moment_does_not_depend_on_what_came_later() -> None:
    samples = street(20, 3)
    early, late = Gate(RATE, Rules(floor_seconds=2)), Gate(RATE, Rules(floor_seconds=2))
    late.push(samples)
    for end in range(100, len(samples), 730):
        while early._frames * FRAME + len(early._left) < end:
            at = early._frames * FRAME + len(early._left)
            early.push(samples[at : at + 1])
        for start in range(0, end, 411):
            assert early.sound(start, end) == late.sound(start, end)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    window=st.integers(40, 400),
    hop_share=st.floats(0.1, 1.0),
    hang=st.sampled_from([0.0, 0.1, 0.5]),
    pre_roll=st.sampled_from([0.0, 0.05]),
    rate=st.sampled_from([1_000, 800, 1_500]),
)
def test_every_sound_lies_in_a_window_that_is_run_and_so_does_what_was_just_before(
    seed: int, window: int, hop_share: float, hang: float, pre_roll: float, rate: int
) -> None:
    hop = max(1, round(hop_share * window))
    rules = Rules(
        floor_seconds=2,
        hang_seconds=hang,
        pre_roll_seconds=min(pre_roll, max(0.0, hop / 1_000 - 0.021)),
        each_window=True,
    )
    samples = np.nan_to_num(street(6, seed))
    gate = Gate(rate, rules)
    gate.push(samples)
    model = a_model(window=window, hop=hop)
    events = list(Listener(model, rules).events(Blocks(samples, rate, [517])))
    covered = np.zeros(len(samples) + 1, bool)
    for event in events:
        covered[int(event.start * rate) : int(np.ceil(event.end * rate))] = True
    for at in range(len(samples) // gate.frame):
        first = at * gate.frame
        if gate.sound(first, first + gate.frame):
            before = max(0, first - int(rules.pre_roll_seconds * rate) + 1)
            assert covered[before : first + gate.frame - 1].all(), (at, before)


def scored_share(samples: Array, rate: int, rules: Rules) -> float:
    listener = Listener(a_model(window=rate, hop=rate // 2, rate=rate), rules)
    list(listener.events(Blocks(samples, rate, [4_001])))
    found = listener.state.models[0]
    return found.windows / (found.windows + found.skipped)


def noise(seconds: float, dbfs: float, rate: int = 8_000) -> Array:
    values = np.random.default_rng(1).normal(0, 10 ** (dbfs / 20), round(seconds * rate))
    return values.astype(np.float32)


def test_silence_costs_no_inference() -> None:
    assert scored_share(np.zeros(8_000 * 60, np.float32), 8_000, Rules()) == 0
    assert scored_share(noise(60, -75), 8_000, Rules()) == 0
    quiet = scored_share(noise(200, -55), 8_000, Rules())
    assert quiet < 0.12, "after its first 20 seconds a room's noise is known"
    assert scored_share(noise(60, -55), 8_000, replace(Rules(), gate=False)) == 1


def test_an_offset_and_the_wind_are_no_sound() -> None:
    rate = 8_000
    swell = 0.1 * np.sin(2 * np.pi * 3 * np.arange(60 * rate) / rate)  # 3 Hz
    for slow in (np.full(60 * rate, 0.3), swell):
        assert scored_share((noise(60, -75) + slow).astype(np.float32), rate, Rules()) == 0


def test_a_loud_sound_that_lasts_is_never_taken_for_the_room() -> None:
    assert scored_share(noise(120, -18), 8_000, Rules()) == 1


def test_a_sound_after_long_silence_is_heard_from_its_first_sample() -> None:
    rate = 1_000
    samples = np.zeros(600 * rate, np.float32)
    samples[500 * rate : 501 * rate] = noise(1, -20, rate)
    rules = replace(Rules(), each_window=True, pre_roll_seconds=0.0)
    events = list(Listener(a_model(), rules).events(Blocks(samples, rate, [10_000])))
    assert events[0].start <= 500.0 < events[0].end
    assert len(events) < 45
    merged = list(
        Listener(a_model(), Rules(merge_seconds=5, pre_roll_seconds=0)).events(Blocks(samples, rate, [10_000]))
    )
    assert merged[0].start == 500.0
    assert merged[-1].end == 501.0


@pytest.mark.parametrize(
    ("hang", "ends"), [(0.0, [0.62]), (0.1, [0.62, 0.66, 0.7]), (0.2, [0.62, 0.66, 0.7, 0.74, 0.78, 0.82])]
)
def test_a_sound_that_is_over_is_heard_in_some_more_windows(hang: float, ends: list[float]) -> None:
    """Windows of 0.5 s every 0.04 s; sound from 0.5 to 0.6 s. Counted is from the end of the window before."""
    samples = np.zeros(1_500, np.float32)
    samples[500:600] = noise(0.1, -20, RATE)
    rules = Rules(each_window=True, pre_roll_seconds=0.0, hang_seconds=hang)
    events = list(Listener(a_model(window=500, hop=40), rules).events(Blocks(samples, RATE, [100])))
    assert [event.end for event in events if event.end > 0.6] == ends


def test_the_last_and_shorter_frame_counts() -> None:
    samples = np.zeros(1_010, np.float32)
    samples[1_000:] = noise(0.01, -10, RATE)
    for length in (1_010, 10):
        events = list(Listener(a_model(), Rules()).events(Blocks(samples[-length:], RATE, [7])))
        assert [event.end for event in events] == [length / 1_000]


@pytest.mark.parametrize("snr", [20, 10, 7])
def test_words_in_a_noisy_room_are_let_in_and_most_of_the_room_is_not(snr: int) -> None:
    """Real words, half a minute apart, over steady noise: all of each word above the noise lies in windows that run."""
    rate = 16_000
    folder = recordings("wake_words")
    words = [load(path, rate).samples for path in sorted((folder / "jarvis").glob("*.wav"))[:4]]
    level = 10 ** (-28 / 20)
    room = noise(150, -28 - snr, rate)
    places = [30 * rate * (number + 1) for number in range(4)]
    for at, word in zip(places, words, strict=True):
        active = np.sqrt(np.mean(np.square(word[np.abs(word) > 0.1 * np.abs(word).max()])))
        room[at : at + len(word)] += word * np.float32(level / active)
    model = a_model(window=rate, hop=rate // 4, rate=rate)
    listener = Listener(model, replace(Rules(), each_window=True))
    events = list(listener.events(Blocks(room, rate, [4_096])))
    for at, word in zip(places, words, strict=True):
        middle = (at + len(word) / 2) / rate
        assert any(event.start <= middle - 0.25 and middle + 0.25 <= event.end for event in events)
    late = [event for event in events if event.start > 21]
    assert len(late) < 0.2 * (150 - 21) * 4
