"""Charts of a parity report as inline SVG; colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from xfer.export.inputs import REAL
from xfer.export.parity.filters import FilterReport
from xfer.export.parity.report import Row
from xfer.train.page.markup import Child, Markup, element, number
from xfer.train.page.png import data_uri

KINDS = (
    ("band", "filters", ("filter", "all filters")),
    ("steady", "silence, constant, square", ("silence", "dc", "square")),
    ("short", "impulse, clipped", ("impulse", "clipped", "clipped speech")),
    ("chirp", "chirp, tones", ("chirp", "tones at another rate")),
    ("noise", "noise", ("noise",)),
    ("formula", "speech by formula", ("speech by formula",)),
    ("real", "real clips", (REAL.strip(),)),
)
"""Class of the style, words of the legend, and how the names of such inputs begin; the longest beginning counts."""

WIDTH, LANE, LEFT, RIGHT, TOP, BOTTOM = 1100, 6, 130, 24, 8, 40
ROW = LANE * (len(KINDS) + 1.6)
LOWEST, HIGHEST = -10, 0
"""Powers of ten; what is smaller stands at the left end, what is larger at the right."""

_NARROW, _HEIGHT, _LOW, _SIDE = 540, 250, 40, 46
_FLOOR_DB = -60.0
_BANDS_DRAWN = 9
_OCTAVES = (31.25, 62.5, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)


def kind_of(name: str) -> str:
    """The kind of an input, by its name."""
    found = [(len(start), kind) for kind, _, starts in KINDS for start in starts if name.startswith(start)]
    return max(found)[1] if found else "formula"


def errors_chart(stages: Sequence[str], rows: Sequence[Row]) -> Markup:
    """A strip a stage, a lane in it for each kind of input, a dot for each comparison; the limit is a line.

    Filled: alone, on the main engine and one thread. A ring: in a batch, on more threads or in another engine.
    """
    main = next((row.engine for row in rows if row.engine), "")
    height = TOP + ROW * len(stages) + BOTTOM
    parts: list[Child] = [*_powers(height)]
    for at, stage in enumerate(stages):
        some = [row for row in rows if row.stage == stage]
        parts += _strip(stage, TOP + at * ROW, some, main)
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 6, "error, in the stage's own measure", "middle", "name"))
    return element(
        "svg",
        element("title", "error of every comparison, by stage"),
        *parts,
        viewBox=f"0 0 {WIDTH} {number(height)}",
        role="img",
        class_="errors",
    )


def _strip(stage: str, top: float, rows: Sequence[Row], main: str) -> Iterator[Markup]:
    limit = _x(rows[0].limit)
    bottom = top + ROW
    yield element("rect", x=limit, y=top, width=WIDTH - RIGHT - limit, height=ROW, class_="beyond")
    yield element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="grid")
    yield element("line", x1=limit, x2=limit, y1=top + 2, y2=bottom - 2, class_="limit")
    yield _text(LEFT - 8, top + ROW / 2 + 4, stage, "end", "stage" if all(row.ok for row in rows) else "stage failed")
    lanes = [kind for kind, _, _ in KINDS]
    for row in rows:
        kind = kind_of(row.input)
        plain = row.batch == 1 and row.engine in ("", main)
        said = f"{row.where}: {row.error:.1e}"
        yield element(
            "circle",
            element("title", said),
            cx=_x(row.error),
            cy=top + LANE * (lanes.index(kind) + 1.3),
            r=(2.9 if plain else 3.2) * (1 if row.ok else 1.5),
            class_=f"{kind}{'' if plain else ' ring'}",
        )


def _powers(height: float) -> Iterator[Markup]:
    """Lines at the powers of ten, with their names."""
    for power in range(LOWEST, HIGHEST + 1):
        x = _x(10.0**power)
        yield element("line", x1=x, x2=x, y1=TOP, y2=height - BOTTOM, class_="grid")
        exponent = element("tspan", f"{power}".replace("-", "\u2212"), dy="-4", class_="power")
        label: list[Child] = ["\u2264 10", exponent] if power == LOWEST else ["10", exponent]
        if power == HIGHEST:
            label = ["\u2265 1"]
        yield element("text", *label, x=x, y=height - BOTTOM + 17, text_anchor="middle")


def _x(error: float) -> float:
    if not math.isfinite(error):
        return WIDTH - RIGHT
    power = math.log10(error) if error > 0 else LOWEST
    part = (min(max(power, LOWEST), HIGHEST) - LOWEST) / (HIGHEST - LOWEST)
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def responses_chart(found: FilterReport) -> Markup:
    """Some bands from low to high: the analytic response broad and pale, the exported one on top of it."""
    order = np.argsort(found.low_hz + found.high_hz, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(_BANDS_DRAWN, len(order))).round().astype(int)]
    parts: list[Child] = [*_octaves(found, _HEIGHT - _LOW)]
    for level in range(0, int(_FLOOR_DB) - 1, -20):
        y = _level(level)
        parts.append(element("line", x1=_SIDE, x2=_NARROW - 10, y1=y, y2=y, class_="grid"))
        parts.append(_text(_SIDE - 5, y + 4, f"{level}".replace("-", "\u2212"), "end"))
    for values, style in ((found.analytic_db, "analytic"), (found.exported_db, "exported")):
        for place, band in enumerate(chosen):
            style_of = f"response {style} band{place % 3}"
            title = element("title", found.band(band))
            parts.append(element("path", title, d=_path(found, values[band]), class_=style_of))
    parts.append(_upright(11, (_HEIGHT - _LOW) / 2, "gain (dB)"))
    return _narrow("frequency responses", parts, _HEIGHT)


def picture(
    found: FilterReport, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], low: float, high: float, title: str
) -> Markup:
    """Every band as a row of shades over frequency, the lowest band at the bottom; `low` to `high` dB."""
    order = np.argsort(found.low_hz + found.high_hz, kind="stable")[::-1]
    shades = np.clip((values[order] - low) / (high - low), 0.0, 1.0)
    axis = np.log2(found.frequencies)
    even = np.linspace(axis[0], axis[-1], 320)
    pixels = np.stack([np.interp(even, axis, row) for row in shades])
    bottom = _HEIGHT - _LOW
    parts: list[Child] = [
        element(
            "image",
            href=data_uri(np.rint(255 * pixels).astype(np.uint8)),
            x=_SIDE,
            y=8,
            width=_NARROW - 10 - _SIDE,
            height=bottom - 8,
            preserveAspectRatio="none",
        ),
        element("rect", x=_SIDE, y=8, width=_NARROW - 10 - _SIDE, height=bottom - 8, class_="frame"),
        *_octaves(found, bottom, lines=False),
        _text(_SIDE - 5, bottom, "1", "end"),
        _text(_SIDE - 5, 18, f"{len(order)}", "end"),
        _upright(11, bottom / 2, "filter, by its middle"),
    ]
    return _narrow(title, parts, _HEIGHT)


def bands_chart(found: FilterReport, limit: float) -> Markup:
    """Of each band, the largest difference within its pass band in dB, on a scale of powers of ten."""
    bottom, low, high = _HEIGHT - _LOW, -9.0, 1.0
    parts: list[Child] = [*_octaves(found, bottom)]

    def y(value: float) -> float:
        power = math.log10(value) if value > 0 else low
        return 8 + (bottom - 8) * (1 - (min(max(power, low), high) - low) / (high - low))

    for power in range(int(low), int(high) + 1, 2):
        parts.append(element("line", x1=_SIDE, x2=_NARROW - 10, y1=y(10.0**power), y2=y(10.0**power), class_="grid"))
        exponent = element("tspan", f"{power}".replace("-", "\u2212"), dy="-4", class_="power")
        parts.append(element("text", "10", exponent, x=_SIDE - 5, y=y(10.0**power) + 4, text_anchor="end"))
    parts.append(element("line", x1=_SIDE, x2=_NARROW - 10, y1=y(limit), y2=y(limit), class_="limit"))
    for at, value in enumerate(found.response_db):
        middle = (found.low_hz[at] + found.high_hz[at]) / 2
        said = f"{found.band(at)}: {value:.1e} dB; edges {found.edges_hz[at]:.1e} Hz; taps {found.impulse[at]:.1e}"
        parts.append(
            element(
                "circle",
                element("title", said),
                cx=_at(found, middle),
                cy=y(float(value)),
                r=2.6,
                class_="real" if value <= limit else "failed",
            )
        )
    parts.append(_upright(11, bottom / 2, "difference (dB)"))
    return _narrow("deviation of each band", parts, _HEIGHT)


def _narrow(title: str, parts: Sequence[Child], height: float) -> Markup:
    below = _text((_SIDE + _NARROW - 10) / 2, height - 5, "frequency (Hz)", "middle", "name")
    return element("svg", element("title", title), *parts, below, viewBox=f"0 0 {_NARROW} {number(height)}", role="img")


def _octaves(found: FilterReport, bottom: float, lines: bool = True) -> Iterator[Markup]:
    for each in _OCTAVES:
        if found.frequencies[0] <= each <= found.frequencies[-1]:
            x = _at(found, each)
            if lines:
                yield element("line", x1=x, x2=x, y1=8, y2=bottom, class_="grid")
            name = f"{each / 1000:g}k" if each >= 1000 else f"{each:.0f}"
            yield _text(x, bottom + 15, name, "middle")


def _at(found: FilterReport, hertz: float) -> float:
    first, last = math.log2(found.frequencies[0]), math.log2(found.frequencies[-1])
    return _SIDE + (_NARROW - 10 - _SIDE) * (math.log2(max(hertz, 1.0)) - first) / (last - first)


def _level(decibels: float) -> float:
    return 14 + (_HEIGHT - _LOW - 14) * decibels / _FLOOR_DB


def _path(found: FilterReport, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    """The response down to the floor; below it the pen is lifted."""
    words, drawing = [], False
    for hertz, value in zip(found.frequencies, values, strict=True):
        if value < _FLOOR_DB:
            drawing = False
            continue
        words.append(f"{'L' if drawing else 'M'}{number(_at(found, hertz))} {number(_level(value))}")
        drawing = True
    return " ".join(words)


def _text(x: float, y: float, text: str, anchor: str, class_: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def _upright(x: float, y: float, text: str) -> Markup:
    turn = f"rotate(-90 {number(x)} {number(y)})"
    return element("text", text, x=x, y=y, text_anchor="middle", transform=turn, class_="name")
