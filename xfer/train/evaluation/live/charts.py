"""Charts of a scene as inline SVG; colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from xfer.runtime.events import clock
from xfer.train.data.summary import nice_step
from xfer.train.evaluation.live.hearing import Live
from xfer.train.evaluation.live.matching import Outcome, Point
from xfer.train.page.markup import Child, Markup, element, number

WIDTH, HEIGHT = 440, 240
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 12, 42
LANE_WIDTH, LANE, LANE_GAP, LANES = 1100, 26, 20, 6
"""The scene is drawn as so many lanes, one below the other."""

Line = tuple[str, Sequence[tuple[float, float]]]
"""A class of the style, and points."""


def hits_chart(told: Live) -> Markup:
    """Hits and wrong names over the threshold, and the accuracy of the same clips alone as a level line."""
    lines: list[Line] = [
        ("hits", [(each.threshold, each.hit_rate) for each in told.curve]),
        ("wrong", [(each.threshold, each.wrong_rate) for each in told.curve]),
    ]
    more: list[Child] = []
    if told.alone.clip_accuracy is not None:
        y = _y(told.alone.clip_accuracy)
        more.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="alone"))
    return _chart(
        "hits over the threshold",
        [*_grid_of_shares(), *more, *_card(told), *_lines(lines, _x, _y), *_thresholds()],
        "threshold",
        "share of clips",
    )


def alarms_chart(told: Live) -> Markup:
    """False alarms an hour over the threshold, on a scale of factors of ten whose foot is none at all."""
    scale = _Factors([each.false_alarms_per_hour for each in told.curve], told.scene.seconds / 3600)
    lines: list[Line] = [("alarms", [(each.threshold, each.false_alarms_per_hour) for each in told.curve])]

    def y(value: float) -> float:
        return _y(scale.share(value))

    return _chart(
        "false alarms an hour over the threshold",
        [*_rows(scale, y), *_card(told), *_lines(lines, _x, y), *_thresholds()],
        "threshold",
        "false alarms an hour",
    )


def cost_chart(told: Live) -> Markup:
    """Hits over false alarms an hour: what is bought, and for how much."""
    scale = _Factors([each.false_alarms_per_hour for each in told.curve], told.scene.seconds / 3600)

    def x(value: float) -> float:
        return _x(scale.share(value))

    points = [(each.false_alarms_per_hour, each.hit_rate) for each in told.curve]
    parts: list[Child] = [*_grid_of_shares(), *_lines([("hits", points)], x, _y)]
    for mark, name in scale.marks():
        last = scale.share(mark) == 1
        parts.append(_text(x(mark), HEIGHT - BOTTOM + 15, name, "end" if last else "middle"))
        parts.append(element("line", x1=x(mark), x2=x(mark), y1=TOP, y2=HEIGHT - BOTTOM, class_="grid"))
    for each in _spots(told.curve):
        at, height = x(each.false_alarms_per_hour), _y(each.hit_rate)
        parts.append(
            element("circle", element("title", _told(each)), cx=at, cy=height, r=4, class_="spot"),
        )
        side = -1 if at > LEFT + 40 else 1
        parts.append(_text(at + 7 * side, height - 7, f"{each.threshold:g}", "end" if side < 0 else "start"))
    return _chart("hits over false alarms", parts, "false alarms an hour", "share of clips hit")


def time_chart(told: Live) -> Markup:
    """Latency and onset error of hits over the threshold."""
    times: tuple[tuple[str, Callable[[Point], float | None]], ...] = (
        ("rare", lambda each: each.latency_90),
        ("usual", lambda each: each.latency_median),
        ("onset", lambda each: each.onset_error_median),
    )
    lines = [
        (style, [(each.threshold, seconds) for each in told.curve if (seconds := value(each)) is not None])
        for style, value in times
    ]
    highest = max((value for _, points in lines for _, value in points), default=1.0)
    step = nice_step(max(highest, 0.01) / 5)
    top = step * math.ceil(highest / step)

    def y(value: float) -> float:
        return _y(value / top)

    rows: list[Child] = []
    for i in range(round(top / step) + 1):
        rows.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(i * step), y2=y(i * step), class_="grid"))
        rows.append(_text(LEFT - 6, y(i * step) + 4, f"{i * step:g}", "end"))
    return _chart(
        "latency and onset error", [*rows, *_card(told), *_lines(lines, _x, y), *_thresholds()], "threshold", "seconds"
    )


def lanes_chart(told: Live, threshold: float) -> Markup:
    """The scene from its beginning to its end: every clip by what became of it, and every false alarm."""
    seconds = told.scene.seconds
    lanes = min(LANES, max(1, round(seconds / 20)))
    each_seconds = seconds / lanes
    left = 46
    width = LANE_WIDTH - left - 8
    parts: list[Child] = []
    for lane in range(lanes):
        top = 6 + lane * (LANE + LANE_GAP)
        parts.append(element("rect", x=left, y=top, width=width, height=LANE, rx=3, class_="lane"))
        parts.append(_text(left - 6, top + LANE / 2 + 4, clock(lane * each_seconds).partition(".")[0], "end"))

    def bars(start: float, end: float, style: str, words: str, above: float, height: float) -> None:
        """A stretch may go over the end of a lane."""
        for lane in range(int(start / each_seconds), min(lanes - 1, int(end / each_seconds)) + 1):
            first, last = max(start - lane * each_seconds, 0.0), min(end - lane * each_seconds, each_seconds)
            x, y = left + first / each_seconds * width, 6 + lane * (LANE + LANE_GAP) + above
            wide = max((last - first) / each_seconds * width, 1.5)
            parts.append(
                element("rect", element("title", words), x=x, y=y, width=wide, height=height, rx=1.5, class_=style)
            )

    for found in told.outcomes:
        style, words = became(found, threshold)
        at = found.truth
        bars(at.start, at.end, style, f"{at.label}, {clock(at.start)}: {words}", 0, LANE)
    for alarm in told.alarms:
        if alarm.score >= threshold:
            words = f"{alarm.label} named at {clock(alarm.start)}, score {alarm.score:.2f}"
            bars(alarm.start, alarm.end, "false", words, LANE + 3, 5)
    return element(
        "svg",
        element("title", "the scene"),
        *parts,
        viewBox=f"0 0 {LANE_WIDTH} {6 + lanes * (LANE + LANE_GAP)}",
        role="img",
    )


def became(found: Outcome, threshold: float) -> tuple[str, str]:
    """What became of a clip: a class of the style, and words."""
    first = next((call for call in found.calls if call.score >= threshold), None)
    if first is not None:
        return "hit", f"hit after {first.latency:.2f} s, best score {found.score:.2f}"
    if found.wrong >= threshold:
        return "named", f"another label was named, score {found.wrong:.2f}"
    return "missed", f"missed (its label reached {found.score:.2f})" if found.score >= 0 else "missed"


class _Factors:
    """A scale of factors of ten; its foot is 0."""

    def __init__(self, values: Sequence[float], hours: float) -> None:
        self._low = math.floor(math.log10(1 / hours))  # one in the whole scene is the least above none
        self._high = max(math.ceil(math.log10(max(*values, 10 ** (self._low + 1)))), self._low + 1)

    def share(self, value: float) -> float:
        """0 for none, then evenly by factors of ten up to 1."""
        steps = self._high - self._low + 1
        return 0.0 if value <= 0 else max(0.0, (math.log10(value) - self._low + 1) / steps)

    def marks(self) -> list[tuple[float, str]]:
        """Values and their names."""
        return [(0.0, "0"), *((10.0**at, f"{10.0**at:,g}") for at in range(self._low, self._high + 1))]


def _rows(scale: _Factors, y: Callable[[float], float]) -> list[Child]:
    rows: list[Child] = []
    for value, name in scale.marks():
        rows.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value), class_="grid"))
        rows.append(_text(LEFT - 6, y(value) + 4, name, "end"))
    return rows


def _spots(curve: Sequence[Point]) -> list[Point]:
    """Points that are far enough from each other to be named, the most useful thresholds first."""
    chosen: list[Point] = []
    for wanted in (0.5, 0.9, 0.99, 0.7, 0.3, 0.95, 0.8, 0.0):
        each = min(curve, key=lambda one: abs(one.threshold - wanted))
        if all(abs(each.hit_rate - other.hit_rate) > 0.06 for other in chosen):
            chosen.append(each)
    return chosen


def _told(each: Point) -> str:
    return f"threshold {each.threshold:g}: {each.hit_rate:.1%} hit, {each.false_alarms_per_hour:,.1f} false alarms/h"


def _grid_of_shares() -> list[Child]:
    rows: list[Child] = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        rows.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=_y(share), y2=_y(share), class_="grid"))
        rows.append(_text(LEFT - 6, _y(share) + 4, f"{share:.0%}", "end"))
    return rows


def _thresholds() -> list[Markup]:
    return [_text(_x(each), HEIGHT - BOTTOM + 15, f"{each:g}", "middle") for each in (0, 0.2, 0.4, 0.6, 0.8, 1)]


def _card(told: Live) -> list[Child]:
    """Where the card's threshold is."""
    if told.threshold is None:
        return []
    at = _x(told.threshold)
    return [element("line", x1=at, x2=at, y1=TOP, y2=HEIGHT - BOTTOM, class_="best")]


def _lines(lines: Sequence[Line], x: Callable[[float], float], y: Callable[[float], float]) -> list[Child]:
    shown: list[Child] = []
    for style, points in lines:
        if points:
            d = " L".join(f"{number(x(one))} {number(y(other))}" for one, other in points)
            shown.append(element("path", d=f"M{d}", class_=f"line {style}"))
    return shown


def _chart(title: str, parts: Sequence[Child], below: str, beside: str) -> Markup:
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    turn = f"rotate(-90 10 {number(middle)})"
    return element(
        "svg",
        element("title", title),
        *parts,
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM, class_="axis"),
        _text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, below, "middle", "name"),
        element("text", beside, x=10, y=middle, text_anchor="middle", transform=turn, class_="name"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def _text(x: float, y: float, text: str, anchor: str, class_: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)
