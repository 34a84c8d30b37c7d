"""A listener: one model or several, one source after another, events out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from xfer.runtime.decide import ByCard, Decider
from xfer.runtime.errors import Unusable
from xfer.runtime.events import Event
from xfer.runtime.listening.ear import Ear
from xfer.runtime.listening.health import Watch
from xfer.runtime.listening.rules import Rules
from xfer.runtime.listening.session import Session
from xfer.runtime.listening.state import Condition, LiveState, ModelState
from xfer.runtime.models import Model
from xfer.runtime.sources import Source

DEFAULT = Rules()


class Listener:
    """Listens to sources with one model or several on one timeline."""

    def __init__(
        self,
        models: Model | Sequence[Model],
        rules: Rules = DEFAULT,
        *,
        hop_seconds: float | None = None,
        top: int = 5,
        early: bool = False,
        health_seconds: float | None = None,
        deciders: Sequence[Decider | None] = (),
    ) -> None:
        """Raises Unusable for a hop that is none.

        hop_seconds: between two windows; each card's own by default
        top: so many labels with their scores in an event
        early: tell an event also when it begins (`state` of the event)
        health_seconds: of a live source tell its health when it changes, and every so often (0: only then)
        deciders: who names what the net of each model hears, in place of its card's labels
        """
        self.models = [models] if isinstance(models, Model) else list(models)
        if not self.models:
            raise ValueError("a listener needs a model")
        self.hops = [_hop(model, hop_seconds) for model in self.models]
        """Samples at each model's rate."""
        given = [*deciders, *[None] * (len(self.models) - len(deciders))]
        self.deciders: list[Decider] = [
            decider or ByCard(model.card, rules.threshold) for model, decider in zip(self.models, given, strict=True)
        ]
        self.rules = rules
        self.top = top
        self.early = early
        self.state = LiveState()
        self._health_seconds = health_seconds
        self._ears: list[Ear] = []
        for model, decider, hop in zip(self.models, self.deciders, self.hops, strict=True):
            card = model.card
            hop_length = hop / card.sample_rate
            self.state.models.append(ModelState(card.task, card.name, decider.words, card.window_seconds, hop_length))

    @property
    def model(self) -> Model:
        """The first."""
        return self.models[0]

    def events(self, source: Source) -> Iterator[Event]:
        """Events until the source ends. Raises what the source raises."""
        session: Session | None = None
        watch = Watch(self.state, self._health_seconds or 0.0)
        for block in source.blocks():
            if session is None:
                session = self._begin(source)
            yield from session.take(block)
            if source.live and watch.look(block) and self._health_seconds is not None:
                at = self.state.seconds
                yield replace(session.about("health", at, at), health=self.state.document())
        if session is not None:
            yield from session.finish()
        self.state.condition = Condition("ended", f"{source.name} ended")

    def replace(self, old: Model, new: Model) -> None:
        """From the next window on `new` takes the place of `old`: between two windows, no sample is lost.

        May be called from another thread. Raises Unusable where the new one listens in another way, so that it cannot.
        """
        from xfer.runtime.speakers import key_of

        at = self.models.index(old)
        one, other = old.card, new.card
        for name in ("task", "sample_rate", "window", "short", "labels"):
            if getattr(one, name) != getattr(other, name):
                raise Unusable(f"{new.path} has another {name} than what it is to replace: start the listener again")
        if isinstance(self.deciders[at], ByCard):
            self.deciders[at] = ByCard(new.card, self.rules.threshold)
        elif key_of(old) != key_of(new):
            raise Unusable(f"people are enrolled with another checkpoint than {new.path}: start the listener again")
        self.models[at] = new
        for ear in self._ears[at : at + 1]:
            ear.model, ear.card, ear.decider = new, new.card, self.deciders[at]

    def _begin(self, source: Source) -> Session:
        self._ears = [
            Ear(at, model, self.deciders[at], self.hops[at], self.rules, source.rate, self.state.models[at])
            for at, model in enumerate(self.models)
        ]
        return Session(source, self._ears, self.rules, self.state, self.top, self.early)


def _hop(model: Model, hop_seconds: float | None) -> int:
    """Samples between two windows."""
    card = model.card
    if hop_seconds is None:
        return card.hop
    if not (math.isfinite(hop_seconds) and hop_seconds * card.sample_rate >= 1):
        raise Unusable(f"a hop of {hop_seconds} s is none: take more than 0, as in --hop 0.5")
    return round(hop_seconds * card.sample_rate)
