"""The page of what augmentation does: it needs neither network nor script, only the sounds beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from urllib.parse import quote

from xfer.train.augment.augment import EFFECTS
from xfer.train.augment.page.showing import Showing, Sound
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.page.charts import example_chart, shades
from xfer.train.data.page.examples import WINDOW_SECONDS, Example, outline, spectrogram
from xfer.train.data.wording import inside
from xfer.train.page import Child, Markup, element, page, sheet

TOLD = {
    "as-it-is": "as the data set has it",
    "gain": "louder or quieter; fit.gain_db, always on",
    **{effect.name: effect.summary for effect in EFFECTS},
    "mixup": "a share of another window, and of its label",
    "masks": "SpecAugment: what the net does not hear, here made audible",
    "together": "all of the above",
}


def document(data: DataSet, showings: Sequence[Showing], how: AugmentRecipe, gain_db: tuple[float, float]) -> str:
    """The whole page."""
    title = f"{data.name}{' (SYNTHETIC)' if data.synthetic else ''}: augmentation"
    parts = [
        shades(),
        element("h1", title),
        element(
            "p",
            "What training can do to the windows it hears. Each effect is shown alone, drawn once from its range as a "
            "training draws it anew for every window; all but gain are off until a recipe gives them a probability, "
            "for instance ",
            element("code", "xfer train --set augment.noise=0.5"),
            ".",
            class_="soft lead",
        ),
        element("nav", *(element("a", each.clip.label, href=f"#{quote(each.folder)}") for each in showings)),
        *(_section(each, data) for each in showings),
        element("h2", "What is drawn from what"),
        _table(how, gain_db),
    ]
    return page(
        title, parts, f": xfer data {data.root} --augment", styles=[sheet(__package__, "augment.css")], media="*"
    )


def _section(showing: Showing, data: DataSet) -> Markup:
    return element(
        "section",
        element("h2", showing.clip.label),
        element(
            "p",
            element("span", inside(showing.clip.path, data.root), class_="path"),
            " · ",
            element("a", "all on one sheet", href=f"{quote(showing.folder)}/sheet.png"),
            class_="soft",
        ),
        element("div", *(_card(each, showing) for each in showing.sounds), class_="grid"),
        id=showing.folder,
    )


def _card(sound: Sound, showing: Showing) -> Markup:
    return element(
        "div",
        element("h3", sound.title),
        element("p", TOLD[sound.file], class_="soft"),
        element("p", sound.words, class_="drawn"),
        example_chart(_example(sound, showing.clip, showing.rate), sound.title),
        element("audio", src=f"{quote(showing.folder)}/{sound.file}.wav", controls="", preload="metadata"),
        class_=f"card {'plain' if sound.file == 'as-it-is' else 'changed'}",
    )


def _example(sound: Sound, clip: Clip, rate: int) -> Example:
    window = 2 ** round(math.log2(WINDOW_SECONDS * rate))
    pixels, top = spectrogram(sound.samples, window)
    low, high = outline(sound.samples)
    return Example(clip, rate, len(sound.samples) / rate, True, window, low, high, pixels, top)


def _table(how: AugmentRecipe, gain_db: tuple[float, float]) -> Markup:
    rows: list[Child] = [_row("fit.gain_db", gain_db)]
    rows += [_row(f"augment.{name}", value) for name, value in asdict(how).items()]
    head = element("tr", element("th", "field"), element("th", "here", class_="n"))
    return element("div", element("table", element("thead", head), element("tbody", *rows)), class_="card fields")


def _row(name: str, value: object) -> Markup:
    return element("tr", element("td", element("code", name)), element("td", _words(value), class_="n"))


def _words(value: object) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        held = list(value)
        ends = len(held) == 2 and all(isinstance(each, (int, float)) for each in held)
        return (" to " if ends else ", ").join(map(_words, held))
    return f"{value:g}" if isinstance(value, float) else str(value)
