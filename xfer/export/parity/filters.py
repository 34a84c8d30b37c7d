"""Sinc filters as they stand in the exported graph, against the analytic ones in float64: taps, response and edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.export.oracle import Description, Parameters, sinc_kernels

Floats = npt.NDArray[np.float64]
POINTS = 1 << 13
"""Of a response: a Hz apart at 16 kHz, where the narrowest band is fifty wide."""
HALF_DB = -6.0
"""An edge is where the response has fallen so far from its peak: there the ideal filter's step lies."""
_SHOWN, _LOWEST_HZ = 400, 20.0
"""Points of a response that a page draws, evenly on a scale of octaves, and the lowest of them."""


@dataclass(frozen=True)
class FilterReport:
    """Each band, in the order of the net's filters."""

    low_hz: Floats
    """Lower edge of the pass band as learned, (filters,)"""
    high_hz: Floats
    """Upper edge, (filters,)"""
    impulse: Floats
    """Largest difference of a tap; the centre tap is 1. (filters,)"""
    response_db: Floats
    """Largest difference of the response within the pass band, in dB. (filters,)"""
    edges_hz: Floats
    """How far the -6 dB edges lie from the analytic filter's, the larger of the two. (filters,)"""
    frequencies: Floats
    """Of the responses that are drawn, Hz, (points,)"""
    exported_db: Floats
    """Response of the exported filters over the peak of the analytic ones, (filters, points)"""
    analytic_db: Floats
    """(filters, points)"""
    difference_db: Floats
    """Response of the difference of both, likewise over the peak of the analytic ones, (filters, points)"""

    def document(self) -> dict[str, Any]:
        """A band a line, ready for JSON."""
        names = ("low_hz", "high_hz", "impulse", "response_db", "edges_hz")
        columns = [getattr(self, name).tolist() for name in names]
        return {
            "bands": [
                {name: float(f"{value:.6g}") for name, value in zip(names, row, strict=True)}
                for row in zip(*columns, strict=True)
            ]
        }

    def worst(self, name: str) -> tuple[int, float]:
        """The band that is farthest out in `impulse`, `response_db` or `edges_hz`, and by how much."""
        values = getattr(self, name)
        at = int(np.argmax(np.nan_to_num(values, nan=np.inf)))
        return at, float(values[at])

    def band(self, at: int) -> str:
        """A band by its number and edges."""
        return f"filter {at}, {self.low_hz[at]:.0f} to {self.high_hz[at]:.0f} Hz"


def is_sinc(description: Description) -> bool:
    """Is this front-end a bank of sinc filters?"""
    return description.get("kind") == "sinc"


def kernels_in(graph: Any, description: Description) -> npt.NDArray[Any] | None:
    """The filters that an onnx.ModelProto holds: the constant of (filters, 1, length) that the first convolution takes.

    Shape: -> (filters, length), or None where the graph has no such constant.
    """
    from onnx import numpy_helper

    shape = (int(description["filters"]), 1, int(description["length"]))
    constants = {each.name: each for each in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], field.t) for field in node.attribute if field.name == "value")
    for node in graph.graph.node:
        for name in node.input if node.op_type == "Conv" else ():
            if name in constants and tuple(constants[name].dims) == shape:
                return np.asarray(numpy_helper.to_array(constants[name]))[:, 0, :]
    return None


def compare_filters(exported: npt.NDArray[Any], description: Description, parameters: Parameters) -> FilterReport:
    """Hold exported filters, (filters, length), against the formula."""
    wanted = sinc_kernels(description, {name: parameters[name] for name in ("low", "band")})
    found = exported.astype(np.float64)
    rate, min_low, min_band = (float(description[key]) for key in ("sample_rate", "min_low", "min_band"))
    low = np.minimum(min_low + np.abs(parameters["low"]), rate / 2 - min_band)
    high = np.minimum(low + min_band + np.abs(parameters["band"]), rate / 2)
    frequencies = np.asarray(np.fft.rfftfreq(2 * POINTS, 1 / rate), dtype=np.float64)
    responses = [np.abs(np.fft.rfft(kernels, 2 * POINTS, axis=1)) for kernels in (found, wanted)]
    inside = (frequencies >= low[:, None]) & (frequencies <= high[:, None])
    decibels = [20 * np.log10(np.maximum(each, 1e-12)) for each in responses]
    off = np.where(inside, np.abs(decibels[0] - decibels[1]), 0.0).max(axis=1)
    edges = [_edges(each, frequencies) for each in decibels]
    drawn = np.unique(np.geomspace(_LOWEST_HZ / (rate / 2) * POINTS, POINTS, _SHOWN).round().astype(int))
    rest = np.abs(np.fft.rfft(found - wanted, 2 * POINTS, axis=1)[:, drawn])
    top = decibels[1].max(axis=1, keepdims=True)
    return FilterReport(
        low,
        high,
        np.abs(found - wanted).max(axis=1),
        off,
        np.abs(edges[0] - edges[1]).max(axis=1),
        frequencies[drawn],
        decibels[0][:, drawn] - top,
        decibels[1][:, drawn] - top,
        20 * np.log10(np.maximum(rest, 1e-12)) - top,
    )


def _edges(decibels: Floats, frequencies: Floats) -> Floats:
    """Where each response first and last passes -6 dB below its peak, by straight lines between the points.

    Shape: (filters, points) -> (filters, 2), Hz; a band that reaches the end of the axis has its edge there.
    """
    level = decibels.max(axis=1, keepdims=True) + HALF_DB
    above = decibels >= level
    found = np.empty((len(decibels), 2))
    last = len(frequencies) - 1
    first, final = above.argmax(axis=1), last - above[:, ::-1].argmax(axis=1)
    for row in range(len(decibels)):
        for column, (inner, outer) in enumerate(((first[row], first[row] - 1), (final[row], final[row] + 1))):
            if outer < 0 or outer > last:
                found[row, column] = frequencies[inner]
                continue
            here, there = decibels[row, inner], decibels[row, outer]
            part = float((here - level[row, 0]) / (here - there)) if here != there else 0.0
            found[row, column] = frequencies[inner] + part * (frequencies[outer] - frequencies[inner])
    return found
