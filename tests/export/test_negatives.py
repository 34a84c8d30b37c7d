"""Which clips count as sound that holds none of a model's labels, and which never may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.export.nets import LABELS, RATE, WINDOW, small_checkpoint
from tests.recordings import recordings
from xfer.export.clips import Recordings
from xfer.export.negatives import BACKGROUND, HELD_OUT, given, of_run
from xfer.export.threshold import ask
from xfer.export.unknown import MOST
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.checkpoint import Checkpoint
from xfer.train.data.clips import SPLITS, Clip, DataSet
from xfer.train.data.layouts import read
from xfer.train.data.waves import Waves


def knows(folder: Path, labels: Sequence[str] = LABELS, **recipe: dict[str, object]) -> Checkpoint:
    """A checkpoint that knows these labels."""
    return replace(small_checkpoint(folder / "run"), labels=tuple(labels), recipe=recipe)


def folders(root: Path, clips: dict[str, int], seconds: float = 0.1) -> Path:
    """A folder a class with so many short recordings."""
    rng = np.random.default_rng(0)
    for label, count in clips.items():
        (root / label).mkdir(parents=True)
        for k in range(count):
            soundfile.write(root / label / f"{k:03}.wav", rng.normal(0, 0.1, round(seconds * RATE)), RATE)
    return root


def paths(clips: Sequence[Clip]) -> set[Path]:
    return {clip.path for clip in clips}


def test_labels_that_the_model_knows_are_left_out_however_they_are_written(tmp_path: Path) -> None:
    data = folders(tmp_path / "data", {"Hip-Hop": 4, "hip hop ": 0, "HIP_HOP": 3, "jazz": 5, "hop": 6})
    (found,) = given([data], knows(tmp_path, ("hip hop", "rock")), None, 0.05)
    assert {clip.label for clip in found.clips} == {"jazz", "hop"}
    assert found.left_out[0] == "7 of a label that the model knows"
    with pytest.raises(Unusable, match=r"no clip that could be a negative \(18 of a label that the model knows\)"):
        given([data], knows(tmp_path, ("hip hop", "JAZZ", "hop")), None, 0.05)


def test_a_published_test_side_is_left_out(tmp_path: Path) -> None:
    root = recordings("wake_words")
    (found,) = given([root], knows(tmp_path), None, 0.5)
    listed = {root / line for line in (root / "testing_list.txt").read_text().split()}
    assert listed
    assert not paths(found.clips) & listed
    assert f"{len(listed)} of the test side" in found.left_out
    assert len(found.clips) == MOST
    counts = [sum(clip.label == label for clip in found.clips) for label in {clip.label for clip in found.clips}]
    assert max(counts) - min(counts) <= 1  # in turns from each label


def test_a_test_side_that_training_would_make_is_left_out(tmp_path: Path) -> None:
    data = folders(tmp_path / "data", {"jazz": 40, "pop": 40})
    (found,) = given([data], knows(tmp_path), None, 0.05)
    assert len(found.clips) == 72
    assert found.left_out == ("8 of the test side",)
    (again,) = given([data], knows(tmp_path), None, 0.05)
    assert again == found
    assert len(found.sha256) == 64


def test_what_the_model_was_trained_or_measured_on_is_left_out_under_any_name(tmp_path: Path) -> None:
    data = folders(tmp_path / "data" / "in", {"jazz": 10, "pop": 10})
    own = read(data)
    sides = ("train", "validation", "test", None)
    sided = tuple(replace(clip, split=sides[k % 4]) for k, clip in enumerate(own.clips))
    link = tmp_path / "other"
    link.symlink_to(tmp_path / "data")
    run = Recordings(own.with_clips(sided), Waves(RATE))
    (found,) = given([link], knows(tmp_path), run, 0.05)
    resolved = {path.resolve() for path in paths(found.clips)}
    assert resolved <= {clip.path for clip in sided if clip.split is None}
    assert any("of the model's own training" in reason for reason in found.left_out)


def test_loose_recordings_are_one_class(tmp_path: Path) -> None:
    folder = tmp_path / "noises"
    folder.mkdir()
    for k in range(3):
        soundfile.write(folder / f"{k}.wav", np.ones(100) * 0.1, RATE)
    (folder / "notes.txt").write_text("no sound")
    (found,) = given([folder], knows(tmp_path), None, 0.05)
    assert [clip.path.name for clip in found.clips] == ["0.wav", "1.wav", "2.wav"]
    assert found.source == "noises"


def test_two_data_sets_of_one_name_are_told_apart_and_one_twice_is_one(tmp_path: Path) -> None:
    one, two = folders(tmp_path / "a" / "noises", {"x": 4}), folders(tmp_path / "b" / "noises", {"y": 4})
    found = given([one, two, one], knows(tmp_path), None, 0.05)
    assert [each.source for each in found] == ["noises", "noises (2)"]


def test_what_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Unusable, match="empty"):
        given([tmp_path / "empty"], knows(tmp_path), None, 0.05)
    with pytest.raises(FileNotThere, match="nowhere"):
        given([tmp_path / "nowhere"], knows(tmp_path), None, 0.05)


@pytest.mark.parametrize(("target", "count", "needed"), [(0.05, 19, 20), (0.01, 99, 100)])
def test_too_few_are_refused_with_their_number(target: float, count: int, needed: int, tmp_path: Path) -> None:
    def numbered(count: int) -> Path:
        return folders(tmp_path / f"{count}", {f"{k}": 1 for k in range(count)}, 0.01)  # too few of each to split

    with pytest.raises(Unusable, match=f"{count}: {count} clips that hold no label, and {needed} are needed"):
        ask(knows(tmp_path), None, [numbered(count)], target)
    assert len(ask(knows(tmp_path), None, [numbered(needed)], target).negatives[0].clips) == needed


@pytest.mark.parametrize(("target", "hint"), [(5, "0.05 is 5 %"), (0, "0.05"), (-1, "0.05"), (0.6, "up to 0.5")])
def test_a_share_that_is_none(target: float, hint: str, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=hint):
        ask(knows(tmp_path), None, [], target)
    with pytest.raises(Unusable, match="no share"):
        ask(knows(tmp_path), None, [], float("nan"))


def run_with(tmp_path: Path, clips: tuple[Clip, ...], background: tuple[Path, ...] = ()) -> Recordings:
    return Recordings(DataSet("own", tmp_path, "folders", "sound", "", clips, background=background), Waves(RATE))


def sided(tmp_path: Path) -> tuple[Clip, ...]:
    return tuple(Clip(tmp_path / f"{side}{k}", "ada", "g", split=side) for side in SPLITS for k in (1, 2))


def test_of_the_run_held_out_classes_count_and_clips_that_were_only_not_used_do_not(tmp_path: Path) -> None:
    apart = tuple(Clip(tmp_path / f"x{k}", "stranger", "g") for k in range(3))
    unused = tuple(Clip(tmp_path / f"u{k}", "ada", "g") for k in range(3))  # beyond data.clips_per_class
    tested = Clip(tmp_path / "t", "stranger", "g", split="test")
    (found,) = of_run(knows(tmp_path), run_with(tmp_path, (*sided(tmp_path), *apart, *unused, tested)), 0.05)
    assert found.source == HELD_OUT
    assert found.clips == apart
    assert of_run(knows(tmp_path), None, 0.05) == []
    assert of_run(knows(tmp_path), run_with(tmp_path, sided(tmp_path)), 0.05) == []


def noises(tmp_path: Path, windows: int = 40) -> tuple[Path, ...]:
    found = []
    for name in ("fan", "street", "broken"):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, windows * WINDOW), RATE)
        found.append(path)
    found[2].write_text("no sound")
    return tuple(found)


@pytest.mark.parametrize(
    "windows", [{"background": "no", "short": "tile"}, {"background": "no", "short": "place"}, {"background": "yes"}]
)
def test_background_that_training_placed_its_clips_over_counts_only_where_it_validates(
    windows: dict[str, object], tmp_path: Path
) -> None:
    data = run_with(tmp_path, sided(tmp_path), noises(tmp_path))
    (found,) = of_run(knows(tmp_path, windows=windows, data={"split_seed": 3}), data, 0.05)
    assert found.source == BACKGROUND
    seconds = sum(clip.duration or 0 for clip in found.clips) / 2 * RATE / WINDOW  # windows of each of two recordings
    heard_in_training = windows != {"background": "no", "short": "tile"}
    assert seconds == pytest.approx(4 if heard_in_training else 36)  # a tenth validates, a tenth tests
    stretches = sorted((clip.path, clip.offset, clip.offset + (clip.duration or 0)) for clip in found.clips)
    assert all(a[0] != b[0] or a[2] <= b[1] + 1e-9 for a, b in pairwise(stretches))
    tested = (0.8 * 40 * WINDOW / RATE, 0.9 * 40 * WINDOW / RATE)  # the test side's, as `room.stretches` cuts it
    assert all(end <= tested[0] + 1e-9 or start >= tested[1] - 1e-9 for _, start, end in stretches)


def test_a_model_with_a_class_for_background_knows_it(tmp_path: Path) -> None:
    data = run_with(tmp_path, sided(tmp_path), noises(tmp_path))
    assert of_run(knows(tmp_path, (*LABELS, "background")), data, 0.05) == []
