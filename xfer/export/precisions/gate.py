"""The accuracy gate: a smaller precision must answer the same validation clips about as well as the checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

POINTS = 0.005
"""Half a point of accuracy."""
Z = 1.959963984540054
"""Of a 95 % interval."""


@dataclass(frozen=True)
class Gate:
    """Two nets on the same clips."""

    clips: int
    before: int
    """Right by the checkpoint."""
    after: int
    """Right by the model file."""
    lost: int
    """Right before and wrong after."""
    won: int
    """Wrong before and right after."""

    @property
    def drop(self) -> float:
        """How much less is right, a fraction of one."""
        return (self.lost - self.won) / self.clips

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the drop, paired (Agresti and Min 2005: Wald's with half a clip more in each cell)."""
        n, lost, won = self.clips + 2, self.lost + 0.5, self.won + 0.5
        drop = (lost - won) / n
        half = Z * math.sqrt(max(lost + won - (lost - won) ** 2 / n, 0.0)) / n
        return max(-1.0, drop - half), min(1.0, drop + half)

    @property
    def passed(self) -> bool:
        """No drop that is surely above half a point, nor one of more than that and more than one clip."""
        return self.interval[0] <= POINTS and self.drop <= max(POINTS, 1 / self.clips)

    def sentence(self) -> str:
        """What was counted."""
        low, high = self.interval
        return (
            f"{self.before} of {self.clips} validation clips right before, {self.after} after "
            f"({self.lost} lost, {self.won} won; drop {100 * self.drop:.1f} points, 95 %: "
            f"{100 * low:.1f} to {100 * high:.1f})"
        )

    def to_json(self) -> dict[str, float | int | bool | list[float]]:
        """As plain values."""
        return {**vars(self), "drop": self.drop, "interval": list(self.interval), "passed": self.passed}


def compare(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> Gate:
    """Which clips are right by the one and by the other, (clips,) each."""
    return Gate(
        len(before), int(before.sum()), int(after.sum()), int((before & ~after).sum()), int((~before & after).sum())
    )
