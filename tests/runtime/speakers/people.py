"""People made of numbers: each has a direction, and windows scatter round it."""

from __future__ import annotations

import hashlib

import numpy as np

from xfer.runtime.speakers import Person, Recording

SIZE = 16


def recording(rng: np.random.Generator, centre: np.ndarray, windows: int = 6, scatter: float = 0.3) -> Recording:
    """Windows round a direction, with embeddings of any length."""
    noise = rng.standard_normal((windows, len(centre))) * scatter
    values = ((centre + noise) * rng.uniform(0.5, 20, (windows, 1))).astype(np.float32)
    name = hashlib.sha256(values.tobytes()).hexdigest()
    return Recording(f"{name[:6]}.wav", name, 3.0 * windows, "2026-11-23T10:00:00+01:00", values)


def person(name: str, seed: int, recordings: int = 3, scatter: float = 0.3) -> Person:
    """Somebody of an own direction."""
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal(SIZE)
    centre /= np.linalg.norm(centre)
    return Person(name, tuple(recording(rng, centre, scatter=scatter) for _ in range(recordings)))


def crowd(count: int, recordings: int = 3, scatter: float = 0.3) -> list[Person]:
    """Several."""
    return [person(f"person {k}", 100 + k, recordings, scatter) for k in range(count)]
