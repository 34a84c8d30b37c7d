"""Charts of a training as inline SVG; colours come from the page's style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xfer.train.data.summary import nice_step
from xfer.train.page.markup import Child, Markup, element, number
from xfer.train.report.gather import Bands, Bin

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 42
NAMED, COUNTED = 30, 16
"""Labels beside a matrix, and counts in its cells: of more there is no room."""


def line_chart(
    title: str,
    x: Sequence[float],
    lines: Sequence[tuple[str, Sequence[float]]],
    below: str,
    beside: str,
    *,
    top: float | None = None,
    mark: float | None = None,
) -> Markup:
    """Lines over a common axis; `lines` are a class of the style and its values, `mark` a place on the axis."""
    highest = top if top is not None else _round_up(max((max(values) for _, values in lines), default=1.0))
    first, last = min(x), max(max(x), min(x) + 1)
    rows = _rows(highest)
    shown: list[Child] = []
    if mark is not None:
        at = _x(mark, first, last)
        shown.append(element("line", x1=at, x2=at, y1=TOP, y2=HEIGHT - BOTTOM, class_="best"))
    for style, values in lines:
        points = " L".join(
            f"{number(_x(each, first, last))} {number(_y(min(value, highest), highest))}"
            for each, value in zip(x, values, strict=True)
        )
        shown.append(element("path", d=f"M{points}", class_=f"line {style}"))
        if len(x) == 1:
            shown.append(element("circle", cx=_x(x[0], first, last), cy=_y(values[0], highest), r=3, class_=style))
    step = max(1.0, nice_step((last - first) / 6))
    ticks = [first + i * step for i in range(int((last - first) / step + 1e-9) + 1)]
    marks = [_text(_x(each, first, last), HEIGHT - BOTTOM + 15, f"{each:g}", "middle") for each in ticks]
    return _frame(title, [*rows, *shown, *marks], below, beside)


def calibration_chart(bins: Sequence[Bin]) -> Markup:
    """Accuracy over confidence; on the diagonal a score is what it says. A point's area is its share of clips."""
    total = sum(each.clips for each in bins)
    points = [
        element(
            "circle",
            element("title", f"{each.clips} clips: mean score {each.confidence:.0%}, right {each.accuracy:.0%}"),
            cx=_x(each.confidence, 0, 1),
            cy=_y(each.accuracy, 1),
            r=3 + 11 * (each.clips / total) ** 0.5,
            class_="point",
        )
        for each in bins
    ]
    diagonal = element("line", x1=_x(0, 0, 1), y1=_y(0, 1), x2=_x(1, 0, 1), y2=_y(1, 1), class_="best")
    marks = [_text(_x(each, 0, 1), HEIGHT - BOTTOM + 15, f"{each:.0%}", "middle") for each in (0, 0.25, 0.5, 0.75, 1)]
    return _frame("calibration", [*_rows(1.0, "%"), diagonal, *points, *marks], "best score of a clip", "right")


def confusion_chart(labels: Sequence[str], confusion: npt.NDArray[np.int64]) -> Markup:
    """The matrix (k, k): each row (truth) shaded by shares of its clips; names and counts where there is room."""
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    count, named = len(labels), len(labels) <= NAMED
    side = min(460.0, 52.0 * count)
    left = 14 + 6.4 * max(len(label) for label in labels) if named else 24.0
    cell = side / count
    parts: list[Child] = [element("rect", x=left, y=8, width=side, height=side, class_="frame")]
    for row, column in np.argwhere(confusion).tolist():
        told = f"{labels[row]} taken for {labels[column]}: {confusion[row, column]} clips, {share[row, column]:.0%}"
        style = "right" if row == column else "wrong"
        x, y = left + column * cell, 8 + row * cell
        opacity = f"{0.12 + 0.88 * share[row, column]:.2f}"
        parts.append(
            element(
                "rect", element("title", told), x=x, y=y, width=cell, height=cell, class_=style, fill_opacity=opacity
            )
        )
        if count <= COUNTED:
            tone = "strong" if share[row, column] > 0.5 else "cell"
            parts.append(_text(x + cell / 2, y + cell / 2 + 4, f"{confusion[row, column]}", "middle", tone))
    below = 30.0
    if named:
        below += 4.3 * max(len(label) for label in labels)
        for at, label in enumerate(labels):
            parts.append(_text(left - 6, 12 + (at + 0.5) * cell, label, "end"))
            x, y = left + (at + 0.5) * cell + 4, side + 18
            turn = f"rotate(-40 {number(x)} {number(y)})"
            parts.append(element("text", label, x=x, y=y, transform=turn, text_anchor="end"))
    else:
        parts.append(_text(left + side / 2, side + 26, "answered, in alphabetical order", "middle", "name"))
    width = left + side + 8
    return element(
        "svg",
        element("title", "confusion matrix: rows are the truth, columns the answers"),
        *parts,
        viewBox=f"0 0 {number(width)} {number(8 + side + below)}",
        style=f"max-width:{number(width * 1.35)}px",
        role="img",
        class_="matrix",
    )


def bands_chart(bands: Bands) -> Markup:
    """Pass bands of the sinc filters, before training in grey and after in colour, ordered by their lower edge."""
    highest = float(max(bands.before.max(), bands.after.max()))
    shown: list[Child] = []
    for values, style in ((bands.before, "before"), (bands.after, "after")):
        ordered = values[np.argsort(values.mean(axis=1), kind="stable")]
        for edge in (0, 1):
            points = " L".join(
                f"{number(_x(at, 0, len(ordered) - 1))} {number(_y(each / 1000, highest / 1000))}"
                for at, each in enumerate(ordered[:, edge])
            )
            shown.append(element("path", d=f"M{points}", class_=f"line {style}"))
    marks = [
        _text(_x(each, 0, len(bands.before) - 1), HEIGHT - BOTTOM + 15, f"{each}", "middle")
        for each in (0, 64, len(bands.before) - 1)
        if each < len(bands.before)
    ]
    return _frame(
        "pass bands of the sinc filters",
        [*_rows(highest / 1000), *shown, *marks],
        "filter, by its middle",
        "edges (kHz)",
    )


def _frame(title: str, parts: Sequence[Child], below: str, beside: str) -> Markup:
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    return element(
        "svg",
        element("title", title),
        *parts,
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM, class_="axis"),
        _text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, below, "middle", "name"),
        element(
            "text",
            beside,
            x=10,
            y=middle,
            text_anchor="middle",
            transform=f"rotate(-90 10 {number(middle)})",
            class_="name",
        ),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )


def _rows(highest: float, unit: str = "") -> list[Markup]:
    step = nice_step(highest / 4)
    rows: list[Markup] = []
    for i in range(int(highest / step + 1e-9) + 1):
        y = _y(i * step, highest)
        rows.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        rows.append(_text(LEFT - 5, y + 4, f"{i * step:.0%}" if unit else f"{i * step:g}", "end"))
    return rows


def _round_up(value: float) -> float:
    step = nice_step(max(value, 1e-6) / 4)
    return float(step * np.ceil(value / step))


def _x(value: float, first: float, last: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - first) / (last - first)


def _y(value: float, highest: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / highest)


def _text(x: float, y: float, text: str, anchor: str, class_: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)
