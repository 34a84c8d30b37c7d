"""Charts as inline SVG. Colours come from the page's style, so they follow its light or dark scheme."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xfer.train.data.page.examples import RANGE_DB, Example
from xfer.train.data.summary import Histogram, nice_step
from xfer.train.page.markup import Child, Markup, element, number
from xfer.train.page.png import ANCHORS, data_uri

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 12, 42
"""Margins, for the axes."""
WAVE, GAP, PICTURE = 60, 20, 140
"""Heights of an example's waveform, of the space below it, and of its spectrogram."""
SCALE = 46
"""Room on the right for the scale of colours."""
SHADES = "shades"
BARS_AT_MOST = 150
"""Above this, a chart of classes is one outline."""


def histogram_chart(histogram: Histogram, what: str, unit: str) -> Markup:
    """Bars over the edges of a histogram, equally wide also where the edges rise by a factor."""
    counts, edges = histogram.counts, histogram.edges
    slot = (WIDTH - LEFT - RIGHT) / len(counts)
    top, rows = _rows(max(counts))
    bars = [
        element(
            "rect",
            element("title", f"{_short(edges[i])} to {_short(edges[i + 1])} {unit}: ", clips, " clips"),
            x=LEFT + i * slot + min(1, slot / 8),
            y=_height(clips, top),
            width=slot - 2 * min(1, slot / 8),
            height=HEIGHT - BOTTOM - _height(clips, top),
            class_="bar",
        )
        for i, clips in enumerate(counts)
        if clips
    ]
    marks = [_below(LEFT + at * slot, _short(value)) for at, value in _marks(edges)]
    return _chart(f"histogram: {what}", rows, bars, marks, f"{what} ({unit})")


def classes_chart(clips: Sequence[int], labels: Sequence[str]) -> Markup:
    """Clips of each class, the largest first; `clips` falls."""
    top, rows = _rows(max(clips))
    slot = (WIDTH - LEFT - RIGHT) / len(clips)
    bars: list[Child]
    if len(clips) <= BARS_AT_MOST:
        bars = [
            element(
                "rect",
                element("title", f"{label}: ", each, " clips"),
                x=LEFT + i * slot + min(1, slot / 8),
                y=_height(each, top),
                width=slot - 2 * min(1, slot / 8),
                height=HEIGHT - BOTTOM - _height(each, top),
                class_="bar",
            )
            for i, (each, label) in enumerate(zip(clips, labels, strict=True))
        ]
    else:
        shown = np.linspace(0, len(clips) - 1, WIDTH - LEFT - RIGHT).astype(int)
        line = " ".join(f"L{LEFT + i} {number(_height(clips[at], top))}" for i, at in enumerate(shown))
        base = HEIGHT - BOTTOM
        bars = [element("path", d=f"M{LEFT} {base} {line} L{WIDTH - RIGHT} {base} Z", class_="bar")]
    marks = [_below(LEFT + slot / 2, "1"), _below(WIDTH - RIGHT - slot / 2, f"{len(clips):,}")]
    return _chart("clips of each class", rows, bars, marks[: len(clips)], "classes, the largest first")


def example_chart(example: Example, label: str) -> Markup:
    """Waveform over spectrogram on one axis of time, as the paper's Figures 1 and 2."""
    width = WIDTH - LEFT - SCALE
    below = TOP + WAVE + GAP
    bottom = below + PICTURE
    return element(
        "svg",
        element("title", f"{label}: waveform and spectrogram"),
        *_waveform(example, width),
        element(
            "image",
            href=data_uri(example.pixels),
            x=LEFT,
            y=below,
            width=width,
            height=PICTURE,
            preserveAspectRatio="none",
        ),
        element("rect", x=LEFT, y=below, width=width, height=PICTURE, class_="frame"),
        *_frequencies(example.rate, below),
        *_times(example.seconds, width, bottom),
        *_levels(example.top_dbfs, below),
        viewBox=f"0 0 {WIDTH} {bottom + 36}",
        role="img",
    )


def _waveform(example: Example, width: float) -> list[Markup]:
    peak = max(float(example.high.max()), -float(example.low.min()), 1e-4)
    power = 10.0 ** math.floor(math.log10(peak))
    top = next(each * power for each in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if each * power >= peak)
    middle = TOP + WAVE / 2
    slot = width / len(example.low)

    def outline(values: npt.NDArray[np.float32]) -> list[str]:
        return [
            f"{number(LEFT + (i + 0.5) * slot)} {number(middle - float(value) / top * WAVE / 2)}"
            for i, value in enumerate(values)
        ]

    points = outline(example.high) + outline(example.low)[::-1]
    return [
        element("rect", x=LEFT, y=TOP, width=width, height=WAVE, class_="frame"),
        element("line", x1=LEFT, x2=LEFT + width, y1=middle, y2=middle, class_="grid"),
        element("path", d=f"M{' L'.join(points)} Z", class_="wave"),
        *(_beside(TOP + WAVE / 2 - sign * WAVE / 2, f"{sign * top:g}", shift=4 - 4 * sign) for sign in (1, 0, -1)),
        _upright(10, middle, "amplitude"),
    ]


def _frequencies(rate: int, top: float) -> list[Markup]:
    """Kilohertz, from 0 up to half the rate."""
    highest = rate / 2000
    step = nice_step(highest / 5)
    marks = [i * step for i in range(int(highest / step + 1e-9) + 1)]
    return [
        *(_beside(top + PICTURE * (1 - mark / highest), f"{mark:g}", shift=0 if mark == 0 else 4) for mark in marks),
        _upright(10, top + PICTURE / 2, "frequency (kHz)"),
    ]


def _times(seconds: float, width: float, bottom: float) -> list[Markup]:
    step = nice_step(seconds / 7)
    marks = [i * step for i in range(int(seconds / step + 1e-9) + 1)]
    return [
        *(
            element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="axis")
            for x in (LEFT + mark / seconds * width for mark in marks)
        ),
        *(_text(LEFT + mark / seconds * width, bottom + 16, f"{mark:g}", "middle") for mark in marks),
        _text(LEFT + width / 2, bottom + 31, "time (s)", "middle", "name"),
    ]


def shades() -> Markup:
    """The gradient of the scales of colours; it must stand on the page once."""
    steps = len(ANCHORS) - 1
    stops = [element("stop", offset=i / steps, stop_color=f"#{colour:06x}") for i, colour in enumerate(ANCHORS[::-1])]
    gradient = element("linearGradient", *stops, id=SHADES, x1=0, x2=0, y1=0, y2=1)
    return element("svg", gradient, width=0, height=0, class_="hidden", aria_hidden="true")


def _levels(top_dbfs: float, top: float) -> list[Markup]:
    """The scale of colours, with the level of its ends."""
    x = WIDTH - SCALE + 8
    marks = [round(top_dbfs - part * RANGE_DB) for part in (0, 0.25, 0.5, 0.75, 1)]
    return [
        element("rect", x=x, y=top, width=8, height=PICTURE, fill=f"url(#{SHADES})"),
        *(
            _text(x + 12, top + part * PICTURE + (9 if part == 0 else 0 if part == 1 else 4), f"{mark}", "start")
            for part, mark in zip((0, 0.25, 0.5, 0.75, 1), marks, strict=True)
        ),
        _text(WIDTH, top - 4, "dBFS", "end", "name"),
    ]


def _chart(title: str, rows: Sequence[Child], bars: Sequence[Child], marks: Sequence[Child], below: str) -> Markup:
    return element(
        "svg",
        element("title", title),
        *rows,
        *bars,
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM, class_="axis"),
        *marks,
        _text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, below, "middle", "name"),
        _upright(10, TOP + (HEIGHT - TOP - BOTTOM) / 2, "clips"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )


def _marks(edges: Sequence[float]) -> list[tuple[float, float]]:
    """Where an axis over these edges is marked: (place in bars, value), at round values where the edges are even."""
    bars = len(edges) - 1
    if bars == 1:
        return [(0.5, edges[0])] if edges[0] == edges[1] else [(0.0, edges[0]), (1.0, edges[1])]
    widths = np.diff(edges)
    if not np.allclose(widths, widths[0], rtol=1e-3):
        return [(float(at), edges[at]) for at in np.unique(np.linspace(0, bars, min(bars, 5) + 1).round().astype(int))]
    step = nice_step((edges[-1] - edges[0]) / 6)
    values = [i * step for i in range(math.ceil(edges[0] / step - 1e-9), math.floor(edges[-1] / step + 1e-9) + 1)]
    return [((value - edges[0]) / float(widths[0]), value) for value in values]


def _rows(most: int) -> tuple[float, list[Markup]]:
    """The top of an axis of counts, and its lines with their numbers."""
    step = max(1.0, nice_step(most / 4))
    top = step * math.ceil(most / step)
    rows: list[Markup] = []
    for i in range(round(top / step) + 1):
        y = _height(i * step, top)
        rows.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        rows.append(_beside(y, f"{i * step:,.0f}"))
    return top, rows


def _height(clips: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - clips / top)


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _below(x: float, text: str) -> Markup:
    return _text(x, HEIGHT - BOTTOM + 15, text, "middle")


def _beside(y: float, text: str, shift: float = 4) -> Markup:
    return _text(LEFT - 5, y + shift, text, "end")


def _text(x: float, y: float, text: str, anchor: str, class_: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def _upright(x: float, y: float, text: str) -> Markup:
    turn = f"rotate(-90 {number(x)} {number(y)})"
    return element("text", text, x=x, y=y, text_anchor="middle", transform=turn, class_="name")
