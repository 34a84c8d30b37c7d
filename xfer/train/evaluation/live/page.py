"""The page of a scene: one HTML file that needs nothing else, neither network nor script."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xfer.runtime.atomic import write_atomically
from xfer.runtime.events import clock
from xfer.train.data.check import name_of
from xfer.train.data.wording import count
from xfer.train.evaluation.live.charts import alarms_chart, became, cost_chart, hits_chart, lanes_chart, time_chart
from xfer.train.evaluation.live.hearing import FEW_ALARMS, Live
from xfer.train.evaluation.live.matching import ANEW_SECONDS
from xfer.train.page import Child, Markup, described, element, page, sheet, tiles

CLASSES_SHOWN = 60
LOST_SHOWN = 30
MIDDLE = 0.5
"""The threshold at which a scene is drawn where neither the card nor the curve names one."""


def write_page(told: Live, path: Path) -> None:
    """Write the page to `path`, atomically. Raises OSError where it cannot be written."""
    write_atomically(path, document(told).encode("utf-8", "surrogateescape"))


def document(told: Live) -> str:
    """The whole page."""
    title = f"{told.alone.subject.path.name} live on {told.alone.data}"
    threshold, words = drawn_at(told)
    parts = [
        element("h1", title),
        *_head(told),
        *_curves(told),
        *_scene(told, threshold, words),
        *_classes(told, threshold),
        *_lost(told),
    ]
    return page(
        title,
        parts,
        ": xfer eval --stream; --json has the whole curve",
        styles=[sheet("xfer.train.report", "report.css"), sheet(__package__, "live.css")],
    )


def drawn_at(told: Live) -> tuple[float, str]:
    """The threshold at which single clips are shown, and which one that is."""
    if told.threshold is not None:
        return told.threshold, "the card's threshold"
    if told.bearable:
        return told.bearable.threshold, "the lowest threshold with at most one false alarm an hour"
    return MIDDLE, "a threshold in the middle: the card has none"


def _head(told: Live) -> Iterable[Child]:
    alone, live = told.alone.clip_accuracy or 0.0, told.live_accuracy
    fell = alone - live > 0.1
    yield element(
        "p",
        "Of the same clips ",
        element("b", f"{alone:.1%}"),
        " are right alone and ",
        element("b", f"{live:.1%}", class_="fell" if fell else "held"),
        " live",
        ": much of what is right by itself is lost amid other sound." if fell else ".",
        class_="lead",
    )
    at = told.at_card
    low, high = told.hit_interval
    few, many = told.alarms_interval
    shown = [
        (f"{alone:.1%}", f"of {count(len(told.outcomes), 'clip')} right alone"),
        (f"{live:.1%}", "right live, by the surest event"),
        (f"{at.hit_rate:.1%}", f"hit at {at.threshold:g} (95 %: {low:.0%} to {high:.0%})"),
        (f"{at.false_alarms_per_hour:,.1f}", f"false alarms an hour there (95 %: {few:,.1f} to {many:,.1f})"),
        (f"{at.latency_median:.2f} s" if at.latency_median is not None else "none", "median latency of hits there"),
    ]
    yield tiles(shown)
    best = told.bearable
    rows = {
        "model": f"{told.alone.subject.path}, {told.alone.subject.engine}, {told.alone.subject.precision}",
        "data": f"{told.alone.data}, {told.alone.side}",
        "scene": f"{told.scene.seconds / 60:g} minutes, {count(len(told.outcomes), 'clip')} at random times"
        + (f" ({told.left_out:,} more found no room)" if told.left_out else "")
        + f", seed {told.scene.seed}",
        "background": f"{told.backing.words}, {told.scene.snr_db:g} dB below the clips",
        "listening": f"windows of {told.window_seconds:.2f} s every {told.hop_seconds:.2f} s, as xfer listen does; "
        f"{told.seconds / told.scene.seconds:.3f} s of computing a second of sound",
        "threshold": f"{told.threshold:g} ({told.threshold_origin})"
        if told.threshold is not None
        else "the card has none: every window is named",
        "one false alarm an hour": f"at most {FEW_ALARMS:g} from {best.threshold:g} on, with {best.hit_rate:.1%} hits"
        if best
        else "no threshold gives at most one and a hit",
    }
    yield described(rows.items())


def _curves(told: Live) -> Iterable[Child]:
    yield element("h2", "Over the threshold")
    dashed = " The dashed line is the card's threshold." if told.threshold is not None else ""
    yield element(
        "p",
        "A clip is hit when an event over the threshold names it. A false alarm is any other name: in the background, "
        f"or a wrong one during a clip; one that goes on counts again every {ANEW_SECONDS:g} s.{dashed}",
        class_="soft",
    )
    hits = (("hits", "hit"), ("wrong", "another label named"), ("alone", "right alone"))
    times = (("usual", "latency, median"), ("rare", "latency, 90 %"), ("onset", "onset error, median"))
    cards = [
        ("Hits", _legend(*hits), hits_chart(told)),
        ("False alarms", _legend(("alarms", "false alarms an hour")), alarms_chart(told)),
        ("What hits cost", _legend(("hits", "thresholds are written beside the line")), cost_chart(told)),
        ("How late", _legend(*times), time_chart(told)),
    ]
    yield element(
        "div",
        *(element("div", element("h3", name), legend, chart, class_="card") for name, legend, chart in cards),
        class_="grid pairs",
    )


def _scene(told: Live, threshold: float, words: str) -> Iterable[Child]:
    yield element("h2", "The scene")
    yield element(
        "p", f"At {threshold:g}, {words}. Each bar is a clip; below the lane is what was named falsely.", class_="soft"
    )
    legend = _legend(("hit", "hit"), ("named", "another label named"), ("missed", "missed"), ("false", "false alarm"))
    yield element("div", legend, lanes_chart(told, threshold), class_="card")


def _classes(told: Live, threshold: float) -> Iterable[Child]:
    rows: dict[str, list[int]] = {}
    for found, right in zip(told.outcomes, told.right_alone, strict=True):
        row = rows.setdefault(found.truth.label, [0, 0, 0, 0])
        row[0] += 1
        row[1] += right
        row[2] += found.score >= threshold
        row[3] += found.wrong >= threshold
    ordered = sorted(rows.items(), key=lambda each: ((each[1][2] - each[1][1]) / each[1][0], each[0]))
    yield element("h2", "Classes, the greatest loss first")
    names = ("class", "clips", "right alone", "hit live", "another named")
    lines = [
        element(
            "tr",
            element("td", label, class_="label"),
            element("td", row[0], class_="n"),
            *(element("td", f"{each / row[0]:.0%}", class_="n") for each in row[1:]),
        )
        for label, row in ordered
    ]
    head = element("tr", *(element("th", name, class_="n" if name != "class" else None) for name in names))
    shown = element("table", element("thead", head), element("tbody", *lines[:CLASSES_SHOWN]))
    rest = lines[CLASSES_SHOWN:]
    more = (
        element(
            "details",
            element("summary", f"{len(rest):,} more classes"),
            element("table", element("thead", head), element("tbody", *rest)),
        )
        if rest
        else None
    )
    yield element("div", shown, more, class_="card")


def _lost(told: Live) -> Iterable[Child]:
    if not told.lost:
        return
    yield element("h2", f"Right alone, missed live at {told.at_card.threshold:g}")
    by_start = {placed.start: found for placed, found in zip(told.scene.placed, told.outcomes, strict=True)}
    items = []
    for placed in told.lost[:LOST_SHOWN]:
        found = by_start[placed.start]
        told_of_it = became(found, told.at_card.threshold)[1]
        items.append(
            element(
                "li",
                f"{placed.clip.label} at {clock(found.truth.start)}: {told_of_it} ",
                element("span", name_of(placed.clip), class_="path soft"),
            )
        )
    if len(told.lost) > LOST_SHOWN:
        items.append(element("li", f"... and {len(told.lost) - LOST_SHOWN:,} more (--json lists all)"))
    yield element("div", element("ul", *items), class_="card problem warning")


def _legend(*entries: tuple[str, str]) -> Markup:
    return element(
        "div", *(element("span", element("i", class_=style), words) for style, words in entries), class_="legend"
    )
