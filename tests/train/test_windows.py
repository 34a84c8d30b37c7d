"""Windows: crops that never change, the paper's grid, lengths of every net; no more is read than is needed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.held import Held, clip, data_of, uniform
from xfer.train.data.background import Background
from xfer.train.data.room import with_background
from xfer.train.data.windows import (
    Crops,
    Grid,
    crop,
    evaluation_windows,
    grid_starts,
    grid_window,
    training_batches,
    training_steps,
)
from xfer.train.framing import crops_of, grid_of
from xfer.train.nets import NETS, create
from xfer.train.recipe import WindowRecipe, default_recipe, with_settings

LENGTHS = (5000, 1000, 333, 1001, 20)
CLIPS = tuple(clip(str(k), "ab"[k % 2]) for k in range(len(LENGTHS)))
WAVES = Held(16_000, {str(k): uniform(length, k) for k, length in enumerate(LENGTHS)})
PLAIN = Crops(1000, 2, (-12.0, 6.0), 7)


def test_crops_are_those_of_ever() -> None:
    """Golden values of the first release: a model that was published can be trained again to the bit."""
    found = []
    for epoch in (1, 2):
        digest, answers = hashlib.sha256(), []
        for windows, targets in training_batches(WAVES, CLIPS, np.array([0, 1, 0, 1, 0]), PLAIN, epoch, 3):
            digest.update(windows.tobytes())
            answers += targets.tolist()
        found.append((digest.hexdigest(), answers))
    assert found == [
        ("5ea30e9b242cd8aeb90774b7dea502f879009c755b239ca0fec2a75d478bbf3d", [0, 0, 1, 1, 0, 1, 1, 0, 0]),
        ("e1aaae53e7a44a1745936d122d7826781ce547f772d636bc9e4946d2d3775e84", [1, 0, 1, 0, 1, 0, 0, 1, 0]),
    ]
    firsts = [float(crop(WAVES, each, PLAIN, 3, i, 1)[0]) for i, each in enumerate(CLIPS)]
    golden = [0.1308538317680359, 0.4197896420955658, 0.11993943899869919, -0.6140477657318115, -0.18509581685066223]
    assert firsts == golden


@pytest.mark.parametrize("held", [661_500, 660_983])
def test_the_papers_windows_of_a_clip_of_thirty_seconds(held: int) -> None:
    """FACTS.md 2.1 and 10: 19 windows of 66,150 samples, starts k * 33,075; an FMA clip lacks 517 samples."""
    recipe = with_settings(default_recipe("genre", "convnet"), ["windows.clip_seconds=30", "windows.hop=33075"])
    waves, one = Held(22_050, {"fma": uniform(held, 0)}), clip("fma")
    grid = grid_of(recipe)
    assert grid_starts(held, grid) == [k * 33_075 for k in range(19)]
    rows = np.concatenate([rows for rows, _ in evaluation_windows(waves, [one], grid, 8)])
    assert rows.shape == (19, 66_150)
    padded = np.concatenate([waves.sounds["fma"], np.zeros(661_500 - held, np.float32)])
    for k, row in enumerate(rows):
        np.testing.assert_array_equal(row, padded[k * 33_075 : k * 33_075 + 66_150])
    assert not rows[18][66_150 - (661_500 - held) :].any()
    longer = Held(22_050, {"fma": uniform(held + 5_000, 0)})
    assert sum(len(found) for found, _ in evaluation_windows(longer, [one], grid, 8)) == 19


def test_rawnet2_overlaps_by_a_fifth_and_ends_at_the_end() -> None:
    """FACTS.md 3.1: windows of 59,049 with 11,810 samples overlap, the last one aligned to the end."""
    recipe = with_settings(default_recipe("speaker", "rawnet2"), ["windows.hop=47239"])
    starts = grid_starts(200_000, grid_of(recipe))
    assert starts == [0, 47_239, 94_478, 140_951]
    assert starts[1] + 11_810 == 59_049


def test_a_broken_clip_gives_no_windows_of_zeros() -> None:
    grid = Grid(66_150, 33_075, clip=661_500)
    assert grid_starts(35_000, grid) == [0, 33_075]
    waves = Held(22_050, {"short": uniform(35_000, 0)})
    crops = Crops(66_150, 1, (0.0, 0.0), 0, clip=661_500)
    assert all(crop(waves, clip("short"), crops, epoch, 0, 0).any() for epoch in range(50))


@settings(max_examples=150, deadline=None)
@given(
    held=st.integers(1, 3_000),
    window=st.integers(1, 700),
    hop=st.integers(1, 900),
    brought=st.sampled_from([0, 0, 500, 2_500]),
    short=st.sampled_from(["tile", "place"]),
)
def test_the_grid_covers_every_sample(held: int, window: int, hop: int, brought: int, short: str) -> None:
    waves, one = Held(8_000, {"x": np.arange(1, held + 1, dtype=np.float32)}), clip("x")
    grid = Grid(window, min(hop, window), brought, short)
    rows = [grid_window(waves, one, start, grid) for start in grid_starts(held, grid)]
    assert {len(row) for row in rows} == {window}
    seen = set(np.concatenate(rows).astype(int).tolist()) - {0}
    assert seen == set(range(1, min(held, brought or held) + 1))


def test_training_on_the_grid_gives_each_of_its_windows_once() -> None:
    waves = Held(8_000, {"x": uniform(950, 1), "y": uniform(120, 2)})
    clips, grid = [clip("x"), clip("y", "b")], Grid(300, 100)
    crops = Crops(300, 99, (0.0, 0.0), 0, grid=grid)
    batches = list(training_batches(waves, clips, np.array([0, 1]), crops, 1, 5))
    assert len(batches) == training_steps(waves, clips, crops, 5)
    rows = np.concatenate([rows for rows, _ in batches])
    expected = np.concatenate([rows for rows, _ in evaluation_windows(waves, clips, grid, 64)])
    assert sorted(row.tobytes() for row in rows) == sorted(row.tobytes() for row in expected)
    assert len(rows) == 8 + 1


@pytest.mark.parametrize(("hop", "windows"), [(33_075, 19), (0, 10)])
def test_the_papers_training_hears_the_windows_of_its_evaluation(hop: int, windows: int) -> None:
    words = ["windows.clip_seconds=30", f"windows.hop={hop}", "windows.training=grid", "fit.gain_db=[0, 0]"]
    recipe = with_settings(default_recipe("genre", "convnet"), words)
    waves, one = Held(22_050, {"fma": uniform(660_983, 0)}), clip("fma")
    crops = crops_of(recipe, data_of([one], "genre"), waves)
    rows = np.concatenate([rows for rows, _ in training_batches(waves, [one], np.zeros(1, np.int64), crops, 1, 20)])
    expected = np.concatenate([rows for rows, _ in evaluation_windows(waves, [one], grid_of(recipe), 20)])
    assert len(rows) == windows
    assert sorted(row.tobytes() for row in rows) == sorted(row.tobytes() for row in expected)


@pytest.mark.parametrize("per_clip", [1, 2])
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 16])
def test_steps_are_the_batches_that_come(per_clip: int, batch: int) -> None:
    how = WindowRecipe(background="yes", background_share=0.4)
    data, _ = with_background(data_of(CLIPS), WAVES, how, 1000, 0)
    yes = Background(WAVES, data, how, 1000, 0)
    for background in (None, yes):
        crops = Crops(1000, per_clip, (0.0, 0.0), 7, background=background)
        found = [rows.shape for rows, _ in training_batches(WAVES, CLIPS, np.zeros(5, np.int64), crops, 1, batch)]
        if batch > 1:
            assert len(found) == training_steps(WAVES, CLIPS, crops, batch)
            assert all(rows > 1 for rows, _ in found)


def test_a_window_of_an_hour_reads_a_window() -> None:
    waves = Held(16_000, {"hour": np.zeros(57_600_000, np.float32)})
    crop(waves, clip("hour"), PLAIN, 1, 0, 0)
    assert waves.read == 1000


@pytest.mark.parametrize("net", sorted(NETS))
@pytest.mark.parametrize("task", ["speaker", "command"])
@pytest.mark.parametrize("seconds", [0.3, 9.0])
def test_every_net_takes_the_windows_that_its_recipe_makes(net: str, task: str, seconds: float) -> None:
    """The same code for every net: what is cut by its default recipe goes through it, short clips and long."""
    from xfer.train.framing import settle_windows

    rate = NETS[net].sample_rate
    names = ("a1", "a2", "b1", "b2")
    waves = Held(rate, {name: uniform(round(seconds * rate), k) for k, name in enumerate(names)})
    clips = [clip(name, name[0], "train" if name[1] == "1" else "validation") for name in names]
    recipe = with_settings(default_recipe(task, net), ["fit.crops_per_clip=1"])
    recipe, data, problems = settle_windows(recipe, data_of(clips, task), waves)
    assert not problems
    train = data.of("train")
    crops, grid = crops_of(recipe, data, waves), grid_of(recipe)
    windows, targets = next(training_batches(waves, train, np.zeros(len(train), np.int64), crops, 1, 8))
    assert windows.shape == (len(targets), recipe.fit.crop or NETS[net].window)
    rows, owners = next(evaluation_windows(waves, data.of("validation"), grid, 8))
    assert rows.shape == (len(owners), NETS[net].window)
    model = create(net, len(data.labels)).eval()
    with torch.no_grad():
        for batch in (windows[:1], rows[:1]):
            assert model(torch.from_numpy(batch)).logits.shape == (1, len(data.labels))


def test_workers_cut_windows_without_torch() -> None:
    code = "import sys, xfer.train.data.windows, xfer.train.data.room; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tiled_clips_begin_anywhere() -> None:
    waves = Held(8_000, {"x": np.arange(50, dtype=np.float32)})
    crops = Crops(100, 1, (0.0, 0.0), 0)
    firsts = {int(crop(waves, clip("x"), crops, epoch, 0, 0)[0]) for epoch in range(600)}
    assert firsts == set(range(50))
    ramp = crop(waves, clip("x"), crops, 1, 0, 0)
    assert all((after - before) % 50 == 1 for before, after in pairwise(ramp))
