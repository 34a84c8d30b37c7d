"""The numbers of a data set: against tables counted with csv, against statistics of the standard library, at size."""

from __future__ import annotations

import csv
import itertools
import json
import math
import statistics
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from tests.train.seen import Seen, fact, facts_of, seen
from xfer.train.data.clips import Clip
from xfer.train.data.facts import Facts
from xfer.train.data.layouts import read
from xfer.train.data.problems import Problem
from xfer.train.data.summary import UNSPLIT, nice_step, spread, summarise
from xfer.train.data.wording import by_kind, length, printable, said


def test_music_against_its_own_table():
    data = read(recordings("music_fma_layout"))
    with (data.root / "clips.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    found = summarise(Seen(data, [facts_of(clip.path) for clip in data.clips]))
    genres = Counter(row["genre"] for row in rows)
    assert {label: each.total.clips for label, each in found.classes.items()} == genres
    sides = Counter({"training": "train", "val": "validation"}.get(row["split"], row["split"]) for row in rows)
    assert {side: amount.clips for side, amount in found.splits.items()} == sides
    assert found.total.clips == found.usable == len(rows)
    assert found.sample_rates == Counter(int(row["sample_rate"]) for row in rows)
    assert next(iter(found.sample_rates)) == 44_100
    assert found.channels == Counter(int(row["channels"]) for row in rows)
    assert found.total.seconds == pytest.approx(51.7 * 60, rel=2e-3)  # the folder's README
    assert found.durations.highest == pytest.approx(15, abs=0.1)


def test_unusable_clips_count_as_clips_but_not_as_sound():
    clips = [Clip(Path(f"{i}.wav"), "a" if i < 2 else "b", f"{i}", "train" if i else None) for i in range(4)]
    facts = [fact(10), fact(fault="unreadable"), fact(2, rate=8000), fact(3, level=-math.inf)]
    problem = Problem("unreadable", "error", (Path("1.wav"),), "1.wav is text")
    found = summarise(seen(clips, facts, [problem]))
    assert (found.total.clips, found.usable, found.total.seconds) == (4, 3, 15)
    assert found.classes["a"].total.clips == 2
    assert found.classes["a"].total.seconds == 10
    assert found.classes["a"].sides == {"train": 1, UNSPLIT: 1}
    assert found.sample_rates == {16_000: 2, 8000: 1}
    assert found.levels.histogram.counts == (2,)
    assert found.errors == 1


def test_groups_and_values():
    clips = [Clip(Path(f"{i}.wav"), "", "big" if i < 3 else f"{i}", values=(i / 4, -i)) for i in range(5)]
    found = summarise(seen(clips, value_names=("arousal", "valence")))
    assert (found.groups.number, found.groups.largest, found.groups.largest_clips) == (3, "big", 3)
    assert found.values["arousal"].quartiles == (0.25, 0.5, 0.75)
    assert (found.values["valence"].lowest, found.values["valence"].highest) == (-4, 0)


def test_nothing_at_all_and_nothing_usable():
    assert summarise(seen([])).to_json()["clips"] == 0
    found = summarise(seen([Clip(Path("a.wav"), "a", "a")], [fact(fault="silent")])).to_json()
    assert (found["hours"], found["durations"], found["sample_rates"]) == (0, None, {})


def test_the_document_has_the_agreed_keys_and_is_json():
    clips = [Clip(Path(f"{i}.wav"), "ab"[i % 2], f"{i}", "train") for i in range(6)]
    document = summarise(seen(clips, problems=[Problem("few", "warning", (Path("x"),), "few")])).to_json()
    agreed = {"layout", "task", "clips", "hours", "classes", "sample_rates", "channels", "splits", "groups", "problems"}
    assert agreed <= set(document)
    assert document["classes"]["a"] == {"clips": 3, "hours": round(3 / 3600, 6), "splits": {"train": 3}}
    assert document["problems"] == [{"kind": "few", "severity": "warning", "paths": ["x"], "message": "few"}]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


CLIPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 4),
        st.sampled_from(["train", "validation", "test", None]),
        st.floats(0.1, 1e4),
        st.booleans(),
    ),
    max_size=40,
)


@given(CLIPS)
@settings(max_examples=100, deadline=None)
def test_every_table_adds_up_to_the_whole(rows):
    clips = [Clip(Path(f"{i}.wav"), row[0], str(row[1]), row[2]) for i, row in enumerate(rows)]
    facts = [fact(row[3]) if row[4] else fact(fault="empty") for row in rows]
    found = summarise(seen(clips, facts))
    total = sum(row[3] for row in rows if row[4])
    for amounts in ([each.total for each in found.classes.values()], list(found.splits.values())):
        assert sum(amount.clips for amount in amounts) == len(rows)
        assert sum(amount.seconds for amount in amounts) == pytest.approx(total)
    for side, amount in found.splits.items():
        assert amount.clips == sum(each.sides.get(side, 0) for each in found.classes.values()) > 0
    assert found.groups.number == len({row[1] for row in rows})


@given(st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=200))
@settings(max_examples=200, deadline=None)
def test_quartiles_and_histograms(values):
    found = spread(values)
    edges, counts = found.histogram.edges, found.histogram.counts
    if len(values) > 1:
        assert found.quartiles == pytest.approx(statistics.quantiles(values, n=4, method="inclusive"))
    assert (found.lowest, found.highest) == (min(values), max(values))
    assert len(edges) == len(counts) + 1
    assert len(counts) <= 50
    assert sum(counts) == len(values)
    assert edges[0] <= min(values) * (1 + 1e-9)
    assert edges[-1] >= max(values) * (1 - 1e-9)
    assert len(counts) == 1 or all(low < high for low, high in itertools.pairwise(edges))
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        # Values that stand on an edge to within rounding may be on either side of it.
        slack = 1e-9 * high
        inside = sum(low + slack < value < high - slack for value in values)
        near = sum(low - slack <= value <= high + slack for value in values)
        assert len(counts) == 1 or inside <= count <= near


@given(st.floats(1e-9, 1e9))
def test_steps_read_well(step):
    found = nice_step(step)
    assert step * (1 - 1e-6) <= found <= step * 2.6
    assert f"{found:.0e}"[0] in "125"


class Once(Sequence[Facts]):
    """Facts that may be read through once, in order, and never be held together."""

    def __init__(self, length: int) -> None:
        self.length, self.read = length, 0

    def __len__(self) -> int:
        raise AssertionError("lengths are known from the clips")

    def __getitem__(self, index: int) -> Facts:  # type: ignore[override]
        raise AssertionError("read in order, not by index")

    def __iter__(self) -> Iterator[Facts]:
        assert self.read == 0, "read twice"
        for i in range(1, self.length + 1):
            self.read = i
            yield Facts("d" * 64, i / 100, 16_000, 1, 0.5, -20.0, 0.0, print=bytes(4000))


def test_one_pass_that_keeps_no_facts():
    number = 20_000
    clips = [Clip(Path("a.wav"), f"{i % 10}", f"{i % 100}", "train") for i in range(number)]
    whole = seen(clips, Once(number))
    tracemalloc.start()
    try:
        found = summarise(whole)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.durations.highest == 200
    assert peak < 60 * number, f"{peak / number:.0f} bytes a clip"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.324, "0.32 s"),
        (9.996, "10.0 s"),
        (59.97, "1.0 min"),
        (3102, "51.7 min"),
        (3599, "1.0 h"),
        (1e6, "277.8 h"),
        (7.2e6, "2,000 h"),
    ],
)
def test_lengths_as_one_reads_them(seconds, words):
    assert length(seconds) == words


def test_problems_name_their_files_once_and_shortly():
    root = Path("some/where")
    paths = tuple(root / name for name in ("a/1.wav", "1.wav", "b/2.wav"))
    words = said(Problem("duplicate", "error", paths, f"{paths[0]} and {paths[2]} are one sound"), root)
    assert words.sentence == "a/1.wav and b/2.wav are one sound"
    assert words.more == ("1.wav",)
    assert said(Problem("few", "error", paths[:1], "class 'a' has one clip"), root).sentence.startswith("a/1.wav: ")
    assert said(Problem("few", "error", (), "no class"), root) == type(words)("no class", ())


def test_errors_come_first_whatever_their_order():
    mixed = [Problem(kind, severity, (), "") for severity in ("warning", "error") for kind in ("few", "unreadable")]
    order = [(each.severity, each.kind) for each in by_kind(mixed)]
    assert order == [("error", "unreadable"), ("error", "few"), ("warning", "unreadable"), ("warning", "few")]


@given(st.text())
def test_printable_text_moves_no_cursor_and_can_be_encoded(text):
    shown = printable(text + "\x1b[31m\udcff")
    assert shown.isprintable()
    shown.encode()
    assert shown.endswith(r"\x1b[31m\udcff")
