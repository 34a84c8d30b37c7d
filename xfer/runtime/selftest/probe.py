"""The probe: where in a front-end's output the 256 values stand that a graph gives beside its scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xfer.runtime.selftest.formula import splitmix64

COUNT = 256
"""So many values of a window's features."""


def probe_places(size: int) -> npt.NDArray[np.int64]:
    """Places in a window's flattened features of `size` values, ascending, (256,); all of them where there are fewer.

    By a hash, not in equal steps: steps of a row's length would see one frequency only.
    """
    if size <= COUNT:
        return np.arange(size, dtype=np.int64)
    drawn = (splitmix64(4 * COUNT) % np.uint64(size)).astype(np.int64)
    _, first = np.unique(drawn, return_index=True)
    distinct = drawn[np.sort(first)][:COUNT]
    if len(distinct) < COUNT:  # a front-end of some hundred values: the hash met the same ones
        rest = np.setdiff1d(np.arange(size, dtype=np.int64), distinct)
        distinct = np.concatenate([distinct, rest[: COUNT - len(distinct)]])
    return np.sort(distinct)
