"""When there is a class of background, and that no sample of a recording of it is heard on two sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.export.nets import small_checkpoint
from tests.train.held import CLIPS, DATA, LENGTH, RATE, SOUNDS, WAVES, Held, clip, data_of, generator, uniform, word
from xfer.export.describe import card_of
from xfer.export.formats import FORMS
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.data.background import Background, active_power
from xfer.train.data.clips import Clip
from xfer.train.data.room import settle, stretches, with_background
from xfer.train.data.windows import evaluation_windows
from xfer.train.framing import crops_of, grid_of, settle_windows
from xfer.train.recipe import WindowRecipe, default_recipe, with_settings


def test_no_sample_of_background_is_on_two_sides() -> None:
    sounds = {"long": uniform(900_000, 1), "cut": uniform(400_000, 2)} | {f"s{k}": uniform(9_000, k) for k in range(20)}
    waves = Held(RATE, sounds)
    clips = [clip("long", "x", side) for side in ("train", "validation", "test")]
    found = stretches(data_of(clips, background=sorted(sounds)), waves, 20_000, 0)
    heard = {name: np.zeros(len(samples), int) for name, samples in sounds.items()}
    for side, parts in found.items():
        for part in parts:
            assert part.split == side
            first = round(part.offset * RATE)
            last = len(sounds[str(part.path)]) if part.duration is None else first + round(part.duration * RATE)
            heard[str(part.path)][first:last] += 1
    assert all((times == 1).all() for times in heard.values()), "a sample is on two sides, or on none"
    shares = {
        side: sum(waves.length(part) for part in parts) / sum(map(len, sounds.values()))
        for side, parts in found.items()
    }
    assert shares == {
        "train": pytest.approx(0.8, abs=0.02),
        "validation": pytest.approx(0.1, abs=0.01),
        "test": pytest.approx(0.1, abs=0.01),
    }
    assert len({clip.group for parts in found.values() for clip in parts}) == sum(map(len, found.values()))


def test_training_hears_only_its_side_of_the_recordings() -> None:
    """The held-out tail of the room is a tone: it must never sound in training, and be all that is measured."""
    tail = word(1.25, 2500)
    waves = Held(RATE, SOUNDS | {"room": np.concatenate([uniform(180_000, 1) * 0.01, tail])})
    clips = (*CLIPS, *(clip(each.label, each.label, "validation") for each in CLIPS))
    how = WindowRecipe(short="place", background="yes", sources=("recordings",))
    data, _ = with_background(data_of(clips, background=["room"]), waves, how, LENGTH, 0)
    assert data.labels == ("background", "down", "left", "up")
    held = [each for each in data.of("validation") if each.label == "background"]
    assert len(held) == 2
    for each in held:
        assert waves.length(each) == LENGTH
        assert active_power(waves.samples(each), RATE) == pytest.approx(0.08, rel=0.01)
    assert not [each for each in data.of("train") if each.label == "background"]
    background = Background(waves, data, how, LENGTH, 0)
    line = round(2500 * LENGTH / RATE)
    for seed in range(60):
        power = np.abs(np.fft.rfft(background.window(generator(seed), LENGTH))) ** 2
        assert power[line] < 30 * power[line - 60 : line + 60].mean()


def test_when_there_is_a_class_of_background() -> None:
    def settled(task: str, seconds: float = 0.2, **changes: object) -> tuple[str, str]:
        waves = Held(RATE, {label: uniform(round(seconds * RATE), 0) for label in "ab"})
        data = data_of([clip(label, label) for label in "ab"], task)
        found = settle(WindowRecipe(**changes), data, waves, LENGTH)  # type: ignore[arg-type]
        assert settle(found, data, waves, LENGTH) == found, "what is settled stays"
        return found.short, found.background

    assert settled("command") == ("place", "yes")
    assert settled("command", seconds=5) == ("place", "yes")
    assert settled("command", background="no") == ("place", "no")
    assert settled("command", short="tile") == ("tile", "yes")
    assert settled("sound") == ("place", "yes")
    assert settled("sound", seconds=5) == ("tile", "no")
    assert settled("sound", clip_seconds=5) == ("tile", "no")
    assert settled("sound", seconds=5, background="yes") == ("tile", "yes")
    for task in ("speaker", "genre", "my own"):
        assert settled(task) == ("tile", "no")
        assert settled(task, short="place") == ("place", "no")


@pytest.mark.parametrize("own", ["background", "_background_noise_", "Background Noise"])
def test_a_class_of_background_in_the_data_is_kept_and_used(own: str) -> None:
    clips = (*CLIPS, Clip(Path("room"), own, "room", "train"))
    recipe = default_recipe("command", "convnet")
    recipe, data, _ = settle_windows(recipe, data_of(clips), WAVES)
    assert recipe.windows.background == "no"
    assert data.labels == tuple(sorted({"up", "down", "left", own}))
    crops = crops_of(with_settings(recipe, ['windows.sources=["recordings"]']), data, WAVES)
    assert crops.background is not None
    assert crops.background.count(1000) == 0
    assert crops.background.place(generator(0), SOUNDS["up"], LENGTH, "up").any()
    asked, _, _ = settle_windows(
        with_settings(default_recipe("command", "convnet"), ["windows.background=yes"]), data_of(clips), WAVES
    )
    more = crops_of(asked, data_of(clips), WAVES).background
    assert more is not None
    assert data.labels[more.target] == own


def test_speakers_and_genres_are_left_as_they_are() -> None:
    for task in ("speaker", "genre"):
        recipe, data, _ = settle_windows(default_recipe(task, "convnet"), data_of(CLIPS, task, ["gone"]), WAVES)
        assert data == data_of(CLIPS, task, ["gone"])
        crops = crops_of(recipe, data, WAVES)
        assert (crops.background, crops.short, crops.clip, crops.grid) == (None, "tile", 0, None)
        assert grid_of(recipe).short == "tile"


class Broken(Held):
    def length(self, clip: Clip) -> int:
        if clip.path.name == "bad":
            raise Unusable("bad is no recording")
        if clip.path.name == "gone":
            raise FileNotThere("gone does not exist")
        return super().length(clip)


def test_recordings_of_background_that_cannot_be_used_are_named() -> None:
    waves = Broken(RATE, SOUNDS)
    _, data, problems = settle_windows(
        default_recipe("command", "convnet"), data_of(CLIPS, background=["bad", "room", "gone"]), waves
    )
    assert [problem.paths for problem in problems] == [(Path("bad"),), (Path("gone"),)]
    assert all(problem.severity == "warning" for problem in problems)
    assert data.background == (Path("room"),)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ('windows.sources=["nois"]', "noise"),
        ("windows.sources=[]", "windows.sources"),
        ('windows.sources=["recordings"]', "windows.sources"),
        ('windows.sources=["others"]', "windows.sources"),
        ("windows.sources=noise", "list"),
        ("windows.background_share=1.0", "background_share"),
        ("windows.snr_db=[20, 10]", "snr_db"),
        ("windows.hop=-1", "hop"),
        ("windows.short=til", "tile"),
        ("windows.background=maybe", "windows.background"),
        ("windows.training=gird", "grid"),
    ],
)
def test_values_that_make_no_windows_are_refused(setting: str, says: str) -> None:
    def cut() -> None:
        recipe = with_settings(default_recipe("command", "convnet"), [setting])
        recipe, data, _ = settle_windows(recipe, data_of(CLIPS), WAVES)
        crops_of(recipe, data, WAVES)

    with pytest.raises(Unusable, match=says):
        cut()


def test_evaluation_places_a_short_clip_as_the_runtime_does() -> None:
    """One sound, once through training's evaluation and once through the stream: the same samples reach the net."""
    from xfer.runtime.listening.windows import Windower

    recipe, data, _ = settle_windows(default_recipe("command", "convnet"), DATA, WAVES)
    grid = grid_of(recipe)
    rows, _ = next(evaluation_windows(WAVES, data.of("train")[:1], grid, 1))
    windower = Windower(grid.window, grid.hop, grid.short)
    assert not list(windower.push(SOUNDS["up"]))
    heard = next(windower.finish()).samples
    np.testing.assert_array_equal(rows[0], heard)
    before = (grid.window - len(SOUNDS["up"])) // 2
    np.testing.assert_array_equal(heard[before : before + len(SOUNDS["up"])], SOUNDS["up"])
    assert np.abs(heard).sum() == pytest.approx(np.abs(SOUNDS["up"]).sum(), rel=1e-6)


@pytest.mark.parametrize(
    ("recipe", "short"),
    [
        ({}, "tile"),
        ({"windows": {"short": "auto"}}, "tile"),
        ({"windows": {"short": "place"}}, "place"),
        ({"windows": 3}, "tile"),
    ],
)
def test_the_card_says_what_the_checkpoint_knows(recipe: dict[str, object], short: str, tmp_path: Path) -> None:
    checkpoint = replace(small_checkpoint(tmp_path), recipe=recipe)
    assert card_of(checkpoint, "command", FORMS[0]).short == short
