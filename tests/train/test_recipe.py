"""The recipe: nothing is lost on the way to TOML and back; wrong words are met with the nearest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer.runtime.errors import Unusable
from xfer.train.data.windows import grid_starts
from xfer.train.framing import grid_of
from xfer.train.nets import NETS
from xfer.train.recipe import default_recipe, field_names, from_toml, paper_recipe, with_settings


@pytest.mark.parametrize("net", sorted(NETS))
def test_toml_and_back(net):
    recipe = with_settings(default_recipe("genre", net), ["fit.gain_db=[-3, 2]", "data.path=a b/ü", "seed=7"])
    assert from_toml(recipe.to_toml()) == recipe
    assert recipe.fit.gain_db == (-3.0, 2.0)


@given(st.floats(1e-6, 10, allow_nan=False), st.integers(1, 10**6), st.text(min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_any_value_survives(rate, epochs, source):
    recipe = default_recipe("speaker", "convnet")
    from dataclasses import replace

    recipe = replace(
        recipe,
        fit=replace(recipe.fit, learning_rate=rate, epochs=epochs),
        transfer=replace(recipe.transfer, source=source),
    )
    assert from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("fit.epoch=3", "fit.epochs"),
        ("fit.epochs=many", "number"),
        ("fit.epochs=2.5", "number"),
        ("fit.epochs=true", "number"),
        ("ft.epochs=3", "fit.epochs"),
        ("options.normalise=windw", "window"),
        ("fit.gain_db=3", "2 values"),
        ("fit.epochs", "section.key=value"),
    ],
)
def test_wrong_settings_are_refused_with_the_right_ones(setting, says):
    with pytest.raises(Unusable, match=says):
        with_settings(default_recipe("speaker", "rawnet2"), [setting])


def test_every_name_can_be_set_to_its_own_value():
    recipe = default_recipe("speaker", "rawnet2")
    assert "fit.batch" in field_names(recipe)
    assert "options.sinc_padding" in field_names(recipe)
    assert with_settings(recipe, ["fit.batch=3"]).fit.batch == 3


def test_broken_toml_is_refused():
    with pytest.raises(Unusable, match="TOML"):
        from_toml("task = [")


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("task", ["genre", "speaker"])
def test_the_papers_recipe_is_that_of_the_facts(net, task):
    """FACTS.md 2.3, 3.5 and 4.2; windows a clip as in 2.1."""
    recipe = paper_recipe(default_recipe(task, net))
    assert recipe.data.scheme == "paper"
    assert recipe.fit.gain_db == (0.0, 0.0)
    expected = {
        ("convnet", "genre"): ("adadelta", 1.0, 128, 500, "none", 19),
        ("convnet", "speaker"): ("adamw", 1e-3, 128, 20, "peak", 1),
        ("rawnet2", "genre"): ("adam", 1e-3, 64, 60, "peak", 19),
        ("rawnet2", "speaker"): ("adam", 1e-3, 25, 60, "peak", 1),
    }[net, task]
    grid = grid_of(recipe)
    found = (
        recipe.fit.optimizer,
        recipe.fit.learning_rate,
        recipe.fit.batch,
        recipe.fit.epochs,
        recipe.options["normalise"],
        len(grid_starts(40 * NETS[net].sample_rate, grid)),
    )
    assert found == expected
    assert from_toml(recipe.to_toml()) == recipe
