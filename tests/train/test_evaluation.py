"""Rates against independent counts; a checkpoint and its exported file are asked by the same code."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip, DataSet
from xfer.train.evaluation.choosing import choose
from xfer.train.evaluation.evaluate import evaluate
from xfer.train.evaluation.rates import by_groups, wilson
from xfer.train.evaluation.subject import Answers, Subject
from xfer.train.metrics import per_class


class Steady:
    """Waves in which every clip is two windows of its own constant."""

    rate = 100

    def __init__(self, values):
        self.values = values

    def length(self, clip):
        return 20

    def window(self, clip, start, count):
        return np.full(count, self.values[clip.path.name], dtype=np.float32)


def subject_of(labels, answer, task="sound", trained_on="", tmp_path=None):
    from pathlib import Path

    return Subject(
        (tmp_path or Path("nowhere")) / "model.onnx", task, labels, 100, 10, "tile", trained_on, "none", "fp32", answer
    )


def data_of(clips, root, task="sound"):
    return DataSet("set", root, "folders", task, "convnet", tuple(clips))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_rates_of_each_class_are_sklearns(pairs):
    answer, truth = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    labels = tuple("abcde")
    found = per_class(answer, truth, labels)
    report = classification_report(
        truth, answer, labels=range(5), target_names=labels, output_dict=True, zero_division=0
    )
    assert set(found) == {labels[k] for k in set(truth)}
    for label, each in found.items():
        row = report[label]
        assert (each.recall, each.precision, each.f1, each.clips) == pytest.approx(
            (row["recall"], row["precision"], row["f1-score"], row["support"])
        )


def test_wilsons_interval_is_the_textbooks():
    low, high = wilson(8, 10)  # (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.96
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=2e-4)
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == 1.0


def test_an_interval_over_groups_is_wider_where_groups_agree_within():
    groups = np.repeat(np.arange(10), 20)
    same = np.repeat(np.arange(10) < 7, 20)
    rng = np.random.default_rng(0)
    mixed = rng.permutation(same)
    wide, narrow = by_groups(same, groups), by_groups(mixed, groups)
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])
    assert wide[0] < 0.7 < wide[1]


def test_clips_windows_and_groups_are_counted_apart(tmp_path):
    """Answers are wrong for one of three clips of group g; the mean over the group is right."""
    names = {"1": 0.0, "2": 0.0, "3": 1.0, "4": 1.0}
    labels = ("a", "b")
    clips = [Clip(tmp_path / name, "b" if name == "4" else "a", "h" if name == "4" else "g") for name in names]

    def answer(windows):
        wrong = windows[:, 0] > 0.5
        scores = np.where(wrong[:, None], [0.4, 0.6], [0.9, 0.1]).astype(np.float32)
        return Answers(scores, scores)

    found = evaluate(subject_of(labels, answer), data_of(clips, tmp_path), clips, Steady(names), "all")
    assert (found.clips, found.windows) == (4, 8)
    assert found.clip_accuracy == 0.75
    assert found.group_accuracy == 1.0
    assert found.per_class["b"].precision == 0.5
    assert found.to_json()["clip_accuracy_interval"][0] < 0.75
    assert "eer" not in found.to_json()
    assert "top_5_accuracy" not in found.to_json()


def test_what_the_net_does_not_know_is_left_out_or_refused(tmp_path):
    values = {"1": 0.0, "2": 0.0}
    clips = [Clip(tmp_path / "1", "a", "g"), Clip(tmp_path / "2", "drill", "h")]

    def answer(windows):
        scores = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (len(windows), 1))
        return Answers(scores, scores)

    subject = subject_of(("a", "dril"), answer)
    found = evaluate(subject, data_of(clips, tmp_path), clips, Steady(values), "all")
    assert (found.clips, found.unknown) == (1, ("drill",))
    with pytest.raises(Unusable, match="dril"):
        evaluate(subject, data_of(clips, tmp_path), clips[1:], Steady(values), "all")


def test_unknown_speakers_are_told_apart_by_their_embeddings(tmp_path):
    values = {str(number): float(number % 3) for number in range(12)}
    clips = [Clip(tmp_path / name, f"stranger {number % 3}", name) for number, name in enumerate(values)]

    def answer(windows):
        return Answers(np.ones((len(windows), 1), np.float32), np.eye(3, dtype=np.float32)[windows[:, 0].astype(int)])

    subject = subject_of(("p1",), answer, task="speaker")
    found = evaluate(subject, data_of(clips, tmp_path, "speaker"), clips, Steady(values), "all")
    assert found.clip_accuracy is None
    assert found.verification.cosine.eer == 0.0


def test_by_default_no_clip_is_asked_that_was_trained_on(tmp_path):
    clips = [Clip(tmp_path / f"{n}.wav", "ab"[n % 2], str(n)) for n in range(40)]
    data = data_of(clips, tmp_path)
    assert choose(data, subject_of(("a", "b"), None), "auto")[1] == "all"  # of other data nothing was learned
    mine = subject_of(("a", "b"), None, trained_on="set", tmp_path=tmp_path)
    asked, side = choose(data, mine, "auto")
    assert side == "test, of the default split"
    assert 0 < len(asked) < 10
    rows = [f"{n}.wav,,0.0,{'ab'[n % 2]},{n},,{'test' if n < 4 else 'train'}" for n in range(40)]
    (tmp_path / "split.csv").write_text("path,member,offset,label,group,fold,split\n" + "\n".join(rows) + "\n")
    asked, side = choose(data, mine, "auto")
    assert side == "test, of the run's split"
    assert [clip.path.name for clip in asked] == ["0.wav", "1.wav", "2.wav", "3.wav"]
    with pytest.raises(Unusable, match="validation"):
        choose(data, mine, "validation")
    strangers = data_of([Clip(tmp_path / "x.wav", "z", "1")], tmp_path)
    assert choose(strangers, mine, "auto")[1] == "all"
