"""Sound that holds none of a model's labels: what a user names, else what the run itself kept apart.

Labels that the model knows are left out, and so is every clip of a test side. Of what is left some must be more than
steady noise (`steady`): a threshold found on hiss alone would promise something about strangers that nobody measured.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xfer.export.clips import Recordings
from xfer.export.unknown import most, spread
from xfer.runtime.audio import SUFFIXES
from xfer.runtime.errors import Unusable, XferError
from xfer.train.checkpoint import Checkpoint
from xfer.train.data import layouts
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.digest import manifest_sha256
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.room import own_class, stretches
from xfer.train.data.splits import split
from xfer.train.data.waves import Waves

HELD_OUT, BACKGROUND = "held-out classes", "background recordings"


@dataclass(frozen=True)
class Negatives:
    """Clips from one place that hold none of a model's labels."""

    source: str
    clips: tuple[Clip, ...]
    sha256: str
    """Of their list, as `train.data.digest` makes it."""
    left_out: tuple[str, ...] = ()
    """What was not taken and why, with counts."""


def given(
    paths: Sequence[Path], checkpoint: Checkpoint, recordings: Recordings | None, target: float
) -> list[Negatives]:
    """What a user names, one entry a data set, at most so many clips of each as the target needs.

    Raises FileNotThere; Unusable for what is no data set, and for one without a clip that can be used.
    """
    found: list[Negatives] = []
    for path in dict.fromkeys(paths):
        each = _given(path, checkpoint, recordings, target)
        alike = sum(before.source.partition(" (")[0] == each.source for before in found)
        found.append(replace(each, source=f"{each.source} ({alike + 1})") if alike else each)
    return found


def of_run(checkpoint: Checkpoint, recordings: Recordings | None, target: float) -> list[Negatives]:
    """What the run's own data set holds of it: classes that were held out, and recordings of background."""
    if recordings is None:
        return []
    known = _words(checkpoint.labels)
    apart = [clip for clip in recordings.data.clips if not clip.split and _word(clip.label) not in known]
    sources = {
        HELD_OUT: spread(apart, most(target)),
        BACKGROUND: _background(checkpoint, recordings)[: most(target)],
    }
    return [_negatives(source, recordings.data, clips) for source, clips in sources.items() if clips]


def _given(path: Path, checkpoint: Checkpoint, recordings: Recordings | None, target: float) -> Negatives:
    data = _read(path)
    known = _words(checkpoint.labels)
    own = _files(clip.path for clip in recordings.data.clips if clip.split) if recordings else set()
    reasons: dict[str, Callable[[Clip], bool]] = {
        "of a label that the model knows": lambda clip: _word(clip.label) in known,
        "of the test side": lambda clip: clip.split == "test",
        "of the model's own training": lambda clip: os.path.realpath(clip.path) in own,
    }
    rest, left_out = list(data.clips), []
    for reason, holds in reasons.items():
        kept = [clip for clip in rest if not holds(clip)]
        if len(kept) < len(rest):
            left_out.append(f"{len(rest) - len(kept)} {reason}")
        rest = kept
    if not rest:
        raise Unusable(
            f"{path} has no clip that could be a negative ({', '.join(left_out)}): name a data set of other sound"
        )
    return _negatives(data.name, data, spread(rest, most(target)), tuple(left_out))


def _negatives(source: str, data: DataSet, clips: Sequence[Clip], left_out: tuple[str, ...] = ()) -> Negatives:
    listed = replace(data, clips=tuple(clips), background=())
    return Negatives(source, tuple(clips), manifest_sha256(listed), left_out)


def _read(path: Path) -> DataSet:
    """A data set with the sides on which `xfer train` would put its clips; a folder of loose recordings is one class.

    Where it cannot be split (classes of one clip), no clip is on the test side.
    """
    try:
        data = layouts.read(path)
    except Unusable:
        loose = _loose(path)
        if not loose:
            raise
        clips = tuple(Clip(file, path.name, file.name) for file in loose)
        return DataSet(path.resolve().name, path, "loose recordings", "", "", clips)
    try:
        return split(data, DataRecipe())
    except Unusable:
        return data


def _loose(path: Path) -> list[Path]:
    """Recordings that lie directly in a folder in which no layout sees anything."""
    if not path.is_dir() or any(layout.recognise(path) for layout in layouts.LAYOUTS.values()):
        return []
    return sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] not in "._")


def _background(checkpoint: Checkpoint, recordings: Recordings) -> list[Clip]:
    """Recordings of no class, cut to what three windows take; none where the model has a class for them.

    Where training placed its clips over them, only those that validate: it was taught not to hear the others.
    """
    data, waves, window = recordings.data, recordings.waves, checkpoint.net.window
    if not data.background or own_class(checkpoint.labels):
        return []
    windows = _table(checkpoint.recipe, "windows")
    heard = windows.get("background") == "yes" or windows.get("short") == "place"
    seed = _table(checkpoint.recipe, "data").get("split_seed", 0)
    readable = replace(data, background=tuple(path for path in data.background if _is_sound(path, waves)))
    sides = stretches(readable, waves, window, seed if isinstance(seed, int) else 0)
    clips = [*sides.get("validation", ()), *(() if heard else sides.get("train", ()))]
    return [piece for clip in clips for piece in _pieces(clip, waves, 2 * window)]


def _is_sound(path: Path, waves: Waves) -> bool:
    """Training passed over those that are not."""
    try:
        return waves.length(Clip(path, "", "")) > 0
    except XferError:
        return False


def _pieces(clip: Clip, waves: Waves, count: int) -> list[Clip]:
    """A recording as clips of so many samples; the last one is the rest."""
    rate = waves.rate
    return [
        replace(clip, label=clip.path.name, offset=clip.offset + start / rate, duration=count / rate)
        for start in range(0, max(1, waves.length(clip) - count // 2), count)
    ]


def _table(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    found = recipe.get(name)
    return found if isinstance(found, dict) else {}


def _files(paths: Iterable[Path]) -> set[str]:
    return {os.path.realpath(path) for path in set(paths)}


def _words(labels: Sequence[str]) -> set[str]:
    return {_word(label) for label in labels}


def _word(label: str) -> str:
    """A label without what data sets write differently: Hip-Hop, hip_hop, hip hop."""
    return "".join(letter for letter in label.casefold() if letter.isalnum())
