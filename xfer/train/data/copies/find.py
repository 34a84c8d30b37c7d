"""Groups of clips that are one sound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from xfer.runtime.audio import Samples
from xfer.train.data.copies.alike import Likeness, Prepared, likeness, prepare
from xfer.train.data.copies.candidates import candidates

PIECES = 0.5
"""Correlation that nine of ten sounding pieces of copies reach."""
MIDDLE = 0.75
"""Correlation that half of them reach."""
HELD = 0.8
"""Share of the shorter clip's sound that lies within the other."""
SECONDS = 0.15
"""Sound that both must hold: less tells nothing."""
TONE = 0.98
"""A sound that is as like itself 5 to 50 ms later is a tone: two recordings of one cannot be told apart."""
KEPT = 64
"""Prepared clips kept for the next comparison: candidates of one clip come one after the other."""


def find_copies(
    prints: Iterable[bytes],
    samples: Callable[[int], tuple[Samples, int]],
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[int, ...]]:
    """Groups (indices, sorted) of clips that are one sound, sorted; a clip without copies is in none.

    `prints` are those of `fingerprint`, in the order of the clips; `samples(i)` gives mono samples, shape (n,), and
    their rate in Hz, and is asked for candidates only. `progress(done, all)` counts candidate pairs. What `samples`
    raises passes through.
    """
    pairs = candidates(prints)  # the surest first: what they join need not be compared again
    groups = _Groups()
    kept: OrderedDict[int, Prepared] = OrderedDict()

    def prepared(index: int) -> Prepared:
        if index not in kept:
            kept[index] = prepare(*samples(index))
            if len(kept) > KEPT:
                kept.popitem(last=False)
        kept.move_to_end(index)
        return kept[index]

    for done, (one, other, _votes) in enumerate(pairs, start=1):
        if not groups.joined(one, other) and one_sound(likeness(prepared(one), prepared(other))):
            groups.join(one, other)
        if progress:
            progress(done, len(pairs))
    return groups.all()


def one_sound(found: Likeness | None) -> bool:
    """Whether two clips that are so alike are copies."""
    return (
        found is not None
        and found.pieces >= PIECES
        and found.middle >= MIDDLE
        and found.held >= HELD
        and found.seconds >= SECONDS
        and found.tone <= TONE
    )


class _Groups:
    """Disjoint sets of indices (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def _root(self, index: int) -> int:
        root = index
        while self._parent.get(root, root) != root:
            root = self._parent[root]
        while index != root:  # the path is cut short for the next time
            self._parent[index], index = root, self._parent.get(index, index)
        return root

    def joined(self, one: int, other: int) -> bool:
        return self._root(one) == self._root(other)

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        self._parent[high] = low

    def all(self) -> list[tuple[int, ...]]:
        members: dict[int, set[int]] = {}
        for index in list(self._parent):
            root = self._root(index)
            members.setdefault(root, {root}).add(index)
        return sorted(tuple(sorted(group)) for group in members.values() if len(group) > 1)
