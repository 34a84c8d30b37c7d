"""What goes on just now: one object that the listener writes and any view reads (terminal, web page, health).

Reading it costs the listener nothing: a spectrum is computed when somebody asks, from the last samples, which are kept.
Every field may be read from any thread; `tail` and `document` give what belongs together.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import Samples
from xfer.runtime.decide import Decision
from xfer.runtime.listening.gate import LOWEST_DBFS

TAIL_SECONDS = 2.0
"""So much of the latest sound is kept for spectra."""

HISTORY = 120
"""Decisions of each model that are kept for a history of confidence."""

LATENCIES = 200
"""Of the latest windows."""


@dataclass
class ModelState:
    """One model, as it stands."""

    task: str
    model: str
    words: str
    """Whom or what it can name."""
    window_seconds: float
    hop_seconds: float
    decision: Decision | None = None
    """The latest; None: none yet, or nothing is heard just now."""
    seconds: float = 0.0
    """Stream time of the latest decision."""
    holding: str | None = None
    """Label of the event that goes on just now; None: there is none, or it is unknown."""
    windows: int = 0
    """That were scored."""
    skipped: int = 0
    """That the gate kept from the engine."""
    events: int = 0
    compute_ms: float = 0.0
    """The engine's latest window."""
    history: deque[tuple[float, str, bool, float]] = field(default_factory=lambda: deque(maxlen=HISTORY))
    """Stream time, label, known, score of the latest decisions."""


@dataclass
class Condition:
    """How the source is, in one word and one sentence."""

    state: str = "starting"
    """`starting`, `listening`, `lost` (device or stream), `behind` (sound waits), `dropping` (it was lost), `mute`
    (nothing but zeros), `clipping`, `ended`."""
    text: str = ""
    since: float = field(default_factory=time.monotonic)


class LiveState:
    """What a listener hears, and how it fares."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.source = ""
        self.rate = 0
        """Hz, of the source."""
        self.seconds = 0.0
        """Stream time."""
        self.level_dbfs = -math.inf
        """Root mean square of the last block; 0 is a full-scale square wave."""
        self.peak = 0.0
        """Largest absolute value of the last block; 1 is full scale."""
        self.floor_dbfs = LOWEST_DBFS
        """Of the room."""
        self.threshold_dbfs = LOWEST_DBFS
        """Louder is sound."""
        self.open = False
        """Is there sound just now?"""
        self.dropped = 0
        """Samples lost so far."""
        self.gaps = 0
        """Stretches that were lost or no sound."""
        self.clipped = 0
        """Samples at or beyond full scale."""
        self.waiting_seconds = 0.0
        """Sound that is here and not listened to yet."""
        self.latencies_ms: deque[float] = deque(maxlen=LATENCIES)
        """Of the latest windows."""
        self.drift_ppm: float | None = None
        self.condition = Condition()
        self.models: list[ModelState] = []
        self._tail: npt.NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._written = 0
        self._lock = threading.Lock()

    @property
    def latency_ms(self) -> float | None:
        """Median of the latest windows."""
        held = sorted(self.latencies_ms)
        return held[len(held) // 2] if held else None

    def begin(self, source: str, rate: int) -> None:
        """Another source is listened to; counts go on, what belongs to a stream begins anew."""
        with self._lock:
            self.source, self.rate, self.seconds = source, rate, 0.0
            self._tail, self._written = np.zeros(round(TAIL_SECONDS * rate), dtype=np.float32), 0

    def hear(self, samples: Samples) -> None:
        """The next samples, without what is no sound."""
        if not len(samples):
            return
        power = float(np.mean(np.square(samples)))
        self.level_dbfs = 10 * math.log10(power) if power > 0 else -math.inf
        self.peak = float(np.abs(samples).max())
        with self._lock:
            kept = samples[-len(self._tail) :]
            at = (self._written + len(samples) - len(kept)) % len(self._tail)
            first = min(len(kept), len(self._tail) - at)
            self._tail[at : at + first] = kept[:first]
            self._tail[: len(kept) - first] = kept[first:]
            self._written += len(samples)

    def tail(self, since: int = 0) -> tuple[int, Samples]:
        """The latest samples from place `since` of the stream on, at most 2 s: the place of the first, and they."""
        with self._lock:
            held = min(self._written, len(self._tail))
            first = max(since, self._written - held)
            if first >= self._written:
                return self._written, np.zeros(0, dtype=np.float32)
            places = np.arange(first, self._written) % len(self._tail)
            return first, self._tail[places]

    def spectrum(self, bands: int = 32, lowest_hz: float = 50.0, size: int = 2048) -> npt.NDArray[np.float64]:
        """Level of the latest sound in bands of equal width in octaves, dBFS of a sine, (bands,); -100: silence."""
        _, samples = self.tail()
        levels = np.full(bands, LOWEST_DBFS)
        if len(samples) < size:
            return levels
        window = np.hanning(size)
        amplitudes = np.abs(np.fft.rfft(samples[-size:] * window)) * 2 / window.sum()
        hertz = np.fft.rfftfreq(size, 1 / self.rate)
        edges = np.geomspace(lowest_hz, self.rate / 2, bands + 1)
        for band in range(bands):
            near = (hertz >= edges[band]) & (hertz < edges[band + 1])
            # Low bands are narrower than a bin: they show the nearest one.
            found = amplitudes[near].max() if near.any() else amplitudes[np.abs(hertz - edges[band]).argmin()]
            levels[band] = 20 * math.log10(max(float(found), 10 ** (LOWEST_DBFS / 20)))
        return levels

    def document(self) -> dict[str, Any]:
        """All of it as JSON has it: what a `health` line and a health endpoint say."""
        latency = self.latency_ms
        return {
            "state": self.condition.state,
            "text": self.condition.text,
            "for_seconds": round(time.monotonic() - self.condition.since, 1),
            "uptime_seconds": round(time.monotonic() - self.started, 1),
            "level_dbfs": round(max(self.level_dbfs, LOWEST_DBFS), 1),
            "peak": round(self.peak, 4),
            "floor_dbfs": round(self.floor_dbfs, 1),
            "threshold_dbfs": round(self.threshold_dbfs, 1),
            "open": self.open,
            "dropped": self.dropped,
            "gaps": self.gaps,
            "clipped": self.clipped,
            "waiting_seconds": round(self.waiting_seconds, 3),
            "latency_ms": None if latency is None else round(latency, 3),
            "drift_ppm": None if self.drift_ppm is None else round(self.drift_ppm, 1),
            "models": [
                {
                    "task": each.task,
                    "model": each.model,
                    "windows": each.windows,
                    "skipped": each.skipped,
                    "events": each.events,
                    "compute_ms": round(each.compute_ms, 3),
                }
                for each in self.models
            ],
        }
