"""Windows of a stream are those of the whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer.runtime.audio import Short, fill, place, tile, window_starts
from xfer.runtime.listening.windows import Window, Windower


def cut(samples: np.ndarray, window: int, hop: int, sizes: list[int], short: Short = "tile") -> list[Window]:
    windower = Windower(window, hop, short)
    found, at, turn = [], 0, 0
    while at < len(samples):
        size = sizes[turn % len(sizes)]
        found += windower.push(samples[at : at + size])
        at, turn = at + size, turn + 1
    return found + list(windower.finish())


@settings(max_examples=200, deadline=None)
@given(
    length=st.integers(1, 3_000),
    window=st.integers(1, 700),
    hop=st.integers(1, 900),
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=5),
    short=st.sampled_from(["tile", "place"]),
)
def test_any_blocks_give_the_windows_of_the_whole(
    length: int, window: int, hop: int, sizes: list[int], short: Short
) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    found = cut(samples, window, hop, sizes, short)
    assert [piece.start for piece in found] == window_starts(length, window, hop)
    for piece in found:
        if length >= window:
            expected = samples[piece.start : piece.start + window]
        elif short == "tile":
            expected = np.concatenate([samples] * (window // length + 1))[:window]
        else:
            silence = [np.zeros((window - length + late) // 2, np.float32) for late in (0, 1)]
            expected = np.concatenate([silence[0], samples, silence[1]])
        np.testing.assert_array_equal(piece.samples, expected)
        assert piece.end == min(piece.start + window, length)


def test_no_samples_no_window() -> None:
    assert cut(np.zeros(0, np.float32), 10, 5, [1]) == []


def test_a_long_stream_takes_no_more_memory() -> None:
    windower = Windower(16_000, 4_000)
    block = np.zeros(10_000, np.float32)
    for _ in range(10):
        list(windower.push(block))
    tracemalloc.start()
    for _ in range(300):
        list(windower.push(block))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert windower.total == 3_100_000


def test_short_sound_is_repeated_or_placed_in_the_middle() -> None:
    three = np.array([1, 2, 3], np.float32)
    np.testing.assert_array_equal(fill(three, 8, "tile"), [1, 2, 3, 1, 2, 3, 1, 2])
    np.testing.assert_array_equal(fill(three, 8, "place"), [0, 0, 1, 2, 3, 0, 0, 0])
    np.testing.assert_array_equal(fill(three, 7, "place"), [0, 0, 1, 2, 3, 0, 0])
    for short in (tile, place):
        assert short(three, 3) is three
        assert short(three, 2) is three
        with pytest.raises(ValueError, match="no samples"):
            short(np.zeros(0, np.float32), 8)
    assert fill(three, 8, "place").dtype == np.float32
