"""Lists of trials: read, written, refused; speakers held out; and a net that is asked by them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.train.test_evaluation import Steady, data_of, subject_of
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.data.cache import Store
from xfer.train.data.clips import Clip
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.splits import listed_in, read_split, split, trained_classes, write_split
from xfer.train.evaluation.choosing import choose, find_cohort, new_trials, only_listed
from xfer.train.evaluation.evaluate import evaluate
from xfer.train.evaluation.subject import Answers
from xfer.train.evaluation.trials import MOST_PAIRS, Trials, read_trials, some_pairs, write_trials


def clips_of(root: Path, speakers: int = 4, each: int = 5) -> tuple[Clip, ...]:
    return tuple(
        Clip(root / f"id{s}" / "talk" / f"{s}{k}.wav", f"id{s}", f"{s}{k}")
        for s in range(speakers)
        for k in range(each)
    )


def listed(tmp_path: Path, *lines: str, end: str = "\n") -> Path:
    path = tmp_path / "trials.txt"
    path.write_text(end.join(lines) + end)
    return path


@pytest.mark.parametrize(
    "lines",
    [
        ("1 id0/talk/00.wav id0/talk/03.wav", "0 id0/talk/00.wav id2/talk/21.wav"),
        ("1\tid0/talk/00.wav\tid0/talk/03.wav", "", "0\t./id0/talk/00.wav\t id2/talk/21.wav ", ""),
        ("1 00 03.wav", "0 00.wav id2/talk/21.wav"),
    ],
    ids=["VoxCeleb's", "tabs and empty lines", "file names"],
)
def test_a_list_is_read(tmp_path, lines):
    for end in ("\n", "\r\n"):
        found = read_trials(listed(tmp_path, *lines, end=end), clips_of(tmp_path), tmp_path)
        assert (found.one.tolist(), found.other.tolist(), found.same.tolist()) == ([0, 0], [3, 11], [True, False])


GOOD = "1 00.wav 01.wav"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 00.wav", "line 2 is no trial"),
        ("2 00.wav 10.wav", "line 2 is no trial"),
        ("target 00.wav 10.wav", "line 2 is no trial"),
        ("0 00.wav 10.wav 20.wav", "line 2 is no trial"),
        ("0 00.wav id1/talk/1O.wav", r"line 2: .*no usable clip 'id1/talk/1O.wav': did you mean 'id1/talk/1\d.wav'"),
        ("0 00.wav q", r"line 2: .*no usable clip 'q': .*called like 'id"),
        ("1 00.wav 10.wav", "line 2 says 1, but the data set has its clips as 'id0' and 'id1'"),
        ("0 00.wav 02.wav", "line 2 says 0, but"),
        ("1 00.wav 00.wav", "line 2 is a clip with itself"),
        ("1 00.wav 02.wav", "only trials of one speaker"),
    ],
)
def test_what_is_wrong_with_a_list_is_named_with_its_line(tmp_path, line, says):
    with pytest.raises(Unusable, match=says):
        read_trials(listed(tmp_path, GOOD, line), clips_of(tmp_path), tmp_path)


def test_lists_that_are_none(tmp_path):
    clips = clips_of(tmp_path)
    with pytest.raises(FileNotThere, match="--write-trials"):
        read_trials(tmp_path / "nothing.txt", clips, tmp_path)
    with pytest.raises(FileNotThere):
        read_trials(tmp_path, clips, tmp_path)
    with pytest.raises(Unusable, match="has no trial"):
        read_trials(listed(tmp_path, ""), clips, tmp_path)
    with pytest.raises(Unusable, match="only trials of two"):
        read_trials(listed(tmp_path, "0 00.wav 10.wav"), clips, tmp_path)
    (tmp_path / "trials.txt").write_bytes(bytes(range(256)))
    with pytest.raises(Unusable, match="line 1 is no trial"):
        read_trials(tmp_path / "trials.txt", clips, tmp_path)


def test_a_file_name_that_two_clips_share_must_be_told_apart(tmp_path):
    clips = (Clip(tmp_path / "a" / "1.wav", "a", "a"), Clip(tmp_path / "b" / "1.wav", "b", "b"))
    with pytest.raises(Unusable, match=r"line 1: 2 clips are called '1\.wav'"):
        read_trials(listed(tmp_path, "0 1.wav a/1.wav"), clips, tmp_path)


@pytest.mark.parametrize("folder", ["id0", "a name with blanks", "ünïcode"])
def test_what_is_written_is_read_back(tmp_path, folder):
    clips = tuple(Clip(tmp_path / folder / str(k % 3) / f"{k}.wav", f"id{k % 3}", "") for k in range(9))
    trials = Trials(np.array([0, 4, 2]), np.array([3, 8, 1]), np.array([True, False, False]))
    write_trials(tmp_path / "list.txt", trials, clips, tmp_path)
    found = read_trials(tmp_path / "list.txt", clips, tmp_path)
    assert all(np.array_equal(getattr(found, name), getattr(trials, name)) for name in ("one", "other", "same"))


def test_two_stretches_of_one_file_have_no_name_in_a_list(tmp_path):
    clips = tuple(Clip(tmp_path / "long.wav", "a", "a", offset=float(k)) for k in range(2)) + clips_of(tmp_path)
    with pytest.raises(Unusable, match="cannot name"):
        write_trials(tmp_path / "list.txt", Trials(*np.array([[0], [1]]), np.array([True])), clips, tmp_path)


def test_too_many_pairs_are_drawn_from():
    people = np.arange(3300) % 50
    assert MOST_PAIRS < 3300 * 3299 // 2
    found = some_pairs(people)
    assert found.targets == found.impostors == 50 * 100
    assert some_pairs(people[:100]).impostors == 100 * 99 // 2 - 50


def test_held_out_speakers_are_on_no_side_and_the_others_stand_as_without_them(tmp_path):
    data = data_of(clips_of(tmp_path, 12, 10), tmp_path, "speaker")
    how = DataRecipe(held_out=3, split_seed=5)
    placed = split(data, how)
    held = {clip.label for clip in placed.clips if clip.split is None}
    assert len(held) == 3
    assert [(clip.path, clip.label) for clip in placed.clips] == [(clip.path, clip.label) for clip in data.clips]
    rest = data.with_clips(tuple(clip for clip in data.clips if clip.label not in held))
    assert trained_classes(placed).clips == split(rest, DataRecipe(split_seed=5)).clips
    assert {clip.label for clip in split(data, DataRecipe(held_out=3, split_seed=6)).clips if not clip.split} != held
    # A run that is gone on with, and one that is given its split, hold the same out.
    write_split(placed, tmp_path / "split.csv")
    assert read_split(data, tmp_path / "split.csv").clips == placed.clips
    assert split(data, DataRecipe(split_file=str(tmp_path))).clips == placed.clips
    (tmp_path / "whole").mkdir()
    write_split(split(data, DataRecipe()), tmp_path / "whole" / "split.csv")
    other = split(data, DataRecipe(split_file=str(tmp_path / "whole"), held_out=3, split_seed=5))
    assert {clip.label for clip in other.clips if clip.split is None} == held
    for scheme in ("group", "folds", "paper"):
        other = split(data, DataRecipe(held_out=3, scheme=scheme, split_seed=5))
        assert {clip.label for clip in other.clips if clip.split is None} == held
    # Neither is a class lost of which few clips train, nor one found again.
    few = split(data, DataRecipe(held_out=3, split_seed=5, clips_per_class=1))
    assert set(trained_classes(few).labels) == set(data.labels) - held


@pytest.mark.parametrize("count", [-1, 1, 11, 12, 40])
def test_so_many_cannot_be_held_out(tmp_path, count):
    with pytest.raises(Unusable, match=r"data\.held_out"):
        split(data_of(clips_of(tmp_path, 12, 4), tmp_path, "speaker"), DataRecipe(held_out=count))


@pytest.fixture
def scene(tmp_path):
    """Six speakers, two of them held out of the run; a net whose embedding says who speaks."""
    clips = clips_of(tmp_path, 6, 10)
    data = data_of(clips, tmp_path, "speaker")
    placed = split(data, DataRecipe(held_out=2))
    held = {clip.label for clip in placed.clips if clip.split is None}
    write_split(placed, tmp_path / "split.csv")
    waves = Steady({clip.path.name: float(clip.label[2:]) for clip in clips})
    known = tuple(sorted(set(data.labels) - held))

    def answer(windows):
        people = np.eye(6, dtype=np.float32)[windows[:, 0].astype(int)]
        return Answers(people[:, [int(label[2:]) for label in known]], people + 0.1)

    return data, held, waves, subject_of(known, answer, "speaker", "set", tmp_path)


def test_an_evaluation_asks_the_test_side_and_verifies_whom_it_never_heard(scene):
    data, held, waves, subject = scene
    clips, side = choose(data, subject, "auto")
    tested = [clip for clip in listed_in(data, data.root / "split.csv").clips if clip.split == "test"]
    assert {clip.path for clip in clips} == {clip.path for clip in data.clips if clip.label in held} | {
        clip.path for clip in tested
    }
    assert "2 speakers that it never heard" in side
    found = evaluate(subject, data, clips, waves, side)
    assert found.clip_accuracy == 1.0
    assert found.verification.cosine.eer == 0.0
    assert found.verification.targets + found.verification.impostors == 20 * 19 // 2
    assert not found.verification.listed
    assert choose(data, subject, "test")[0] == tested  # a side that is asked for is that side


def test_a_list_of_trials_is_all_that_is_asked(scene, tmp_path):
    data, held, waves, subject = scene
    clips, _ = choose(data, subject, "auto")
    pairs, strangers = new_trials(clips, subject)
    assert {clip.label for clip in strangers} == held
    write_trials(tmp_path / "list.txt", pairs, strangers, data.root)
    found, asked = only_listed(read_trials(tmp_path / "list.txt", data.clips, data.root), data.clips)
    told = evaluate(subject, data, asked, waves, "listed", trials=found)
    assert told.verification.listed
    assert told.clip_accuracy is None
    assert (told.verification.targets, told.clips) == (pairs.targets, len(asked))
    assert told.to_json()["eer"] == 0.0
    with pytest.raises(Unusable, match="held_out"):
        new_trials([clip for clip in clips if clip.label not in held], subject)


class Telling:
    """Counts what is heard of the cohort."""

    def __init__(self):
        self.most = 0

    def __call__(self, what, done, of):
        self.most = of


def test_the_cohort_is_who_was_trained_on_and_in_no_trial(scene, monkeypatch):
    data, held, waves, subject = scene
    monkeypatch.setattr("xfer.train.evaluation.choosing.Waves", lambda rate, store: waves)
    strangers = [clip for clip in data.clips if clip.label in held]
    with Store() as store:
        cohort, why = find_cohort(subject, data, strangers, store, Telling())
        assert (len(cohort.embeddings), cohort.name, why) == (4, "set", "")
        alone, _ = find_cohort(subject, data, data.clips, store, Telling(), listed=True)
        assert alone is None  # all speakers are in trials
        assert find_cohort(subject, data, strangers, store, Telling(), top=0) == (None, "")
        other = data_of(clips_of(data.root, 6, 10), data.root, "speaker")
        tell = Telling()
        found, _ = find_cohort(subject, data, strangers, store, tell, other=other, top=3)
        assert (len(found.embeddings), found.nearest, tell.most) == (4, 3, 40)
        without = data_of(strangers, data.root, "speaker")
        none, why = find_cohort(subject, without, strangers, store, Telling())
        assert none is None
        assert "--cohort" in why
        with pytest.raises(Unusable, match="no spread"):
            find_cohort(subject, data, strangers, store, Telling(), top=1)
