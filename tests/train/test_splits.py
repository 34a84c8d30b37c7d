"""Splits: whole groups, every class, the same from any order; published ones as published."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.layouts import read
from xfer.train.data.splits import leaks, merge_groups, read_split, split, write_split
from xfer.train.data.splits.assign import hold_out, spread
from xfer.train.recipe import DataRecipe, default_recipe, with_settings


def made(pairs, task="sound", **more) -> DataSet:
    """A data set of (label, group) pairs."""
    root = Path("/data")
    clips = tuple(
        Clip(root / f"{i:04d}.wav", f"label {label}", f"group {group}", **more)
        for i, (label, group) in enumerate(pairs)
    )
    return DataSet("made", root, "folders", task, "convnet", clips)


def labels_of(clips) -> set[str]:
    return {clip.label for clip in clips}


def groups_of(clips, label=None) -> set[str]:
    return {clip.group for clip in clips if label in (None, clip.label)}


@st.composite
def structures(draw) -> DataSet:
    """Any mixture of groups of one and of several labels, huge groups, and classes of one group."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=3, max_size=80))
    pairs += [(draw(st.integers(0, 4)), "huge")] * draw(st.sampled_from([0, 0, 50]))
    pairs += [("lonely", "alone")] * draw(st.integers(0, 3))
    return made(pairs)


schemes = st.one_of(
    st.builds(
        DataRecipe,
        validation_share=st.floats(0.02, 0.4),
        test_share=st.sampled_from([0.0, 0.1, 0.3]),
        split_seed=st.integers(0, 50),
        clips_per_class=st.sampled_from([0, 1, 3]),
    ),
    st.builds(
        DataRecipe,
        scheme=st.just("folds"),
        folds=st.sampled_from([2, 3, 5]),
        fold=st.integers(1, 2),
        split_seed=st.integers(0, 50),
    ),
)


@given(structures(), schemes, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_groups_stay_whole_and_classes_keep_their_training(data: DataSet, how: DataRecipe, rng: random.Random):
    shuffled = list(data.clips)
    rng.shuffle(shuffled)
    try:
        done = split(data, how)
    except Unusable:
        with pytest.raises(Unusable, match="validate"):
            split(data.with_clips(tuple(shuffled)), how)
        return
    assert [replace(clip, split=None) for clip in done.clips] == list(data.clips)
    for group in groups_of(data.clips):
        assert len({clip.split for clip in done.clips if clip.group == group} - {None}) <= 1, group
    assert labels_of(done.of("train")) == labels_of(data.clips)
    # Whatever order the clips come in, each stands where it stood.
    again = split(data.with_clips(tuple(shuffled)), how)
    assert {clip.path: clip.split for clip in again.clips} == {clip.path: clip.split for clip in done.clips}
    if how.clips_per_class:
        assert max(Counter(clip.label for clip in done.of("train")).values()) <= how.clips_per_class
    elif how.scheme == "auto":
        assert all(clip.split for clip in done.clips)
        if done.of("test"):
            assert labels_of(done.of("test")) == labels_of(done.of("validation")) == labels_of(data.clips)


@given(structures(), st.integers(0, 20), st.sampled_from([3, 4, 10]))
@settings(max_examples=100, deadline=None)
def test_every_clip_that_can_be_tested_is_tested_once(data: DataSet, seed: int, folds: int):
    tested: Counter[Path] = Counter()
    for fold in range(1, folds + 1):
        try:
            done = split(data, DataRecipe(scheme="folds", folds=folds, fold=fold, split_seed=seed))
        except Unusable:
            return
        tested.update(clip.path for clip in done.of("test"))
    assert set(tested.values()) <= {1}
    untested = [clip for clip in data.clips if clip.path not in tested]
    # Only a group without which some class would have nothing to train on is never tested.
    if all(len(groups_of(data.clips, label)) > 1 for label in labels_of(data.clips)) and folds > 3:
        several = [g for g in groups_of(untested) if len(labels_of(c for c in data.clips if c.group == g)) == 1]
        assert not several


@given(structures(), st.integers(0, 20), st.sampled_from([0.1, 0.25]))
@settings(max_examples=100, deadline=None)
def test_every_class_of_pure_groups_validates(data: DataSet, seed: int, share: float):
    """Where groups hold one label each, every class with two groups gets onto both sides."""
    data = data.with_clips(tuple(replace(clip, group=f"{clip.label} {clip.group}") for clip in data.clips))
    two = {label for label in labels_of(data.clips) if len(groups_of(data.clips, label)) > 1}
    if not two:
        return
    done = split(data, DataRecipe(validation_share=share, test_share=0.0, split_seed=seed))
    assert labels_of(done.of("validation")) == two
    for label in two:  # the share is met as nearly as the smallest groups allow
        sizes = Counter(clip.group for clip in data.clips if clip.label == label)
        held = sum(clip.label == label for clip in done.of("validation"))
        wanted = max(1.0, share * sizes.total())
        assert held <= wanted + max(sizes.values())
        if all(size == 1 for size in sizes.values()):
            assert abs(held - wanted) <= 0.5


def test_as_balanced_as_sklearn():
    """On real folders and on artists with many genres, against StratifiedGroupKFold (the rival)."""
    sklearn = pytest.importorskip("sklearn.model_selection")
    rng = random.Random(5)
    artists = [
        (rng.randrange(8) if rng.random() < 0.3 else artist % 8, artist)
        for artist in range(150)
        for _ in range(1 + int(rng.expovariate(0.25)))
    ]
    for data in (made(artists), read(recordings("esc10")), read(recordings("debian_voices"))):
        labels, groups = [clip.label for clip in data.clips], [clip.group for clip in data.clips]
        totals = Counter(labels)

        def unevenness(held: list[bool], labels=labels, totals=totals) -> float:
            inside = Counter(label for label, h in zip(labels, held, strict=True) if h)
            return sum(abs(inside[label] / totals[label] - 0.2) for label in totals) / len(totals)

        counts = {group: Counter() for group in groups}
        for label, group in zip(labels, groups, strict=True):
            counts[group][label] += 1
        ours = spread(counts, 5, 0)
        once = [hold_out(counts, set(labels), 0.2, seed) for seed in range(5)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folds = sklearn.StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
            theirs = [
                unevenness([place in held for place in range(len(labels))]) for held in map(set, (f[1] for f in folds))
            ]
        mean = sum(unevenness([ours[group] == fold for group in groups]) for fold in range(1, 6)) / 5
        assert mean <= 1.1 * sum(theirs) / 5 + 1e-9
        held_out = sum(unevenness([group in held for group in groups]) for held in once) / 5
        assert held_out <= 1.1 * sum(theirs) / 5 + 1e-9


def test_what_is_held_out_is_not_only_small_groups():
    """Artists of many tracks must be validated on too: the mean size of held-out groups is that of all."""
    rng = random.Random(1)
    sizes = [rng.choice([1, 1, 2, 5, 12]) for _ in range(400)]
    data = made([("a", group) for group, size in enumerate(sizes) for _ in range(size)])
    means = []
    for seed in range(8):
        held = split(data, DataRecipe(split_seed=seed, test_share=0.0)).of("validation")
        means.append(len(held) / len(groups_of(held)))
    assert sum(means) / len(means) == pytest.approx(sum(sizes) / len(sizes), rel=0.15)


def test_a_test_side_only_where_every_class_can_be_tested():
    ten = [(label, f"{label}{i}") for label in "ab" for i in range(10)]
    sides = Counter(clip.split for clip in split(made(ten), DataRecipe()).clips)
    assert sides == {"train": 16, "validation": 2, "test": 2}
    few = split(made([*ten, *(("c", f"c{i}") for i in range(4))]), DataRecipe())
    assert not few.of("test")
    assert few.notes[-1].startswith("no test side: class 'label c' has 4 clips of different origin")
    # A publisher who set no test clips aside meant it so: what was published for training trains.
    published = made(ten)
    published = published.with_clips(
        tuple(replace(clip, split="validation" if i % 5 == 0 else "train") for i, clip in enumerate(published.clips))
    )
    assert split(published, DataRecipe()) == published


def test_three_groups_a_class_are_enough_for_three_sides_when_the_shares_are_large():
    three = made([(label, f"{label}{i}") for label in "ab" for i in range(3)])
    done = split(three, DataRecipe(test_share=0.6))
    assert Counter(clip.split for clip in done.clips) == {"train": 2, "validation": 2, "test": 2}


def test_the_groups_of_a_class_never_fill_one_fold_alone():
    """`small` would go where `large` is, for the sake of its other label: nothing of `a` would be left to learn."""
    groups = {"large": Counter(a=99), "c1": Counter(c=4), "c2": Counter(c=3), "small": Counter(a=1, c=1)}
    found = spread(groups, 3, 0)
    assert 0 < found["small"] != found["large"]
    assert spread({"one": Counter(a=5), "x": Counter(b=1), "y": Counter(b=1)}, 3, 0)["one"] == 0


def test_published_folds():
    data = read(recordings("esc10"))
    bare = data.with_clips(tuple(replace(c, split=None, fold=int(c.path.name[0])) for c in data.clips))
    for fold, following in ((1, 2), (4, 1)):
        done = split(bare, DataRecipe(scheme="folds", fold=fold))
        assert {clip.fold for clip in done.of("test")} == {fold}
        assert {clip.fold for clip in done.of("validation")} == {following}
        assert not leaks(done)
    with pytest.raises(Unusable, match="1, 2, 3, 4"):
        split(bare, DataRecipe(scheme="folds", fold=5))
    with pytest.raises(Unusable, match="published in 4 folds, not 10"):
        split(bare, DataRecipe(scheme="folds", folds=10))
    assert {clip.fold for clip in split(bare, DataRecipe()).of("test")} == {4}


def test_by_group_whatever_is_published():
    data = read(recordings("wake_words"))
    done = split(data, DataRecipe(scheme="group"))
    assert {c.path for c in done.of("test")} != {c.path for c in data.of("test")}
    assert Counter(clip.label for clip in done.of("test")) == dict.fromkeys(data.labels, 8)


def test_the_papers_splits():
    speakers = split(read(recordings("libri_vctk_layout")), DataRecipe(scheme="paper"))
    p301 = [clip for clip in speakers.clips if clip.label == "p301"]
    assert [clip.path.name for clip in p301 if clip.split == "validation"] == ["p301_001_mic1.flac"]
    assert not speakers.of("test")
    assert labels_of(speakers.of("validation")) == labels_of(speakers.of("train")) == set(speakers.labels)
    music = read(recordings("music_fma_layout"))
    tenth = split(music, DataRecipe(scheme="paper"))
    assert len(tenth.of("validation")) == round(len(music.clips) / 10)
    other = split(music, DataRecipe(scheme="paper", split_seed=1))
    assert {c.path for c in other.of("validation")} != {c.path for c in tenth.of("validation")}
    assert leaks(tenth)  # the paper's fault, named
    # Windows of one track never part.
    stretches = music.with_clips(
        tuple(replace(clip, offset=at, duration=3.0) for clip in music.clips for at in (0.0, 3.0))
    )
    sides = {(clip.path, clip.split) for clip in split(stretches, DataRecipe(scheme="paper")).clips}
    assert len(sides) == len(music.clips)


def test_fewer_clips_a_class_are_nested():
    data = read(recordings("wake_words"))
    whole = split(data, DataRecipe())
    kept = {}
    for limit in (2, 4, 40, 1000):
        done = split(data, DataRecipe(clips_per_class=limit))
        kept[limit] = {clip.path for clip in done.of("train")}
        counts = Counter(clip.label for clip in done.of("train"))
        assert counts == {
            label: min(limit, count) for label, count in Counter(c.label for c in whole.of("train")).items()
        }
        assert (done.of("test"), done.of("validation")) == (whole.of("test"), whole.of("validation"))
        assert len(done.clips) == len(data.clips)
    assert kept[2] < kept[4] < kept[40] < kept[1000] == {clip.path for clip in whole.of("train")}


def test_a_split_travels_in_a_file(tmp_path):
    data = read(recordings("esc10"))
    done = split(data, DataRecipe(scheme="group", split_seed=7, clips_per_class=5))
    write_split(done, tmp_path / "run" / "split.csv")
    given_file = split(data, DataRecipe(split_file=str(tmp_path / "run" / "split.csv")))
    assert [clip.split for clip in given_file.clips] == [clip.split for clip in done.clips]
    assert split(data, DataRecipe(split_file=str(tmp_path / "run"))) == given_file
    moved = replace(
        data,
        root=Path("/other"),
        clips=tuple(replace(c, path=Path("/other") / c.path.relative_to(data.root)) for c in data.clips),
    )
    assert [c.split for c in split(moved, DataRecipe(split_file=str(tmp_path / "run"))).clips] == [
        c.split for c in done.clips
    ]
    with pytest.raises(FileNotThere, match=r"split\.csv"):
        read_split(data, tmp_path / "none")


@given(
    st.lists(
        st.tuples(st.text(min_size=1), st.text(), st.floats(0, 1e6), st.sampled_from(["train", "test", None])),
        max_size=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_name_survives_the_file(tmp_path_factory, rows):
    """Quotes, commas, line ends, names that are no UTF-8, the same stretch twice."""
    root = tmp_path_factory.mktemp("s")
    clips = []
    for name, member, offset, side in rows:
        name = os.fsdecode(name.encode("utf-8", "surrogatepass")).replace("\0", "").strip("/.") or "x"
        clips.append(
            Clip(root / name, "l\n", "g,", side, offset=offset, member=member.encode("utf-8", "replace").decode())
        )
    data = DataSet("d", root, "folders", "sound", "convnet", tuple(clips))
    write_split(data, root / "split.csv")
    bare = data.with_clips(tuple(replace(clip, split=None) for clip in clips))
    assert read_split(bare, root / "split.csv") == data


def test_a_split_of_other_data_is_refused(tmp_path):
    data = split(made([(label, f"{label}{i}") for label in "ab" for i in range(10)]), DataRecipe())
    path = tmp_path / "split.csv"
    write_split(data, path)
    with pytest.raises(Unusable, match=r"lists 3 clips .* the first is 0017\.wav"):
        read_split(data.with_clips(data.clips[:-3]), path)
    with pytest.raises(Unusable, match=r"nothing of 1 of the 21 clips .* the first is new\.wav"):
        read_split(data.with_clips((*data.clips, Clip(Path("/data/new.wav"), "label a", "n"))), path)
    lines = path.read_text().splitlines()
    for broken, message in (
        (["path,label", "a.wav,b"], "lacks the column 'split'"),
        (
            [
                lines[0],
                lines[1].replace("train", "training").replace("validation", "training").replace("test", "training"),
            ],
            "line 2",
        ),
        ([lines[0], "0000.wav,,soon,a,b,,train"], "offset"),
        ([lines[0], '"0000.wav,,0'], "no CSV"),
        ([], "lacks the column"),
    ):
        path.write_text("\n".join(broken) + "\n")
        with pytest.raises(Unusable, match=message):
            read_split(data, path)


def test_copies_become_one_group_also_through_a_third():
    data = made([("a", "3"), ("a", "1"), ("b", "2"), ("b", "4"), ("a", "3"), ("b", "5")])
    merged = merge_groups(data, [(0, 1), (2, 1), (3,)])
    assert [clip.group for clip in merged.clips] == ["group 1"] * 3 + ["group 4", "group 1", "group 5"]
    backwards = data.with_clips(data.clips[::-1])
    assert [clip.group for clip in merge_groups(backwards, [(4, 3), (5, 4)]).clips[::-1]] == [
        c.group for c in merged.clips
    ]
    assert merge_groups(data, []) == data


@given(st.lists(st.lists(st.integers(0, 29), min_size=1, max_size=4), max_size=20))
@settings(max_examples=100, deadline=None)
def test_merging_is_the_components_of_a_graph(copies):
    """Against a flood fill over the graph of copies."""
    data = made([(0, i // 2) for i in range(30)])
    merged = merge_groups(data, copies)
    sets = [set(groups_of([data.clips[i] for i in places])) for places in copies] + [{c.group} for c in data.clips]
    for clip, was in zip(merged.clips, data.clips, strict=True):
        reached = {was.group}
        while (more := set().union(reached, *(s for s in sets if s & reached))) != reached:
            reached = more
        assert clip.group == min(reached)


def test_a_chain_of_copies_costs_no_recursion():
    data = made([(0, i) for i in range(5000)])
    assert len(groups_of(merge_groups(data, [(i, i + 1) for i in reversed(range(4999))]).clips)) == 1


def test_leaks_are_named():
    data = made([("a", "x"), ("a", "x"), ("b", "y"), ("b", "z"), ("b", "y")])
    sides = ("train", "test", "train", "test", "train")
    leaking = data.with_clips(tuple(replace(c, split=s) for c, s in zip(data.clips, sides, strict=True)))
    (leak,) = leaks(leaking)
    assert (leak.kind, leak.severity) == ("leak", "error")
    assert leak.paths == (data.clips[0].path, data.clips[1].path)
    assert all(word in leak.message for word in ("'group x'", "train", "test", "0000.wav", "0001.wav"))
    assert leaks(data) == []
    folds = data.with_clips(tuple(replace(c, fold=i % 2) for i, c in enumerate(data.clips)))
    assert [problem.message.split("'")[1] for problem in leaks(folds)] == ["group x"]
    for name in ("esc10", "libri_vctk_layout", "debian_voices", "wake_words"):
        assert leaks(read(recordings(name))) == []


@pytest.mark.parametrize(
    "how",
    [
        {"validation_share": 0.0},
        {"validation_share": 0.6, "test_share": 0.4},
        {"test_share": -0.1},
        {"validation_share": float("nan")},
        {"folds": 1},
        {"clips_per_class": -1},
    ],
)
def test_numbers_that_cannot_be_are_refused(how):
    with pytest.raises(Unusable, match=next(iter(how))):
        split(made([("a", 1), ("a", 2)]), DataRecipe(**how))


def test_settings_reach_the_split():
    recipe = with_settings(
        default_recipe("sound", "convnet"), ["data.scheme=folds", "data.fold=3", "data.clips_per_class=10"]
    )
    assert (recipe.data.scheme, recipe.data.fold, recipe.data.clips_per_class) == ("folds", 3, 10)
    with pytest.raises(Unusable, match="paper"):
        with_settings(recipe, ["data.scheme=papers"])


def test_the_same_split_in_another_process_and_without_torch(tmp_path):
    """Hashes of strings change from process to process; workers must not pay for torch."""
    program = """
import sys
from types import SimpleNamespace
from pathlib import Path
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.splits import split
clips = tuple(Clip(Path(f"{i}.wav"), f"l{i % 7}", f"g{i % 40}") for i in range(300))
shares = dict(validation_share=0.1, test_share=0.1, split_seed=0, clips_per_class=9, held_out=2)
how = SimpleNamespace(scheme="auto", split_file="", folds=0, fold=1, **shares)
done = split(DataSet("d", Path(), "f", "sound", "convnet", clips), how)
print("".join((clip.split or "-")[:2] for clip in done.clips))
print("torch" in sys.modules, "sklearn" in sys.modules)
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "12345")
    }
    assert len(said) == 1
    assert said.pop().endswith("False False\n")


def test_a_hundred_thousand_clips_take_seconds():
    import time

    data = made([(i % 300, i // 3) for i in range(100_000)])
    began = time.process_time()
    done = split(data, DataRecipe())
    assert time.process_time() - began < 20
    assert labels_of(done.of("test")) == labels_of(data.clips)
