"""Which pairs of clips may be copies: those whose prints share codes at one offset. Linear in the number of clips.

All codes are sorted; equal codes stand side by side, in the order of their clips. A code that n clips share would give
n² / 2 pairs, so each entry is joined with its next `NEIGHBOURS` only. Copies lose nothing by that: a thousand copies of
one sound share many codes, and in each stand in the same order, so a chain joins them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from xfer.train.data.copies.prints import Print

NEIGHBOURS = 8
"""Entries of one code with which an entry is paired."""
SAME_OFFSET = 5
"""Steps of 4 ms by which the offsets of two shared codes may differ."""
VOTES = 2
"""Shared codes at one offset that make a candidate."""
PAIRS_AT_ONCE = 2_000_000
"""Pairs of entries that are looked at together: about 50 MB."""

Ints = npt.NDArray[np.int64]


def candidates(prints: Iterable[bytes]) -> Iterator[tuple[int, int, int]]:
    """Pairs (i, j), i < j, that share codes at one offset, and how many; each pair once.

    Memory: 10 bytes a code (128 a clip at most up to 30 s) and as much again while sorting, then `PAIRS_AT_ONCE`.
    """
    codes, at, clip = _entries(prints)
    order = np.lexsort((clip, codes))
    codes, at, clip = codes[order], at[order], clip[order]
    del order
    first = np.flatnonzero(codes[1:] == codes[:-1])  # entries that have a next one of the same code
    if len(first) == 0:
        return
    # Blocks are of first clips, so that all votes of a pair are in one block.
    low = clip[first]
    by_clip = np.argsort(low, kind="stable")
    first = first[by_clip]
    bounds = np.flatnonzero(np.diff(low[by_clip], prepend=-1))
    start = 0
    per_block = max(1, PAIRS_AT_ONCE // NEIGHBOURS)
    while start < len(first):
        after = np.searchsorted(bounds, start + per_block)
        stop = int(bounds[after]) if after < len(bounds) else len(first)
        yield from _voted(codes, at, clip, first[start:stop])
        start = stop


def _entries(prints: Iterable[bytes]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """All codes, their times and their clips, each code of a clip once; shape (n,) each."""
    codes, at, counts = [np.zeros(0, np.uint32)], [np.zeros(0, np.uint16)], []
    for data in prints:
        held = Print.from_bytes(data)
        # A code that a clip holds many times (a hum, a loop) says less than one that it holds once.
        kept, where = np.unique(held.codes, return_index=True)
        codes.append(kept)
        at.append(held.at[where])
        counts.append(len(kept))
    clip = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return np.concatenate(codes), np.concatenate(at), clip


def _voted(
    codes: npt.NDArray[np.uint32], at: npt.NDArray[np.uint16], clip: npt.NDArray[np.int32], first: Ints
) -> Iterator[tuple[int, int, int]]:
    """Pairs of clips with enough shared codes at one offset among the pairs that begin with the entries `first`."""
    lows, highs, offsets = [], [], []
    for step in range(1, NEIGHBOURS + 1):
        first = first[first + step < len(codes)]
        first = first[codes[first] == codes[first + step]]
        lows.append(clip[first])
        highs.append(clip[first + step])
        offsets.append(at[first + step] - at[first])  # modulo 65,536, as the times are
    low, high, offset = np.concatenate(lows), np.concatenate(highs), np.concatenate(offsets).astype(np.int64)
    order = np.lexsort((offset, high, low))
    low, high, offset = low[order], high[order], offset[order]
    # Votes of an entry: how many of its pair follow it within SAME_OFFSET. The key makes that one search.
    pair = np.cumsum((np.diff(low, prepend=-1) != 0) | (np.diff(high, prepend=-1) != 0))
    key = pair * (1 << 20) + offset
    votes = np.searchsorted(key, key + SAME_OFFSET, side="right") - np.arange(len(key))
    begins = np.flatnonzero(np.diff(pair, prepend=0))
    if len(begins):
        best = np.maximum.reduceat(votes, begins)
        enough = best >= VOTES
        at_begin = begins[enough]
        yield from zip(low[at_begin].tolist(), high[at_begin].tolist(), best[enough].tolist(), strict=True)
