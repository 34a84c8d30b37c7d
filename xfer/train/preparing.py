"""From a data set as it stands to what a training is fed with: read, looked at, split, framed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train import framing
from xfer.train.data.cache import Store, fill
from xfer.train.data.check import check
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.open import read_data
from xfer.train.data.problems import Problem
from xfer.train.data.splits import read_split, split, trained_classes
from xfer.train.data.waves import Waves, seconds
from xfer.train.nets import NETS
from xfer.train.recipe import Recipe

NAMED = 5
"""So many classes that are held out are named."""
SHOWN = 10
"""So many problems are told before a training; `xfer data` tells all."""


@dataclass(frozen=True)
class Prepared:
    """What a training is fed with."""

    data: DataSet
    """Every clip on its side, with the class `background` where there is one."""
    split: DataSet
    """The same before that class came, and with the classes that are held out: what `split.csv` holds."""
    waves: Waves
    recipe: Recipe
    """With nothing left to decide about windows."""
    problems: tuple[Problem, ...]


def prepare(
    recipe: Recipe,
    store: Store,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    progress: Callable[[str, int, int], None],
    resumed: Path | None = None,
) -> Prepared:
    """Read, look at every recording, split, frame. What cannot be used is named and left out.

    A `resumed` run goes on with the very split that it began with.

    Raises Unusable where what is left cannot be learned from, and what the data set, its split and the store raise.
    """
    if not recipe.data.path:
        say("no data given: SYNTHETIC voices made by xfer are used, no people (see README.md)")
    rate = NETS[recipe.net].sample_rate
    found = read_data(recipe.data.path, recipe.data.layout, recipe.task, recipe.net)
    say(f"{found.name}: {len(found.clips)} clips, {len(found.labels)} classes ({found.layout}); decoding")
    checked = check(found, store, (rate,), progress=progress)
    data = checked.usable()
    fill(store, [Clip(path, "", "") for path in data.background], (rate,), progress=lambda done, of: None)
    if store.full:
        warn("the decoded cache is full: some recordings are decoded at each use, which is slower (XFER_CACHE_GB)")
    waves = Waves(rate, store)
    table = resumed / "split.csv" if resumed else None
    placed = read_split(data, table) if table and table.is_file() else split(data, recipe.data)
    data = trained_classes(placed)
    apart = sorted(set(placed.labels) - set(data.labels))
    if apart:
        say(
            f"held out of training: {len(apart)} of {len(placed.labels)} classes "
            f"({', '.join(apart[:NAMED])}{', ...' if len(apart) > NAMED else ''})"
        )
    _refuse_unlearnable(data)
    for note in data.notes:
        say(note)
    minutes = seconds(waves, data.of("train")) / 60
    held = f"validation {len(data.of('validation'))}, test {len(data.of('test'))}"
    say(f"train {len(data.of('train'))} clips ({minutes:.1f} min), {held}")
    recipe, framed, more = framing.settle_windows(recipe, data, waves)
    problems = (*checked.problems, *more)
    _tell(problems, len(found.clips) - len(placed.clips), len(found.clips), recipe.data.path, warn)
    return Prepared(framed, placed, waves, recipe, problems)


def _refuse_unlearnable(data: DataSet) -> None:
    if len(data.labels) < 2:
        raise Unusable(f"{data.name} has one class only ({data.labels[0]!r}): two are needed to tell anything apart")
    unseen = sorted(set(data.labels) - {clip.label for clip in data.of("train")})
    if unseen:
        raise Unusable(
            f"{data.name}: class {unseen[0]!r} has no clip to train on: add recordings, or leave the class out"
        )


def _tell(problems: Sequence[Problem], left_out: int, clips: int, path: str, warn: Callable[[str], None]) -> None:
    for problem in problems[:SHOWN]:
        warn(f"{'left out' if problem.left_out else problem.severity}: {problem.message}")
    if len(problems) > SHOWN:
        warn(f"... and {len(problems) - SHOWN} more; all of them: xfer data {path}".rstrip())
    if any(problem.kind == "leak" for problem in problems):
        warn("what is known of a group from one side helps on the other, so scores come out too good;")
        warn("to split by group instead: --set data.scheme=group")
    if left_out:
        warn(f"{left_out} of {clips} recordings are left out; training goes on without them")
