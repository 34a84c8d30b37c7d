"""The accuracy gate against what it is to mean, and its interval against simulated nets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.export.precisions.gate import Gate, compare


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_what_is_counted(pairs: list[tuple[bool, bool]]) -> None:
    before, after = (np.array(side) for side in zip(*pairs, strict=True))
    gate = compare(before, after)
    assert gate.drop == pytest.approx(before.mean() - after.mean())
    assert (gate.before, gate.after) == (before.sum(), after.sum())
    low, high = gate.interval
    assert -1 <= low <= high <= 1
    assert compare(after, before).interval == pytest.approx((-high, -low))
    assert compare(before, before).passed


@pytest.mark.parametrize(
    ("clips", "lost", "won", "passed"),
    [
        (80, 0, 0, True),
        (80, 1, 0, True),  # one clip
        (80, 2, 0, False),  # more than one clip and more than half a point
        (80, 5, 4, True),  # as many come as go
        (1000, 5, 0, True),  # half a point
        (1000, 6, 0, False),
        (10_000, 400, 352, True),  # 0.48 points
        (10_000, 100, 20, False),  # surely above half a point
        (1, 1, 0, True),  # of one clip nothing can be said
    ],
)
def test_what_passes(clips: int, lost: int, won: int, passed: bool) -> None:
    assert Gate(clips, clips, clips - lost + won, lost, won).passed == passed


def test_the_interval_holds_the_true_drop_in_95_of_100() -> None:
    """Nets whose answers change at known rates."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        changed = rng.random(150)
        lost, won = changed < 0.06, changed > 0.97
        gate = Gate(150, 100, 100, int(lost.sum()), int(won.sum()))
        held += gate.interval[0] <= 0.03 <= gate.interval[1]
    assert 0.93 < held / 2000 < 0.985
