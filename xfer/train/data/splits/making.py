"""One function that puts every clip on a side, as the recipe asks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip, DataSet, Split
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.splits.assign import hold_out, spread
from xfer.train.data.splits.files import read_split
from xfer.train.data.splits.identity import identity, relative, shuffled

FOLDS = 5
"""How many folds are made unless the recipe says."""
PAPER_SHARE = 10
"""One in so many validates in the paper (FACTS.md 4.2)."""


def split(data: DataSet, how: DataRecipe) -> DataSet:
    """Put every clip on a side; None is the side of training clips beyond `clips_per_class` and of classes held out.

    Raises Unusable where no class can be validated, where the recipe's numbers cannot be, and what `read_split` raises.
    """
    _check(how)
    if how.split_file:
        return _finished(_without(read_split(data, Path(how.split_file)), _held_out(data, how)), how)
    held = _held_out(data, how)
    rest = data.with_clips(tuple(clip for clip in data.clips if clip.label not in held))
    if how.scheme == "folds":
        done = _folds(rest, how)
    elif how.scheme == "paper":
        done = _paper(rest, how.split_seed)
    else:
        done = _shares(rest, how, published=how.scheme == "auto")
    placed = iter(done.clips)
    clips = tuple(replace(clip, split=None) if clip.label in held else next(placed) for clip in data.clips)
    return _finished(done.with_clips(clips), how)


def trained_classes(data: DataSet) -> DataSet:
    """A split data set without the classes that are on no side at all: those held out, here or in a table."""
    there = {clip.label for clip in data.clips if clip.split}
    return data.with_clips(tuple(clip for clip in data.clips if clip.label in there))


def _held_out(data: DataSet, how: DataRecipe) -> set[str]:
    """The classes that the recipe keeps out of training."""
    classes = {clip.label for clip in data.clips}
    if how.held_out and not 2 <= how.held_out <= len(classes) - 2:
        raise Unusable(
            f"data.held_out={how.held_out}: at least two classes are held out, so that there are pairs of two, and at "
            f"least two are left to train on; {data.name} has {len(classes)}; 0: none"
        )
    return set(shuffled(classes, how.split_seed, str)[: how.held_out])


def _without(data: DataSet, held: set[str]) -> DataSet:
    return data.with_clips(tuple(replace(clip, split=None) if clip.label in held else clip for clip in data.clips))


def _finished(done: DataSet, how: DataRecipe) -> DataSet:
    """With something to validate, and no more to train on than is asked for."""
    if not done.of("validation"):
        raise Unusable(
            f"{done.name}: no class has two clips of different origin, so nothing is left to validate with: record more"
        )
    return _limit(done, how.clips_per_class, how.split_seed) if how.clips_per_class else done


def _check(how: DataRecipe) -> None:
    if how.validation_share <= 0 or how.test_share < 0 or not how.validation_share + how.test_share < 1:
        raise Unusable(
            f"data.validation_share={how.validation_share:g} and data.test_share={how.test_share:g} leave no sides: "
            "the first lies above 0, the second may be 0, and both together stay below 1"
        )
    if how.folds < 0 or how.folds == 1:
        raise Unusable(f"data.folds={how.folds} are no folds: two or more, or 0 for the publisher's")
    if how.clips_per_class < 0:
        raise Unusable(f"data.clips_per_class={how.clips_per_class} is no limit: one or more, or 0 for all clips")


def _shares(data: DataSet, how: DataRecipe, published: bool) -> DataSet:
    """The publisher's sides where there are any, and by group, stratified, what is missing of them."""
    if published and any(clip.split for clip in data.clips):
        clips = [clip if clip.split else replace(clip, split="train") for clip in data.clips]
    elif published and len(folds := _published_folds(data)) > 2:
        return _by_fold(data, [clip.fold for clip in data.clips], folds, folds[-1])
    else:
        clips = [replace(clip, split="train") for clip in data.clips]
        if how.test_share and (tested := _test_groups(clips, how)) is not None:
            clips = _move(clips, tested[0], "test")
            return data.with_clips(tuple(_move(clips, tested[1], "validation")))
        if how.test_share:
            least, label = min((len(groups), label) for label, groups in _groups_of(clips).items())
            data = replace(
                data,
                notes=(
                    *data.notes,
                    f"no test side: class {label!r} has {least} clips of different origin, too few for three sides",
                ),
            )
    return data.with_clips(tuple(_validated(clips, how)))


def _validated(clips: list[Clip], how: DataRecipe) -> list[Clip]:
    """Of each label without a validation clip, the validation share of its training clips, whole groups at a time."""
    has = {clip.label for clip in clips if clip.split == "validation"}
    groups = _counted(clip for clip in clips if clip.split == "train")
    labels = {label for held in groups.values() for label in held} - has
    return _move(clips, hold_out(groups, labels, how.validation_share, how.split_seed), "validation")


def _test_groups(clips: list[Clip], how: DataRecipe) -> tuple[set[str], set[str]] | None:
    """Groups to test and groups to validate with; None unless every class gets onto all three sides."""
    # With fewer groups, one would be more than twice the share that is asked for.
    enough = max(3, ceil(0.5 / how.test_share))
    if any(len(groups) < enough for groups in _groups_of(clips).values()):
        return None
    groups = _counted(clips)
    labels = {clip.label for clip in clips}
    tested = hold_out(groups, labels, how.test_share, how.split_seed, keep=2)
    rest = {group: held for group, held in groups.items() if group not in tested}
    # The validation share is one of all clips, not of those that the test side left.
    validated = hold_out(rest, labels, how.validation_share / (1 - how.test_share), how.split_seed)
    sides = (tested, validated, rest.keys() - validated)
    return (tested, validated) if all(_labels(groups, side) == labels for side in sides) else None


def _folds(data: DataSet, how: DataRecipe) -> DataSet:
    """One fold tests, the next one validates: the publisher's folds, or folds made by group."""
    published = _published_folds(data)
    if published:
        if how.folds not in (0, len(published)):
            raise Unusable(
                f"{data.name} is published in {len(published)} folds, not {how.folds}: leave data.folds out to use them"
            )
        folds: list[int | None] = [clip.fold for clip in data.clips]
        names = published
    else:
        names = list(range(1, (how.folds or FOLDS) + 1))
        made = spread(_counted(data.clips), len(names), how.split_seed)
        folds = [made[clip.group] for clip in data.clips]
    if how.fold not in names:
        raise Unusable(f"data.fold={how.fold}: {data.name} has the folds {', '.join(map(str, names))}")
    done = _by_fold(data, folds, names, how.fold)
    # With two folds none is left to validate: a share of the other one does.
    return done if len(names) > 2 else done.with_clips(tuple(_validated(list(done.clips), how)))


def _by_fold(data: DataSet, folds: Sequence[int | None], names: list[int], test: int) -> DataSet:
    """Fold `test` tests and the one after it validates, where a third one is left to train on."""
    sides: dict[int | None, Split] = {test: "test"}
    if len(names) > 2:
        sides[names[(names.index(test) + 1) % len(names)]] = "validation"
    clips = [replace(clip, split=sides.get(fold, "train")) for clip, fold in zip(data.clips, folds, strict=True)]
    # A class that is left without training clips gets those back that would validate, its smallest group first.
    trained = {clip.label for clip in clips if clip.split == "train"}
    held = _counted(clip for clip in clips if clip.split == "validation")
    back: set[str] = set()
    for group in sorted(held, key=lambda group: (held[group].total(), group)):
        if held[group].keys() - trained:
            trained |= held[group].keys()
            back.add(group)
    return data.with_clips(
        tuple(
            replace(clip, split="train") if clip.split == "validation" and clip.group in back else clip
            for clip in clips
        )
    )


def _paper(data: DataSet, seed: int) -> DataSet:
    """The paper's 90:10: every tenth utterance of each speaker, a random tenth of all tracks otherwise; no test side.

    Groups are ignored, as the paper ignores them: artists stand on both sides (FACTS.md 4.4). Sorted names and a
    seed stand for the order of its file system (FACTS.md 8.17). A class keeps its last recording to train on.
    """
    recordings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for clip in data.clips:
        recordings[relative(data.root, clip.path), clip.member].add(clip.label)
    left = Counter(label for labels in recordings.values() for label in labels)
    if data.task == "speaker":
        by_label: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for name in sorted(recordings):
            for label in recordings[name]:
                by_label[label].append(name)
        wanted = [name for label in sorted(by_label) for name in by_label[label][::PAPER_SHARE]]
    else:
        order = shuffled(sorted(recordings), seed, "\n".join)
        wanted = order[: max(1, round(len(order) / PAPER_SHARE))]
    chosen = set()
    for name in wanted:
        if name not in chosen and all(left[label] > 1 for label in recordings[name]):
            chosen.add(name)
            left.subtract(dict.fromkeys(recordings[name], 1))
    return data.with_clips(
        tuple(
            replace(clip, split="validation" if (relative(data.root, clip.path), clip.member) in chosen else "train")
            for clip in data.clips
        )
    )


def _limit(data: DataSet, clips_per_class: int, seed: int) -> DataSet:
    """At most so many training clips of each class; those for N are among those for any larger number."""
    training = [place for place, clip in enumerate(data.clips) if clip.split == "train"]
    names = {place: repr(identity(data.root, data.clips[place])) for place in training}
    taken: Counter[str] = Counter()
    out: set[int] = set()
    for place in shuffled(training, seed, names.__getitem__):
        taken[data.clips[place].label] += 1
        if taken[data.clips[place].label] > clips_per_class:
            out.add(place)
    return data.with_clips(
        tuple(replace(clip, split=None) if place in out else clip for place, clip in enumerate(data.clips))
    )


def _published_folds(data: DataSet) -> list[int]:
    """The publisher's folds; none where there is but one."""
    folds = sorted({clip.fold for clip in data.clips if clip.fold is not None})
    return folds if len(folds) > 1 else []


def _counted(clips: Iterable[Clip]) -> dict[str, Counter[str]]:
    """How many clips of each label a group holds."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        groups[clip.group][clip.label] += 1
    return groups


def _groups_of(clips: Iterable[Clip]) -> dict[str, set[str]]:
    """The groups of each label."""
    found: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        found[clip.label].add(clip.group)
    return found


def _labels(groups: dict[str, Counter[str]], side: Iterable[str]) -> set[str]:
    return {label for group in side for label in groups[group]}


def _move(clips: Iterable[Clip], groups: set[str], side: Split) -> list[Clip]:
    """The clips, with the training clips of these groups on another side."""
    return [replace(clip, split=side) if clip.split == "train" and clip.group in groups else clip for clip in clips]
