"""Enrolled people: what is kept of each recording, and everybody who is enrolled with one model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable, nearest
from xfer.runtime.speakers.binding import Binding

LONGEST_NAME = 100


@dataclass(frozen=True)
class Recording:
    """What is kept of one recording."""

    name: str
    """Its file's name, or `microphone`."""
    sha256: str
    """Of its samples as the model's rate has them: the same sound is enrolled once."""
    seconds: float
    added: str
    """ISO 8601."""
    embeddings: Array
    """Of its windows that are not silent, in their order, (n, d), n > 0."""


@dataclass(frozen=True)
class Person:
    """Somebody who is enrolled."""

    name: str
    recordings: tuple[Recording, ...]

    @property
    def embeddings(self) -> Array:
        """Of all windows, (n, d)."""
        return np.concatenate([each.embeddings for each in self.recordings])

    @property
    def seconds(self) -> float:
        """Of all recordings."""
        return sum(each.seconds for each in self.recordings)


@dataclass(frozen=True)
class Calibration:
    """A threshold that was found on the user's own recordings."""

    threshold: float
    wanted: float
    """Rate of false accepts that was asked for."""
    found: float
    """... and what the recordings gave at this threshold."""
    interval: tuple[float, float] | None
    """95 %; None where there were too few people for one."""
    people: tuple[str, ...]
    """Who was enrolled then."""
    voices: int
    """Of how many people false accepts were counted."""
    time: str
    """ISO 8601."""


@dataclass(frozen=True)
class Store:
    """Everybody who is enrolled with one model."""

    binding: Binding
    people: tuple[Person, ...] = ()
    calibration: Calibration | None = None

    def person(self, name: str) -> Person:
        """Raises Unusable, naming the nearest, for a name that nobody has."""
        for each in self.people:
            if each.name == name:
                return each
        known = [each.name for each in self.people]
        hint = nearest(name, known) if known else "nobody is"
        raise Unusable(f"nobody called {name!r} is enrolled: {hint}")

    def with_person(self, person: Person) -> Store:
        """With this person in the place of whom they are called like, else behind the others."""
        others = tuple(person if each.name == person.name else each for each in self.people)
        new = () if any(each.name == person.name for each in self.people) else (person,)
        return dataclasses.replace(self, people=others + new)

    def without(self, name: str) -> Store:
        """Raises Unusable for a name that nobody has."""
        gone = self.person(name)
        return dataclasses.replace(self, people=tuple(each for each in self.people if each is not gone))


def check_name(name: str) -> str:
    """The name of a person, without blanks round it. Raises Unusable for what is none."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Unusable(f"{name[:40]!r} is no name for a person: take up to {LONGEST_NAME} printable characters")
    return name
