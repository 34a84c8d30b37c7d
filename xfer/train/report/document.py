"""The page of a training: one HTML file that needs nothing else, neither network nor script."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace

import soundfile

from xfer.runtime.audio import decode
from xfer.runtime.errors import XferError
from xfer.train.data.check import name_of
from xfer.train.data.clips import Clip
from xfer.train.data.decoding import on_disk
from xfer.train.data.page.charts import example_chart, shades
from xfer.train.data.page.examples import example
from xfer.train.data.wording import count
from xfer.train.page import Child, Markup, described, element, page, sheet, tiles
from xfer.train.report.charts import bands_chart, calibration_chart, confusion_chart, line_chart
from xfer.train.report.gather import Mistake, Report

HEARD_SECONDS = 6.0
"""Of a mistaken clip, so much can be played: half a minute would make the page megabytes long."""
CLASSES_SHOWN = 50
PROBLEMS_SHOWN = 40


def document(report: Report) -> str:
    """The whole page."""
    title = report.title + (" (SYNTHETIC)" if report.synthetic else "")
    parts = [
        shades(),
        *_head(report),
        *_learning(report),
        *_matrix(report),
        *_classes(report),
        *_mistakes(report.mistakes),
        *_problems(report),
        element("h2", "Recipe"),
        element("div", element("pre", *([line, Markup("\n")] for line in report.recipe.splitlines())), class_="card"),
    ]
    return page(
        title,
        parts,
        "; the same numbers are in report.json and report.md",
        styles=[sheet(__package__, "report.css")],
        media="data:",
    )


def _head(report: Report) -> Iterable[Child]:
    found = report.metrics
    yield element("h1", report.title)
    if report.synthetic:
        yield element(
            "p", element("span", "SYNTHETIC", class_="synthetic"), " trained on generated, not recorded, sound"
        )
    yield element("p", f"Measured on the {report.side} side, which the weights were not learned from.", class_="soft")
    shown = [
        (f"{found.clip_accuracy:.1%}", f"of {count(found.clips, 'clip')} right"),
        (f"{report.interval[0]:.0%} to {report.interval[1]:.0%}", "95 % interval of that"),
        (f"{found.window_accuracy:.1%}", f"of {count(found.windows, 'window')} right"),
        (f"{found.macro_f1:.3f}", "macro F1"),
        (f"{report.calibration_error:.1%}", "calibration error"),
    ]
    yield tiles(shown)
    yield described(report.about.items())


def _learning(report: Report) -> Iterable[Child]:
    yield element("h2", "How it learned")
    cards: list[Markup] = []
    if report.epochs:
        x = [each.epoch for each in report.epochs]
        losses = [
            ("train", [each.train_loss for each in report.epochs]),
            ("validation", [each.loss for each in report.epochs]),
        ]
        rates = [("validation", [each.clip_accuracy for each in report.epochs])]
        best = float(report.best_epoch)
        cards.append(
            element(
                "div",
                element("h3", "Loss"),
                _legend(("train", "training"), ("validation", "validation")),
                line_chart("loss by epoch", x, losses, "epoch (dashed: the best)", "loss (nats)", mark=best),
                class_="card",
            )
        )
        cards.append(
            element(
                "div",
                element("h3", "Clips right"),
                _legend(("validation", "validation")),
                line_chart("accuracy by epoch", x, rates, "epoch (dashed: the best)", "share", top=1.0, mark=best),
                class_="card",
            )
        )
    cards.append(
        element(
            "div",
            element("h3", "Is a score what it says?"),
            element("p", "On the dashed line 70 of 100 clips with a score of 70 % are right.", class_="soft"),
            calibration_chart(report.calibration),
            class_="card",
        )
    )
    if report.bands is not None:
        cards.append(
            element(
                "div",
                element("h3", "Pass bands of the front-end"),
                _legend(("before", "before"), ("after", "after training")),
                bands_chart(report.bands),
                class_="card",
            )
        )
    yield element("div", *cards, class_="grid")


def _legend(*entries: tuple[str, str]) -> Markup:
    return element(
        "div", *(element("span", element("i", class_=style), words) for style, words in entries), class_="legend"
    )


def _matrix(report: Report) -> Iterable[Child]:
    if len(report.labels) < 2:
        return
    yield element("h2", "What is taken for what")
    yield element(
        "p",
        "Rows: what a clip is. Columns: what was answered; the stronger, the larger its share of the row.",
        class_="soft",
    )
    yield element("div", confusion_chart(report.labels, report.confusion), class_="card")


def _classes(report: Report) -> Iterable[Child]:
    yield element("h2", "Classes, the hardest first")
    ordered = sorted(report.per_class.items(), key=lambda each: (each[1].f1, each[0]))
    rows = [
        element(
            "tr",
            element("td", label, class_="label"),
            *(element("td", f"{value:.1%}", class_="n") for value in (each.recall, each.precision)),
            element("td", f"{each.f1:.3f}", class_="n"),
            element("td", each.clips, class_="n"),
        )
        for label, each in ordered
    ]
    names = ("class", "recall", "precision", "F1", "clips")
    head = element("tr", *(element("th", name, class_="n" if name != "class" else None) for name in names))

    def table(some: Sequence[Markup]) -> Markup:
        return element("table", element("thead", head), element("tbody", *some))

    rest = rows[CLASSES_SHOWN:]
    more = element("details", element("summary", f"{len(rest):,} more classes"), table(rest)) if rest else None
    yield element("div", table(rows[:CLASSES_SHOWN]), more, class_="card")


def _mistakes(mistakes: Sequence[Mistake]) -> Iterable[Child]:
    if not mistakes:
        return
    yield element("h2", "The surest mistakes")
    yield element("div", *(_card(each) for each in mistakes), class_="grid")


def _card(mistake: Mistake) -> Markup:
    told = f"taken for {mistake.taken_for} with {mistake.score:.0%}; its own label had {mistake.own_score:.0%}"
    parts: list[Child] = [
        element("h3", mistake.label),
        element("p", told),
        element("p", element("span", name_of(mistake.clip), class_="path"), class_="soft"),
    ]
    try:
        parts += [example_chart(example(_short(mistake.clip)), mistake.label), _sound(_short(mistake.clip))]
    except (XferError, OSError) as error:  # it vanished since it was heard
        parts.append(element("p", str(error)))
    return element("div", *parts, class_="card")


def _short(clip: Clip) -> Clip:
    seconds = HEARD_SECONDS if clip.duration is None else min(clip.duration, HEARD_SECONDS)
    return replace(clip, duration=seconds)


def _sound(clip: Clip) -> Markup:
    """A player with the clip's beginning inside."""
    with on_disk(clip.path, clip.member) as path:
        found = decode(path)
    first = round(clip.offset * found.rate)
    samples = found.samples[first : first + round((clip.duration or HEARD_SECONDS) * found.rate)]
    file = io.BytesIO()
    soundfile.write(file, samples.clip(-1, 1), found.rate, format="OGG", subtype="VORBIS")
    return element("audio", src=f"data:audio/ogg;base64,{base64.b64encode(file.getvalue()).decode()}", controls="")


def _problems(report: Report) -> Iterable[Child]:
    if not report.problems:
        return
    yield element("h2", "What is wrong with the data")
    items = [element("li", f"{problem.kind}: {problem.message}") for problem in report.problems[:PROBLEMS_SHOWN]]
    if len(report.problems) > PROBLEMS_SHOWN:
        items.append(element("li", f"... and {len(report.problems) - PROBLEMS_SHOWN:,} more (xfer data lists all)"))
    yield element("div", element("ul", *items), class_="card problem warning")
