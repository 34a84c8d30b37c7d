"""For programs that embed xfer: a model that is called with samples, or listens to a source.

What it answers is what `xfer listen` and `xfer classify` answer: the same windows, decisions and events.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from xfer.runtime.audio import fill, resample, window_starts
from xfer.runtime.decide import ByCard, Decider, Decision
from xfer.runtime.engines import Outputs
from xfer.runtime.errors import Unusable
from xfer.runtime.listening import EACH_WINDOW, Listener, Rules
from xfer.runtime.models import TASKS, Model, find_model, load_model
from xfer.runtime.speakers import enrolled_with
from xfer.runtime.waves import Blocks, Wave, check_rate, samples_of

if TYPE_CHECKING:
    from xfer.runtime.events import Event
    from xfer.runtime.sources import Source


@dataclass(frozen=True)
class Heard:
    """What a model says about a stretch of sound."""

    start: float
    """Seconds."""
    end: float
    """Seconds."""
    label: str
    known: bool
    """False: rejected as unknown; `label` is the nearest then."""
    score: float
    """Of the label: a probability, or a cosine where people are enrolled."""
    top: tuple[tuple[str, float], ...]
    """Labels and scores, best first."""


@dataclass(frozen=True)
class Answer(Heard):
    """What a model says about a whole clip."""

    windows: tuple[Heard, ...]
    """Window by window, each by itself."""
    embedding: npt.NDArray[np.float32]
    """Mean over the windows, (d,)."""


class Hearer:
    """A model that is loaded. One at a time: it is not for several threads at once."""

    def __init__(self, model: Model, decider: Decider, people: tuple[str, ...] = ()) -> None:
        self._model = model
        self._decider = decider
        self.people = people
        """Enrolled people whom it names in place of its own labels; empty: nobody is enrolled."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What it can name."""
        return self.people or self._model.card.labels

    @property
    def task(self) -> str:
        """What is recognised."""
        return self._model.card.task

    @property
    def rate(self) -> int:
        """Hz at which the net hears; sound at any other is resampled."""
        return self._model.card.sample_rate

    @property
    def model(self) -> Model:
        """The model file: its card, engine and path."""
        return self._model

    def __repr__(self) -> str:
        card = self._model.card
        return f"<{card.name}: {card.task}, {self._decider.words}, on {self._model.engine.description}>"

    def __call__(self, wave: Wave, rate: int) -> Answer:
        """What is heard in samples at `rate` Hz. Raises Unusable for what is no sound, or none at all."""
        samples, rate = samples_of(wave), check_rate(rate)
        card = self._model.card
        at_rate = resample(samples, rate, card.sample_rate)
        outputs, stretches = [], []
        for start in window_starts(len(at_rate), card.window, card.hop):
            window = fill(at_rate[start : start + card.window], card.window, card.short)
            outputs.append(self._model.run(window[None, :]))
            end = min(start + card.window, len(at_rate))
            stretches.append((start / card.sample_rate, end / card.sample_rate))
        whole = Outputs(*(np.concatenate(parts) for parts in zip(*outputs, strict=True)))
        windows = [
            _heard(*stretch, self._decider.decide(each)) for stretch, each in zip(stretches, outputs, strict=True)
        ]
        found = _heard(0.0, len(samples) / rate, self._decider.decide(whole))
        return Answer(**vars(found), windows=tuple(windows), embedding=whole.embedding.mean(axis=0))

    def listen(
        self,
        source: str | PathLike[str] | Source | Iterable[Wave] | None = None,
        *,
        rate: int | None = None,
        hop_seconds: float | None = None,
        top: int = 5,
        rules: Rules | None = None,
        each_window: bool = False,
    ) -> Generator[Event]:
        """Events as they come, until the source ends; leaving the loop closes it.

        source: a recording or an address by its name, blocks of samples (with their `rate`) as a microphone or a socket
            of your own delivers them, a source of `xfer.runtime.sources`, or None for the default microphone
        rate: Hz of blocks of samples
        hop_seconds: between two windows; the model's own by default
        top: so many labels with their scores in an event
        rules: what makes an event; `each_window`: every window is one

        Raises what the source raises, at once where it cannot be opened.
        """
        chosen = rules or (EACH_WINDOW if each_window else Rules())
        listener = Listener(self._model, chosen, hop_seconds=hop_seconds, top=top, deciders=[self._decider])
        return _events(listener, _opened(source, rate))


def open_hearer(
    model: str | PathLike[str], threads: int, device: str, engine: str, people: bool, threshold: float | None
) -> Hearer:
    """See `xfer.load`."""
    word = str(model)
    path = find_model(word) if word in TASKS and not Path(word).exists() else Path(model)
    loaded = load_model(path, threads, device, engine=engine)
    enrolled = enrolled_with(loaded, threshold) if people else None
    if enrolled is not None:
        return Hearer(loaded, enrolled, enrolled.gallery.names)
    return Hearer(loaded, ByCard(loaded.card, threshold))


def _opened(source: str | PathLike[str] | Source | Iterable[Wave] | None, rate: int | None) -> Source:
    """Whatever `listen` takes, as a source."""
    if source is None:
        from xfer.runtime.sources.microphone import Microphone

        return Microphone(rate=rate)
    if isinstance(source, (str, PathLike)):
        if rate is not None:
            raise Unusable(f"{source} tells its own rate: leave `rate` out")
        return _recording(str(source))
    if hasattr(source, "blocks"):
        return cast("Source", source)
    if rate is None:
        raise Unusable("blocks of samples do not tell their rate: give it, as in model.listen(blocks, rate=16000)")
    return Blocks(source, rate)


def _recording(name: str) -> Source:
    from xfer.runtime.sources import FileSource
    from xfer.runtime.sources.media import MEDIA_SUFFIXES, MediaSource, is_address

    if is_address(name) or Path(name).suffix.lower() in MEDIA_SUFFIXES:
        return MediaSource(name)
    return FileSource(name)


def _events(listener: Listener, source: Source) -> Generator[Event]:
    with closing(source):
        yield from listener.events(source)


def _heard(start: float, end: float, decision: Decision) -> Heard:
    return Heard(start, end, decision.label, decision.known, decision.score, decision.top)
