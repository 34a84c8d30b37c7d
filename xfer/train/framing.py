"""From a recipe to how windows are cut: the one place that knows recipe, net and data at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xfer.runtime.audio import Short
from xfer.train.data.background import Background
from xfer.train.data.clips import DataSet
from xfer.train.data.problems import Problem
from xfer.train.data.room import settle, with_background
from xfer.train.data.windows import Crops, Grid
from xfer.train.nets import NETS
from xfer.train.recipe import Recipe

if TYPE_CHECKING:
    from xfer.train.data.waves import Waves


def settle_windows(recipe: Recipe, data: DataSet, waves: Waves) -> tuple[Recipe, DataSet, list[Problem]]:
    """The recipe with every `auto` of its windows decided, the data with the class `background` where there is one.

    The data is checked and split. Problems are recordings of background that cannot be used.
    Raises Unusable for values that make no windows.
    """
    window = NETS[recipe.net].window
    recipe = replace(recipe, windows=settle(recipe.windows, data, waves, window))
    data, problems = with_background(data, waves, recipe.windows, window, recipe.data.split_seed)
    return recipe, data, problems


def crops_of(recipe: Recipe, data: DataSet, waves: Waves) -> Crops:
    """How training windows are cut by a settled recipe.

    Raises Unusable where the recipe's sources give no background.
    """
    fit, how, net = recipe.fit, recipe.windows, NETS[recipe.net]
    length = fit.crop or net.window
    needed = how.short == "place" or how.background == "yes"
    return Crops(
        length,
        fit.crops_per_clip,
        fit.gain_db,
        recipe.seed,
        clip=_samples(how.clip_seconds, net.sample_rate),
        background=Background(waves, data, how, net.window, recipe.data.split_seed) if needed else None,
        short=_short(recipe),
        grid=replace(grid_of(recipe), window=length, hop=how.hop or length) if how.training == "grid" else None,
        balanced=fit.sampling == "balanced",
    )


def grid_of(recipe: Recipe) -> Grid:
    """How evaluation windows lie over a clip by this recipe."""
    how, net = recipe.windows, NETS[recipe.net]
    clip = _samples(how.clip_seconds, net.sample_rate)
    return Grid(net.window, how.hop or net.window, clip, _short(recipe))


def _short(recipe: Recipe) -> Short:
    return "place" if recipe.windows.short == "place" else "tile"


def _samples(seconds: float, rate: int) -> int:
    return round(seconds * rate)
