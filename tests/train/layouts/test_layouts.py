"""One question over all layouts: is the official form recognised by its own marks, and read as it says?"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from tests.recordings import recordings
from tests.train.layouts.trees import TEN, TREES, Tree, esc, sound
from xfer.runtime.audio import decode
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.data.layouts import LAYOUTS, TASK_NETS, describe, read
from xfer.train.data.layouts.registry import Found


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Each tree is built once."""
    done: dict[Tree, Path] = {}

    def build(tree: Tree) -> Path:
        if str(tree) not in done:
            root = tmp_path_factory.mktemp("tree") / "data"
            root.mkdir()
            tree.build(root)
            done[str(tree)] = root
        return done[str(tree)]

    return build


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_official_form(tree, built):
    data = read(built(tree))
    assert (data.layout, data.task, data.net) == (tree.layout, tree.task, tree.net)
    assert data.counts() == tree.labels
    assert len({clip.group for clip in data.clips}) == tree.groups
    assert Counter(clip.split for clip in data.clips) == tree.sides
    assert len({(clip.path, clip.offset) for clip in data.clips}) == len(data.clips)
    assert len(data.problems) == len(tree.noted), data.problems
    assert all(part in problem.message for part, problem in zip(tree.noted, data.problems, strict=True))


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_every_clip_is_a_stretch_of_a_real_recording(tree, built):
    for clip in read(built(tree)).clips:
        heard = decode(clip.path)
        assert clip.offset + (clip.duration or 0.1) <= heard.seconds + 0.05, clip


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_marks_are_exclusive(tree, built):
    mine = [layout.name for layout in LAYOUTS.values() if not layout.last_resort and layout.recognise(built(tree))]
    assert mine == ([] if tree.layout == "folders" else [tree.layout])


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_forced_by_name(tree, built):
    assert read(built(tree), layout=tree.layout).clips == read(built(tree)).clips
    other = read(built(tree), layout=tree.layout, task="own", net="densenet")
    assert (other.task, other.net) == ("own", "densenet")


def test_every_layout_has_a_tree_a_net_and_marks():
    tested_apart = {"webdataset"}  # its tree is made by what writes shards
    assert {tree.layout for tree in TREES} == set(LAYOUTS) - tested_apart
    assert {layout.task for layout in LAYOUTS.values()} <= set(TASK_NETS)
    assert [name for name, _ in describe()][-1] == "folders"
    assert all(marks for _, marks in describe())


@pytest.mark.parametrize(
    ("name", "layout", "task", "net", "clips", "classes"),
    [
        ("libri_vctk_layout", "vctk", "speaker", "rawnet2", 362, 80),
        ("tts_vctk_layout", "vctk", "speaker", "rawnet2", 96, 16),
        ("esc10", "esc10", "sound", "convnet", 320, 10),
        ("music_fma_layout", "fma", "genre", "convnet", 215, 7),
        ("spoken_digits", "speech_commands", "command", "convnet", 640, 10),
        ("wake_words", "speech_commands", "command", "convnet", 480, 6),
        ("debian_voices", "folders", "sound", "convnet", 700, 28),
        ("urbansound8k_mini", "urbansound8k", "sound", "convnet", 10, 10),
    ],
)
def test_real_recordings(name, layout, task, net, clips, classes):
    data = read(recordings(name))
    assert (data.layout, data.task, data.net) == (layout, task, net)
    assert (len(data.clips), len(data.labels)) == (clips, classes)
    assert all(clip.path.is_file() for clip in data.clips)
    assert not data.problems


def test_published_splits_are_kept():
    digits = read(recordings("spoken_digits"))
    listed = set((digits.root / "testing_list.txt").read_text().split())
    assert {clip.path.relative_to(digits.root).as_posix() for clip in digits.of("test")} == listed
    assert not {clip.group for clip in digits.of("test")} & {clip.group for clip in digits.of("train")}
    with (digits.root / "speakers.csv").open() as rows:  # by name: an independent witness of what a group is
        speakers = {row["path"]: row["speaker"] for row in csv.DictReader(rows)}
    named = {(clip.group, speakers[clip.path.relative_to(digits.root).as_posix()]) for clip in digits.clips}
    assert len(named) == len(set(speakers.values()))


def test_the_highest_fold_is_tested_and_the_next_validates():
    data = read(recordings("esc10"))
    with (data.root / "meta/esc50.csv").open() as rows:
        folds = {row["filename"]: int(row["fold"]) for row in csv.DictReader(rows)}
    sides = {1: "train", 2: "train", 3: "validation", 4: "test"}
    assert {clip.path.name: (clip.fold, clip.split) for clip in data.clips} == {
        name: (fold, sides[fold]) for name, fold in folds.items()
    }


def test_esc10_of_a_whole_esc50_and_the_former_name(built):
    fifty = built(next(tree for tree in TREES if tree.layout == "esc50"))
    assert read(fifty, layout="esc10").counts() == {"dog": 5, "rooster": 5}
    assert read(fifty, layout="esc10").problems == ()
    assert read(fifty, layout="esc").clips == read(fifty).clips


@pytest.mark.parametrize(("folds", "sides"), [((3,), {3: None}), ((2, 7), {2: None, 7: "test"})])
def test_fewer_than_three_folds_leave_what_is_missing_to_be_drawn(tmp_path, folds, sides):
    esc(*TEN)(tmp_path)
    table = tmp_path / "meta/esc50.csv"
    lines = table.read_text().splitlines()
    kept = [line for line in lines if line[0] in "12"][: 2 * len(folds)]
    renamed = {"1": folds[0], "2": folds[-1]}
    table.write_text(
        "\n".join([lines[0], *(line.replace(f",{line[0]},", f",{renamed[line[0]]},", 1) for line in kept)])
    )
    data = read(tmp_path)
    assert {clip.fold: clip.split for clip in data.clips} == sides
    assert any("three would" in note for note in data.notes)


def test_vctk_takes_one_microphone_and_the_second_where_there_is_no_other(built):
    data = read(built(next(tree for tree in TREES if tree.variant == "0.92")))
    assert sorted(clip.path.stem for clip in data.clips if clip.label == "p315") == ["p315_001_mic1", "p315_002_mic2"]
    assert sum(clip.path.stem.endswith("_mic1") for clip in data.clips) == 5
    assert any("p315" in note for note in data.notes)


def test_vctk_utterances_of_two_speakers_may_have_one_name(tmp_path):
    for speaker in ("p1", "p2"):
        sound(tmp_path / "wav48" / speaker / "001.wav")
    data = read(tmp_path)
    assert data.counts() == {"p1": 1, "p2": 1}
    assert len({clip.group for clip in data.clips}) == 2


def test_speech_commands_background_is_no_class(built):
    data = read(built(next(tree for tree in TREES if tree.variant == "v2")))
    assert [path.name for path in data.background] == ["running_tap.wav"]
    assert {clip.group for clip in data.of("test")} == {"0c40e715"}


def test_gtzan_copies_share_a_group(built):
    data = read(built(next(tree for tree in TREES if tree.variant == "au")))
    groups = {clip.path.stem: clip.group for clip in data.clips}
    assert groups["disco.00050"] == groups["disco.00051"] == groups["disco.00070"]
    assert groups["metal.00058"] == groups["rock.00016"] != groups["metal.00059"]


def test_gtzan_has_the_fifty_copies_that_were_counted():
    # Sturm 2012: 50 exact replicas, one of them in two classes. A group of n is n - 1 of them.
    from xfer.train.data.layouts.gtzan import COPIES

    assert sum(len(group) - 1 for groups in COPIES.values() for group in groups) + 1 == 50
    for groups in COPIES.values():
        numbers = [number for group in groups for number in group]
        assert len(numbers) == len(set(numbers))


def test_emomusic_values_are_ninths_of_the_scale(built):
    data = read(built(next(tree for tree in TREES if str(tree) == "emomusic-plain")))
    assert data.value_names == ("arousal", "valence")
    values = {clip.path.stem: clip.values for clip in data.clips}
    # FACTS.md: the first row of Choi's table is 0.344444444444, 0.333333333333
    assert values["2"] == pytest.approx((0.344444444444, 0.333333333333), abs=1e-11)
    songs = read(built(next(tree for tree in TREES if str(tree) == "emomusic-songs")))
    groups = {clip.path.stem: clip.group for clip in songs.clips}
    assert groups["2"] == groups["3"] != groups["5"]
    assert [clip.path.stem for clip in songs.of("test")] == ["4"]


def test_jamendo_stretches_cover_the_song(built):
    data = read(built(next(tree for tree in TREES if str(tree) == "jamendo-lists")))
    song = [clip for clip in data.clips if clip.group == "05 - Été"]
    assert [(clip.offset, clip.duration, clip.label) for clip in song] == [
        (0.0, 0.25, "nosing"),
        (0.25, 0.5, "sing"),
        (0.75, 0.25, "nosing"),
    ]


def test_one_subset_of_librispeech_alone(built):
    root = built(next(tree for tree in TREES if str(tree) == "librispeech-inside"))
    data = read(root / "dev-clean")
    assert (data.layout, data.counts()) == ("librispeech", {"84": 4})


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_manifest_says_all_of_a_clip(kind, built):
    root = built(next(tree for tree in TREES if str(tree) == f"manifest-{kind}"))
    data = read(root)
    assert data.value_names == ("height",)
    first = data.clips[0]
    assert (first.path, first.label, first.group, first.split) == (root / "a/1.wav", "tall", "x", "train")
    assert (first.fold, first.offset, first.duration, first.values) == (1, 0.5, 0.25, (3.5,))
    assert (data.clips[2].offset, data.clips[2].duration) == (0.0, None)
    file = read(root / f"manifest.{kind}")
    assert file.clips == data.clips
    assert (file.root, file.name) == (root, "manifest")


def test_a_manifest_wins_over_other_marks(built, tmp_path):
    esc(*TEN)(tmp_path)
    (tmp_path / "manifest.csv").write_text("label,path\nbark,audio/1-1010-A-0.wav\n")
    data = read(tmp_path)
    assert (data.layout, data.task, data.labels) == ("manifest", "sound", ("bark",))
    assert data.clips[0].group == "audio/1-1010-A-0.wav"
    assert read(tmp_path, layout="esc10").layout == "esc10"


def test_a_list_of_files_splits_what_no_layout_does():
    data = read(recordings("debian_voices"))
    with (data.root / "files.csv").open() as rows:
        listed = {row["path"]: row["split"].replace("val", "validation") for row in csv.DictReader(rows)}
    assert {clip.path.relative_to(data.root).as_posix(): clip.split for clip in data.clips} == listed
    assert "the split is the one of files.csv" in data.notes


def test_missing_foreign_and_misnamed(tmp_path):
    with pytest.raises(FileNotThere):
        read(tmp_path / "none")
    with pytest.raises(FileNotThere):
        read(tmp_path / ("long" * 100))
    with pytest.raises(Unusable, match="no data set"):
        read(tmp_path)
    with pytest.raises(Unusable, match="did you mean 'vctk'"):
        read(tmp_path, layout="vctkk")
    with pytest.raises(Unusable, match="is a file"):
        read(sound(tmp_path / "x.wav"))
    with pytest.raises(Unusable, match="is a file"):
        read(tmp_path / "x.wav", layout="folders")


def test_a_found_without_a_clip_is_refused_with_its_reason(tmp_path):
    sound(tmp_path / "loose.wav")
    with pytest.raises(Unusable, match="lie in no class's folder"):
        read(tmp_path, layout="folders")
    assert Found([]).problems == ()
