"""The page of a data set: one HTML file that needs nothing else, neither network nor script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from xfer.train.data.clips import SPLITS
from xfer.train.data.page.charts import classes_chart, example_chart, histogram_chart, shades
from xfer.train.data.page.examples import LONGEST_SECONDS, Example
from xfer.train.data.summary import UNSPLIT, Spread, Summary
from xfer.train.data.wording import WHAT_TO_DO, Kindred, by_kind, channels, count, inside, length, lengths, said
from xfer.train.page import Child, Markup, described, element, join, page, tiles

UNFOLDED = 4
"""Problems of a kind that are shown at once."""
IN_FULL = 50
"""Classes that are shown at once; more are folded."""
PROBLEMS_SHOWN, FILES_SHOWN = 100, 20
"""Of each kind, and of each problem; `--json` lists all."""


def document(summary: Summary, pictures: Mapping[str, Example | str]) -> str:
    """The whole page. `pictures`: each label's example, or why there is none."""
    title = f"{summary.name}{' (SYNTHETIC)' if summary.synthetic else ''}: {summary.task} data"
    parts = [
        shades(),
        *_head(summary),
        *_problems(summary),
        *_classes(summary),
        *_charts(summary),
        *_examples(pictures, summary.root, len(summary.classes)),
    ]
    return page(title, parts, f": xfer data {summary.root} --html")


def _head(summary: Summary) -> Iterable[Child]:
    yield element("h1", summary.name)
    if summary.synthetic:
        yield element("p", element("span", "SYNTHETIC", class_="synthetic"), " generated, not recorded")
    yield element("p", element("code", str(summary.root)), class_="soft")
    yield _verdict(summary)
    shown = [
        (f"{summary.total.clips:,}", "clips"),
        (length(summary.total.seconds), "in all"),
        (f"{len(summary.classes):,}", "classes" if len(summary.classes) != 1 else "class"),
        (f"{summary.groups.number:,}", "groups"),
    ]
    if summary.durations:
        shown.append((length(summary.durations.quartiles[1]), "median clip"))
    yield tiles(shown)
    yield described(_overview(summary))


def _verdict(summary: Summary) -> Markup:
    warnings = len(summary.problems) - summary.errors
    words = []
    if summary.errors:
        words.append(element("span", count(summary.errors, "error"), class_="verdict error"))
    if warnings:
        words.append(element("span", count(warnings, "warning"), class_="verdict warning"))
    if not words:
        words.append(element("span", "nothing wrong was found", class_="verdict fine"))
    return element("div", *words)


def _overview(summary: Summary) -> Iterable[tuple[str, str]]:
    yield "layout", f"{summary.layout} (task {summary.task}, net {summary.net})"
    groups = summary.groups
    if groups.number:
        largest = f"the largest {groups.largest!r} with {count(groups.largest_clips, 'clip')}"
        yield "groups", f"{groups.number:,}, {largest if groups.largest_clips > 1 else 'one clip each'}"
    if unusable := summary.total.clips - summary.usable:
        yield "cannot be used", count(unusable, "clip")
    if summary.durations:
        yield "length", lengths(summary.durations)
    yield "sample rates", ", ".join(f"{rate:,} Hz ({clips:,})" for rate, clips in summary.sample_rates.items())
    yield "channels", ", ".join(f"{channels(each)} ({clips:,})" for each, clips in summary.channels.items())
    for name, spread in summary.values.items():
        low, median, high = spread.quartiles
        yield name, f"{spread.lowest:.4g} to {spread.highest:.4g}; quartiles {low:.4g}, {median:.4g}, {high:.4g}"
    yield "background", f"{count(summary.background, 'recording')} of no class" if summary.background else ""
    yield "licence", summary.licence
    yield "attribution", summary.attribution
    for note in summary.notes:
        yield "note", note


def _problems(summary: Summary) -> Iterable[Child]:
    if not summary.problems:
        return
    yield element("h2", "What is wrong")
    for kindred in by_kind(summary.problems):
        yield element(
            "div",
            element("h3", f"{kindred.kind}: {count(len(kindred.problems), kindred.severity)}"),
            element("p", WHAT_TO_DO[kindred.kind], class_="soft"),
            _folded(_items(kindred, summary.root), UNFOLDED),
            class_=f"card problem {kindred.severity}",
        )


def _items(kindred: Kindred, root: Path) -> list[Markup]:
    items = []
    for problem in kindred.problems[:PROBLEMS_SHOWN]:
        words = said(problem, root)
        paths = [element("span", path, class_="path") for path in words.more[:FILES_SHOWN]]
        if len(words.more) > FILES_SHOWN:
            paths.append(element("span", f"... and {len(words.more) - FILES_SHOWN:,} more (--json lists all)"))
        items.append(element("li", words.sentence, element("div", *paths, class_="paths") if paths else None))
    if len(kindred.problems) > PROBLEMS_SHOWN:
        items.append(element("li", f"... and {len(kindred.problems) - PROBLEMS_SHOWN:,} more (--json lists all)"))
    return items


def _folded(items: Sequence[Markup], shown: int) -> Markup:
    """A list, folded after its first items."""
    if len(items) <= shown + 2:
        return element("ul", *items)
    rest = element("details", element("summary", f"{len(items) - shown:,} more"), element("ul", *items[shown:]))
    return join([element("ul", *items[:shown]), rest])


def _classes(summary: Summary) -> Iterable[Child]:
    if not any(summary.classes):
        return
    yield element("h2", "Classes and splits")
    sides = [side for side in (*SPLITS, UNSPLIT) if side in summary.splits]
    legend = [
        element(
            "span",
            element("i", class_=side),
            f"{side} {count(amount.clips, 'clip')}, {length(amount.seconds)} "
            f"({amount.clips / summary.total.clips:.0%})",
        )
        for side, amount in ((side, summary.splits[side]) for side in sides)
    ]
    top = max(each.total.clips for each in summary.classes.values())
    ordered = sorted(summary.classes, key=lambda label: (-summary.classes[label].total.clips, label))
    rows = []
    for label in ordered:
        each = summary.classes[label]
        words = ", ".join(f"{side} {clips:,}" for side, clips in each.sides.items())
        width = f"width:{100 * each.total.clips / top:.2f}%"
        stack = [element("i", class_=side, style=f"flex:{clips}") for side, clips in each.sides.items()]
        rows.append(
            element(
                "tr",
                element("td", label or "(no label)", class_="label"),
                element("td", each.total.clips, class_="n"),
                element("td", length(each.total.seconds), class_="n hide"),
                element("td", element("div", *stack, class_="stack", style=width, title=words), class_="bars"),
            )
        )
    yield element(
        "div",
        element("div", *legend, class_="legend"),
        _table(rows[:IN_FULL]),
        element(
            "details",
            element("summary", f"{len(rows) - IN_FULL:,} more classes"),
            _table(rows[IN_FULL:]),
        )
        if len(rows) > IN_FULL
        else None,
        class_="card",
    )


def _table(rows: Sequence[Markup]) -> Markup:
    head = element(
        "tr",
        element("th", "class"),
        element("th", "clips", class_="n"),
        element("th", "length", class_="n hide"),
        element("th", ""),
    )
    return element("table", element("thead", head), element("tbody", *rows))


def _charts(summary: Summary) -> Iterable[Child]:
    charts = []
    if summary.durations:
        charts.append(("Length of clips", _histogram(summary.durations, "length", "s")))
    if len(summary.classes) > 1:
        ordered = sorted(summary.classes.items(), key=lambda item: (-item[1].total.clips, item[0]))
        clips, labels = [each.total.clips for _, each in ordered], [label for label, _ in ordered]
        charts.append(("Size of classes", classes_chart(clips, labels)))
    if summary.levels:
        charts.append(("Loudness of clips", _histogram(summary.levels, "root mean square", "dBFS")))
    charts += [(name, _histogram(spread, name, "value")) for name, spread in summary.values.items()]
    if charts:
        yield element("h2", "Histograms")
        yield element(
            "div", *(element("div", element("h3", name), chart, class_="card") for name, chart in charts), class_="grid"
        )


def _histogram(spread: Spread, what: str, unit: str) -> Markup:
    return histogram_chart(spread.histogram, what, unit)


def _examples(pictures: Mapping[str, Example | str], root: Path, classes: int) -> Iterable[Child]:
    if not pictures:
        return
    yield element("h2", "An example of each class")
    yield element(
        "p",
        "The first sound clip of each class at its file's own rate: the outline of its waveform, and the power of its "
        "short-time spectrum (Hann window, hop of a quarter; 0 dBFS is a sine of full scale).",
        class_="soft",
    )
    cards = [_card(label, picture, root) for label, picture in pictures.items()]
    yield element("div", *cards[:IN_FULL], class_="grid")
    if len(cards) > IN_FULL:
        folded = element("div", *cards[IN_FULL:], class_="grid")
        yield element("details", element("summary", f"{len(cards) - IN_FULL:,} more classes"), folded)
    if len(cards) < classes:
        yield element("p", f"{classes - len(cards):,} of {classes:,} classes have no picture here.", class_="soft")


def _card(label: str, picture: Example | str, root: Path) -> Markup:
    name = element("h3", label or "(no label)")
    if isinstance(picture, str):
        return element("div", name, element("p", picture), class_="card")
    shown = length(picture.seconds) if picture.whole else f"first {LONGEST_SECONDS:g} s"
    where = inside(picture.clip.path, root) + (f", {picture.clip.member}" if picture.clip.member else "")
    return element(
        "div",
        name,
        element("p", element("span", where, class_="path"), class_="soft"),
        element("p", f"{shown}, {picture.rate:,} Hz, window {picture.window:,} samples", class_="soft"),
        example_chart(picture, label),
        class_="card",
    )
