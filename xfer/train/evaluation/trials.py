"""Trials: pairs of clips, of the same speaker or of two; made from clips, or read from a list as VoxCeleb's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xfer.runtime.atomic import write_atomically
from xfer.runtime.errors import FileNotThere, Unusable, nearest
from xfer.train.data.clips import Clip
from xfer.train.data.splits.identity import identity

Integers = npt.NDArray[np.int64]
PER_SPEAKER = 100
"""Trials of the same speaker that a list made here has at most for each."""
MOST_PAIRS = 1_000_000
"""Above so many pairs (1,415 clips) a list stands for all of them."""
FORM = "a line is: 1 or 0 (same speaker or not), then two clips by their paths within the data set"


@dataclass(frozen=True)
class Trials:
    """Pairs of clips by their places, (trials,) each."""

    one: Integers
    other: Integers
    same: npt.NDArray[np.bool_]

    @property
    def targets(self) -> int:
        """Trials of the same speaker."""
        return int(self.same.sum())

    @property
    def impostors(self) -> int:
        """Trials of two."""
        return len(self.same) - self.targets


def all_pairs(speakers: Integers) -> Trials | None:
    """Every pair of clips whose speakers (clips,) are given; None without pairs of both kinds."""
    one, other = np.triu_indices(len(speakers), k=1)
    same = speakers[one] == speakers[other]
    return Trials(one, other, same) if same.any() and not same.all() else None


def balanced_trials(speakers: Integers, per_speaker: int = PER_SPEAKER, seed: int = 0) -> Trials | None:
    """As many trials of two speakers as of one, no pair twice; None without pairs of both kinds.

    Of each speaker up to `per_speaker` pairs are drawn; for each of them one of its clips also meets a clip of another
    speaker, each of the others in turn.
    """
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(speakers == person) for person in np.unique(speakers)]
    targets: list[tuple[int, int]] = []
    impostors: dict[tuple[int, int], None] = {}  # a set that keeps its order
    for person, mine in enumerate(places):
        left, right = np.triu_indices(len(mine), k=1)
        chosen = rng.permutation(len(left))[:per_speaker]
        targets += zip(mine[left[chosen]].tolist(), mine[right[chosen]].tolist(), strict=True)
        others = np.delete(np.arange(len(places)), person)
        if not len(others):
            return None
        partners = rng.permutation(others)
        for k, place in enumerate(mine[left[chosen]].tolist()):
            stranger = int(rng.choice(places[partners[k % len(partners)]]))
            impostors[min(place, stranger), max(place, stranger)] = None
    for _ in range(10 * len(targets)):  # what was drawn twice is drawn anew, as far as there are pairs enough
        if len(impostors) >= len(targets):
            break
        a, b = sorted(rng.choice(len(speakers), 2, replace=False).tolist())
        if speakers[a] != speakers[b]:
            impostors[a, b] = None
    if not targets or not impostors:
        return None
    count = min(len(targets), len(impostors))
    kept = [targets[k] for k in sorted(rng.permutation(len(targets))[:count])]
    one, other = np.array([*kept, *list(impostors)[:count]], dtype=np.int64).T
    return Trials(one, other, np.arange(2 * count) < count)


def some_pairs(speakers: Integers) -> Trials | None:
    """All pairs, or a balanced list where they are so many that drawing from them takes minutes."""
    return all_pairs(speakers) if len(speakers) * (len(speakers) - 1) // 2 <= MOST_PAIRS else balanced_trials(speakers)


def write_trials(path: Path, trials: Trials, clips: Sequence[Clip], root: Path) -> None:
    """Write a list that `read_trials` reads, atomically.

    Raises Unusable for clips that a line of a list cannot name; OSError where it cannot be written.
    """
    names = [trial_name(clip, root) for clip in clips]
    asked = sorted({*trials.one.tolist(), *trials.other.tolist()})
    first: dict[str, int] = {}
    for place in asked:
        name = names[place]
        if first.setdefault(name, place) != place or "\t" in name or "\n" in name or "\r" in name:
            raise Unusable(f"a list of trials cannot name {name!r}: it is not one clip by itself, or breaks the line")
    between = "\t" if any(" " in names[place] for place in asked) else " "
    rows = zip(trials.same.tolist(), trials.one.tolist(), trials.other.tolist(), strict=True)
    text = "".join(f"{int(same)}{between}{names[one]}{between}{names[other]}\n" for same, one, other in rows)
    write_atomically(path, text.encode(errors="surrogateescape"))


def trial_name(clip: Clip, root: Path) -> str:
    """A clip as lists of trials name it: its path within the data set, the member of a shard by itself."""
    name = identity(root, clip)
    return name.member or name.path


def read_trials(path: Path, clips: Sequence[Clip], root: Path) -> Trials:
    """A list of trials over the clips of a data set, by their places in `clips`.

    A clip may be named by its path within the data set or, where no two share it, by its file name, with its ending
    or without. Words are parted by tabs, or by blanks where there is no tab; empty lines are nothing.
    Raises FileNotThere; Unusable, naming the line, for what is no trial, an unknown clip, or one that contradicts the
    labels; Unusable where all trials are of one kind.
    """
    if not path.is_file():
        raise FileNotThere(f"no list of trials at {path}: {FORM}; --write-trials FILE makes one")
    known = _named(clips, root)
    one, other, same = list[int](), list[int](), list[bool]()
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        words = [word.strip() for word in line.split("\t")] if "\t" in line else line.split()
        where = f"{path}, line {number}"
        if len(words) != 3 or words[0] not in ("0", "1"):
            raise Unusable(f"{where} is no trial ({_short(line)!r}): {FORM}")
        places = [_place(word, known, where) for word in words[1:]]
        alike = clips[places[0]].label == clips[places[1]].label
        if alike != (words[0] == "1"):
            labels = " and ".join(repr(clips[place].label) for place in places)
            raise Unusable(f"{where} says {words[0]}, but the data set has its clips as {labels}: one of them is wrong")
        if places[0] == places[1]:
            raise Unusable(f"{where} is a clip with itself: leave it out")
        one.append(places[0])
        other.append(places[1])
        same.append(alike)
    if not one or all(same) or not any(same):
        what = f"only trials of {'one speaker' if one and same[0] else 'two speakers'}" if one else "no trial"
        raise Unusable(f"{path} has {what}: rates need trials of both kinds")
    return Trials(np.array(one), np.array(other), np.array(same))


def _named(clips: Sequence[Clip], root: Path) -> dict[str, list[int]]:
    """The places of the clips that a word may mean."""
    found: dict[str, list[int]] = defaultdict(list)
    shorter: dict[str, list[int]] = defaultdict(list)
    for place, clip in enumerate(clips):
        name = trial_name(clip, root)
        found[name].append(place)
        file = name.rsplit("/", 1)[-1]
        for word in {file, file.rsplit(".", 1)[0]}:
            shorter[word].append(place)
    return {**shorter, **found}


def _place(word: str, known: dict[str, list[int]], where: str) -> int:
    places = known.get(word.removeprefix("./"))
    if places is None:
        raise Unusable(f"{where}: the data set has no usable clip {word!r}: {_hint(word, known)}")
    if len(places) > 1:
        raise Unusable(f"{where}: {len(places)} clips are called {word!r}: name it by its path within the data set")
    return places[0]


def _hint(word: str, known: dict[str, list[int]]) -> str:
    """The nearest name, or how names look; a list of thousands helps nobody."""
    some = list(known)[:2000]
    hint = nearest(word, some)
    return hint if hint.startswith("did you mean") else f"its clips are called like {max(some, key=len)!r}"


def _short(line: str) -> str:
    return line if len(line) <= 60 else line[:60] + "..."
