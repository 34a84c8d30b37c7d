"""Everything that is wrong with a data set is named, once, with its recording; what is right is left alone."""

import numpy as np
import pytest
import soundfile

from tests.recordings import recordings
from xfer.runtime.audio import decode
from xfer.runtime.errors import Unusable
from xfer.train.data.cache import Store
from xfer.train.data.check import check
from xfer.train.data.layouts import read

RATE = 16000


def noise(number: int, seconds: float = 1.0) -> np.ndarray:
    """A sound like no other: noise bursts whose rhythm and colour come from the number."""
    rng = np.random.default_rng(number)
    count = int(seconds * RATE)
    bursts = np.repeat(rng.uniform(0.05, 0.5, count // 800 + 1), 800)[:count]
    return (bursts * np.convolve(rng.normal(0, 0.5, count), rng.normal(0, 1, 8), "same") / 4).clip(-0.95, 0.95)


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "cache") as opened:
        yield opened


def checked(root, store, **more):
    found = check(read(root), store, **more)
    return found, list(found.facts)


def kinds(found):
    return {
        (problem.kind, path.relative_to(found.data.root).as_posix())
        for problem in found.problems
        for path in problem.paths
    }


@pytest.fixture
def root(tmp_path):
    for number in range(12):
        write(tmp_path / "data" / "ab"[number % 2] / f"{number}.wav", noise(number))
    return tmp_path / "data"


def test_a_sound_data_set_has_no_problems(root, store):
    found, facts = checked(root, store)
    assert found.problems == ()
    assert [round(each.seconds, 6) for each in facts] == [1.0] * 12
    assert found.usable().clips == found.data.clips


def test_each_fault_is_named_with_its_recording(root, store):
    (root / "a" / "text.wav").write_text("no recording\n")
    (root / "a" / "empty.wav").touch()
    write(root / "a" / "silent.wav", np.zeros(RATE))
    write(root / "b" / "short.wav", noise(50, 0.05))
    write(root / "b" / "square.wav", np.where(np.arange(RATE) // 37 % 2, 0.9999, -1.0))
    cut = write(root / "b" / "cut.wav", noise(51, 3.0))
    cut.write_bytes(cut.read_bytes()[:40000])
    write(root / "B " / "other.wav", noise(52))
    found, _ = checked(root, store)
    assert kinds(found) == {
        ("unreadable", "a/text.wav"),
        ("empty", "a/empty.wav"),
        ("silent", "a/silent.wav"),
        ("short", "b/short.wav"),
        ("clipped", "b/square.wav"),
        ("truncated", "b/cut.wav"),
        ("few", "B /other.wav"),
        ("label", "B /other.wav"),
        ("label", "b/1.wav"),
    }
    assert [problem.severity for problem in found.problems] == sorted(problem.severity for problem in found.problems)
    for problem in found.problems:
        if problem.kind not in ("few", "label"):
            assert str(problem.paths[0]) in problem.message
    left = {clip.path.name for clip in found.data.clips} - {clip.path.name for clip in found.usable().clips}
    assert left == {"text.wav", "empty.wav", "silent.wav", "short.wav"}


def test_copies_become_one_group_and_contradicting_labels_are_told(root, store):
    first, second = decode(root / "a" / "0.wav").samples, decode(root / "a" / "2.wav").samples
    write(root / "a" / "again.wav", first / 2)
    write(root / "b" / "wrong.wav", np.concatenate([np.zeros(700), second[:-700]]))
    found, _ = checked(root, store)
    assert kinds(found) == {
        ("duplicate", "a/0.wav"),
        ("duplicate", "a/again.wav"),
        ("duplicate", "a/2.wav"),
        ("duplicate", "b/wrong.wav"),
    }
    told = {problem.paths[0].name: problem.message for problem in found.problems}
    assert "2 labels (a, b)" in told["2.wav"]
    groups = {clip.path.name: clip.group for clip in found.data.clips}
    assert groups["0.wav"] == groups["again.wav"] != groups["2.wav"] == groups["wrong.wav"]


def test_equal_files_are_copies_even_where_a_sound_could_not_tell(root, store):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    for name in ("a/tone.wav", "b/tone.wav"):
        write(root / name, tone)
    write(root / "b" / "other.wav", 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE + 500) / RATE))
    found, _ = checked(root, store)
    assert kinds(found) == {("duplicate", "a/tone.wav"), ("duplicate", "b/tone.wav")}


def test_copies_on_both_sides_of_a_published_split_are_a_leak(root, store):
    write(root / "a" / "copy.wav", 0.4 * decode(root / "a" / "0.wav").samples)
    rows = [
        f"{path.relative_to(root).as_posix()},{'test' if path.stem in ('copy', '3') else 'train'}"
        for path in sorted(root.rglob("*.wav"))
    ]
    (root / "files.csv").write_text("\n".join(["path,split", *rows]) + "\n")
    found, _ = checked(root, store)
    assert ("leak", "a/copy.wav") in kinds(found)
    assert ("leak", "a/0.wav") in kinds(found)
    assert "a/3.wav" not in {path for kind, path in kinds(found) if kind == "leak"}


def test_a_file_that_vanishes_between_listing_and_decoding_is_left_out(root, store):
    data = read(root)
    (root / "a" / "0.wav").unlink()
    found = check(data, store)
    assert kinds(found) == {("unreadable", "a/0.wav")}
    assert len(found.usable().clips) == 11


def test_where_nothing_can_be_used_the_first_reason_is_told(tmp_path, store):
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "x.wav").write_text("no recording\n")
    found = check(read(tmp_path / "data"), store)
    with pytest.raises(Unusable, match=r"none of its 2 recordings can be used; the first: .*x\.wav"):
        found.usable()


def test_a_second_look_decodes_nothing_and_finds_the_same(root, store):
    write(root / "a" / "again.wav", decode(root / "a" / "0.wav").samples / 2)
    (root / "b" / "text.wav").write_text("no recording\n")
    first, facts = checked(root, store)
    told = []
    second, again = checked(root, store, progress=lambda what, done, of: told.append((what, done, of)))
    assert next(each for each in told if each[0] == "decoding") == ("decoding", 13, 14)  # the text is looked at again
    assert second.problems == first.problems
    assert again == facts


@pytest.mark.parametrize("name", ["libri_vctk_layout", pytest.param("spoken_digits", marks=pytest.mark.slow)])
def test_real_recordings_that_are_right_have_no_faults(name, store):
    root = recordings(name)
    found, facts = checked(root, store)
    assert {problem.kind for problem in found.problems} <= {"few", "duplicate", "leak"}
    assert all(each.fault is None for each in facts)
    assert found.usable().clips == found.data.clips
