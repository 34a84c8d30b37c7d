"""All that becomes of a clip on one sheet: its spectrograms as a PNG."""

from __future__ import annotations

import io
import math

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from xfer.train.augment.page.showing import Showing
from xfer.train.data.page.examples import WINDOW_SECONDS, spectrogram
from xfer.train.data.wording import printable
from xfer.train.page.png import palette

COLUMNS = 3
PAPER, INK, SOFT, LINE = "#fbfbfa", "#1d2126", "#5d6670", "#e1e4e8"
"""As in train/page/page.css, in daylight."""
PANEL, GAP, MARGIN, TOP = (3.6, 1.7), (0.35, 0.85), (0.85, 0.75), 1.15
"""Inches, across and up: a picture, the room between two, that on the left and below, and that above. Fixed, since
matplotlib's own layouts draw everything twice."""


def sheet(showing: Showing) -> bytes:
    """The contact sheet of a clip, a PNG file."""
    rows = -(-len(showing.sounds) // COLUMNS)
    across, up = (
        count * panel + (count - 1) * gap for count, panel, gap in zip((COLUMNS, rows), PANEL, GAP, strict=True)
    )
    width, height = MARGIN[0] + across + GAP[0], MARGIN[1] + up + TOP
    figure = Figure(figsize=(width, height), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    figure.suptitle(_plain(showing.clip.label), color=INK, fontsize=17, fontweight="bold", y=1 - 0.3 / height)
    figure.supxlabel("time (s)", color=SOFT, fontsize=9.5, y=0.2 / height)
    figure.supylabel("frequency (kHz)", color=SOFT, fontsize=9.5, x=0.25 / width)
    figure.subplots_adjust(
        left=MARGIN[0] / width,
        right=1 - GAP[0] / width,
        bottom=MARGIN[1] / height,
        top=1 - TOP / height,
        wspace=GAP[0] / PANEL[0],
        hspace=GAP[1] / PANEL[1],
    )
    colours = ListedColormap(palette() / 255.0)
    window = 2 ** round(math.log2(WINDOW_SECONDS * showing.rate))
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True).flatten()
    for at, panel in enumerate(panels):
        if at >= len(showing.sounds):
            panel.set_axis_off()
            continue
        sound = showing.sounds[at]
        pixels, _ = spectrogram(sound.samples, window)
        extent = (0.0, len(sound.samples) / showing.rate, 0.0, showing.rate / 2000)
        panel.imshow(pixels, cmap=colours, vmin=0, vmax=255, aspect="auto", extent=extent)
        panel.set_title(sound.title, color=INK, fontsize=11.5, fontweight="bold", loc="left", pad=19)
        panel.text(0, 1.025, _plain(sound.words), transform=panel.transAxes, color=SOFT, fontsize=8.5)
        panel.locator_params(nbins=5)
        panel.tick_params(colors=SOFT, labelsize=8, length=3)
        for spine in panel.spines.values():
            spine.set_color(LINE)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _plain(text: str) -> str:
    """Text as it stands: matplotlib reads dollar signs as mathematics."""
    return printable(text).replace("$", r"\$")
