"""Which pairs of clips may be copies: those whose prints share codes at one offset. Linear in the number of clips.

All codes are sorted; equal codes stand side by side, in the order of their clips. A code that n clips share would give
n² / 2 pairs, so each entry is joined with its next `NEIGHBOURS` only. Copies lose nothing by that: a thousand copies of
one sound share many codes, and in each stand in the same order, so a chain joins them all.

Among many clips of one kind some share a code or two by chance. So only the `PAIRS_A_CLIP` surest pairs a clip are
looked at more closely, in number, not each clip's own: there, at the offset of the shared codes, the codes of copies
that stand at one time nearly all differ in few signs, and those of other clips in half of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from xfer.train.data.copies.prints import Print

NEIGHBOURS = 8
"""Entries of one code with which an entry is paired."""
SAME_OFFSET = 5
"""Steps of 4 ms by which the offsets of two shared codes may differ."""
PAIRS_A_CLIP = 20
"""Pairs that are looked at more closely, for each clip there is; those with most shared codes."""
PAIRS_AT_ONCE = 2_000_000
"""Pairs of entries that are counted together: about 100 MB."""
SAME_TIME = 4
"""Steps of 4 ms within which two codes stand at one time."""
NEAR_SIGNS = 7
"""Signs of 32 in which the codes of copies at one time may differ; chance: 16."""
NEAR_SHARE, NEAR_LEAST = 0.4, 2
"""Share of codes at one time, and number of them, that must be so near: of copies 0.6 and more are, of others 0.2."""

Ints = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int32]
"""Rows of clip, later clip, votes, offset in steps; shape (n, 4)."""


def candidates(prints: Iterable[bytes]) -> list[tuple[int, int, int]]:
    """Pairs (i, j), i < j, that may be copies, and how many codes they share at one offset; the surest first.

    Memory beside the prints: 20 bytes a code (a clip of up to 30 s has at most 128), 16 bytes for each of
    2 * `PAIRS_A_CLIP` pairs a clip, and what `PAIRS_AT_ONCE` needs.
    """
    held = list(prints)
    codes, at, clip = _entries(held)
    surest = np.zeros((0, 4), np.int32)
    most = PAIRS_A_CLIP * len(held)
    for first in _blocks(codes, clip):
        surest = np.concatenate([surest, _voted(codes, at, clip, first)])
        if len(surest) > 2 * most:
            surest = _surest(surest, most)
    found = []
    for low, high, votes, offset in _surest(surest, most).tolist():
        if near(Print.from_bytes(held[low]), Print.from_bytes(held[high]), offset):
            found.append((low, high, votes))
    return found


def near(one: Print, other: Print, offset: int) -> bool:
    """Whether codes that stand at one time, the second print's being `offset` steps later, are mostly near."""
    order = np.argsort(other.at, kind="stable")
    there = other.at[order].astype(np.int64)
    wanted = (one.at.astype(np.int64) + offset) % 65_536
    after = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    before = np.maximum(after - 1, 0)
    closest = np.where(np.abs(there[after] - wanted) <= np.abs(there[before] - wanted), after, before)
    together = np.abs(there[closest] - wanted) <= SAME_TIME
    differ = one.codes[together] ^ other.codes[order[closest[together]]]
    signs = np.unpackbits(np.ascontiguousarray(differ).view(np.uint8)).reshape(-1, 32).sum(axis=1)
    count = int((signs <= NEAR_SIGNS).sum())
    return count >= NEAR_LEAST and count >= NEAR_SHARE * len(signs)


def _entries(prints: list[bytes]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """All codes, sorted, their times and their clips, each code of a clip once; shape (n,) each."""
    codes, at, counts = [np.zeros(0, np.uint32)], [np.zeros(0, np.uint16)], []
    for data in prints:
        held = Print.from_bytes(data)
        # A code that a clip holds many times (a hum, a loop) says less than one that it holds once.
        kept, where = np.unique(held.codes, return_index=True)
        codes.append(kept)
        at.append(held.at[where])
        counts.append(len(kept))
    clip = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    every, times = np.concatenate(codes), np.concatenate(at)
    order = np.argsort(every, kind="stable")  # clips stay in order within a code
    return every[order], times[order], clip[order]


def _blocks(codes: npt.NDArray[np.uint32], clip: npt.NDArray[np.int32]) -> Iterable[Ints]:
    """Entries that have a next one of the same code, in blocks; those of one clip are in one block, and so are all
    votes of a pair, which stand with its first clip."""
    first = np.flatnonzero(codes[1:] == codes[:-1])
    first = first[np.argsort(clip[first], kind="stable")]
    begins = np.flatnonzero(np.diff(clip[first], prepend=-1))
    start = 0
    while start < len(first):
        after = np.searchsorted(begins, start + PAIRS_AT_ONCE // NEIGHBOURS)
        stop = int(begins[after]) if after < len(begins) else len(first)
        yield first[start:stop]
        start = stop


def _voted(
    codes: npt.NDArray[np.uint32], at: npt.NDArray[np.uint16], clip: npt.NDArray[np.int32], first: Ints
) -> Pairs:
    """The pairs of clips that begin with the entries `first`, each with its votes at the offset that has most."""
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
    best = np.lexsort((-votes, pair))
    best = best[np.diff(pair[best], prepend=0) != 0]
    return np.stack([low[best], high[best], votes[best], offset[best] + SAME_OFFSET // 2], axis=1).astype(np.int32)


def _surest(pairs: Pairs, most: int) -> Pairs:
    """The `most` pairs with most votes, those first; equal ones in the order of their clips."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -pairs[:, 2]))
    return pairs[order[:most]]
