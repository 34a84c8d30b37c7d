"""A picture of shades as a PNG with a palette: small, and without any imaging library."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

ANCHORS = (0x000004, 0x1C1044, 0x4F127B, 0x812581, 0xB5367A, 0xE55064, 0xFB8761, 0xFEC287, 0xFCFDBF)
"""From silence to loud: lightness rises evenly, so that grey print and colour-blind eyes see the same picture. These
are nine points of matplotlib's "magma" (CC0, S. van der Walt and N. Smith)."""


def palette() -> npt.NDArray[np.uint8]:
    """256 colours between the anchors: (256, 3)."""
    anchors = np.array([[colour >> shift & 255 for shift in (16, 8, 0)] for colour in ANCHORS], dtype=np.float64)
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def data_uri(shades: npt.NDArray[np.uint8]) -> str:
    """Shades, (rows, columns), as `data:image/png;base64,...`."""
    return f"data:image/png;base64,{base64.b64encode(png(shades)).decode()}"


def png(shades: npt.NDArray[np.uint8]) -> bytes:
    """Shades, (rows, columns), as a PNG file: eight bits a pixel, one palette (PNG specification, colour type 3)."""
    rows, columns = shades.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    # Each row begins with its filter type; 2 (up: the difference to the row above) packs spectrograms best.
    differences = np.diff(shades, axis=0, prepend=np.zeros((1, columns), np.uint8))
    lines = np.concatenate([np.full((rows, 1), 2, np.uint8), differences], axis=1)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", palette().tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
