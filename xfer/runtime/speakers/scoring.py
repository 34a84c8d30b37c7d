"""Who speaks: the cosine of what a model hears to the centroid of each enrolled person.

A window's embedding is brought to length 1, so that loudness and certainty do not weigh; the mean of several is brought
to length 1 again. That mean is a person's centroid over all their windows, or what is heard over the last few. Nothing
here knows of files or streams: embeddings in, a match out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer.runtime.errors import Unusable

Floats = npt.NDArray[np.float64]
AnyFloats = npt.NDArray[np.floating]

AVERAGED = 3
"""A decision hears so many windows: its own and the ones just before it, as `listen` averages them."""


@dataclass(frozen=True)
class Match:
    """Who is nearest to what was heard."""

    label: str
    """The nearest enrolled person; the first of equally near ones."""
    known: bool
    """False: too far from everybody, or two people are too nearly as near."""
    score: float
    """Cosine to that person's centroid, -1 to 1."""
    margin: float | None
    """How much further the second is, 0 to 2; None where one person alone is enrolled."""
    top: tuple[tuple[str, float], ...]
    """Everybody with their cosine, nearest first."""


@dataclass(frozen=True)
class Gallery:
    """Enrolled people, as they are compared with what is heard."""

    names: tuple[str, ...]
    centroids: Floats
    """(people, d), each of length 1."""
    threshold: float
    """A cosine below this is nobody."""
    origin: str = ""
    """How the threshold was found, in words."""
    least_margin: float = 0.0
    """The second must be at least so much further."""

    def match(self, embeddings: AnyFloats) -> Match:
        """Embeddings of the last few windows, (n, d), n > 0, to a match. Raises Unusable for what is no embedding."""
        scores = self.centroids @ heard(embeddings)
        order = sorted(range(len(scores)), key=lambda k: -scores[k])  # stable: the first of equals stays first
        best = order[0]
        margin = float(scores[best] - scores[order[1]]) if len(order) > 1 else None
        near = bool(scores[best] >= self.threshold)
        apart = margin is None or margin >= self.least_margin
        top = tuple((self.names[k], float(scores[k])) for k in order)
        return Match(self.names[best], near and apart, float(scores[best]), margin, top)


def directions(embeddings: AnyFloats) -> Floats:
    """Embeddings (n, d) at length 1, in float64; one of length 0 stays, and is like nobody."""
    wide = np.asarray(embeddings, dtype=np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12))


def heard(embeddings: AnyFloats) -> Floats:
    """The direction of several windows together: (n, d) -> (d,), of length 1. Raises Unusable where one is no number.

    As many windows as there are count alike, whatever the length of their embeddings.
    """
    if embeddings.ndim != 2 or not len(embeddings):
        raise Unusable(
            f"embeddings of shape {embeddings.shape} say nothing about who speaks: (windows, size) is needed"
        )
    if not np.isfinite(embeddings).all():
        raise Unusable("an embedding is not made of finite numbers: check the model with xfer verify")
    return np.asarray(directions(directions(embeddings).mean(axis=0)))


def decided(embeddings: AnyFloats, averaged: int = AVERAGED) -> Floats:
    """What `listen` would compare after each window of a recording: (n, d) -> (n, d), each of length 1.

    The first ones hear fewer windows than `averaged`, as at the start of a stream.
    """
    unit = directions(embeddings)
    means = [unit[max(0, k + 1 - averaged) : k + 1].mean(axis=0) for k in range(len(unit))]
    return directions(np.array(means).reshape(unit.shape))


def gallery(
    people: Sequence[tuple[str, AnyFloats]], threshold: float, origin: str = "", least_margin: float = 0.0
) -> Gallery:
    """People, each with the embeddings of all their windows (n, d). Raises Unusable where there is nobody."""
    if not people:
        raise Unusable("nobody is enrolled: xfer speakers add NAME FILE...")
    centroids = np.array([heard(embeddings) for _, embeddings in people])
    return Gallery(tuple(name for name, _ in people), centroids, threshold, origin, least_margin)
