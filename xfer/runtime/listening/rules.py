"""How a listener makes events of what its models say: one frozen set of numbers, each with its reason in the docs."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from xfer.runtime.errors import Unusable, nearest

AVERAGED_WINDOWS = 3
"""A decision is on the mean over so many windows: the latest and the ones just before it."""


@dataclass(frozen=True)
class Rules:
    """What makes an event. The defaults were chosen by measuring: docs/listening.md says on what."""

    gate: bool = True
    """Do windows in which nothing new is heard cost no inference?"""
    margin_db: float = 5.5
    """A sound is what lies so far above the noise floor, and further where the noise itself comes and goes."""
    quiet_dbfs: float = -70.0
    """Below this nothing is a sound, whatever the floor."""
    highest_floor_dbfs: float = -35.0
    """A floor above this is not believed: what is so loud is listened to, however long it lasts."""
    floor_seconds: float = 20.0
    """A steady sound becomes the floor after so long; before the stream is as old, there is no floor."""
    hang_seconds: float = 1.0
    """The gate stays open so long after the last sound."""
    pre_roll_seconds: float = 0.2
    """What was just before a sound is heard with it; at most a hop less a frame of 20 ms."""
    averaged: int = AVERAGED_WINDOWS
    """Windows to a decision."""
    fullness: float = 0.5
    """Of these, only windows with at least this share of the sound that the fullest has."""
    least_sound: float = 0.25
    """Share of a window: while a sound goes on and has not filled so much of it, nothing is decided."""
    threshold: float | None = None
    """In place of the card's."""
    hold: float = 0.8
    """An event goes on while its label has this share of the threshold that it began with."""
    shortest_seconds: float = 0.0
    """A label must win for so long before it is an event."""
    merge_seconds: float = 1.0
    """Two events of one label with less than this between them are one."""
    longest_seconds: float = 10.0
    """An event that lasts is told, and goes on as another, every so often."""
    each_window: bool = False
    """Every window is an event as it comes: nothing is held, merged or left out for being short."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise Unusable(f"{field.name} is {value}: take a number")
        positive = ("floor_seconds", "longest_seconds", "averaged")
        bad = [name for name in positive if getattr(self, name) <= 0]
        times = ("hang_seconds", "pre_roll_seconds", "shortest_seconds", "merge_seconds")
        bad += [name for name in times if getattr(self, name) < 0]
        bad += [
            name
            for name in ("hold", "threshold", "fullness", "least_sound")
            if not 0 <= (getattr(self, name) or 0) <= 1
        ]
        if bad:
            raise Unusable(f"{bad[0]} cannot be {getattr(self, bad[0])}")

    def changed(self, settings: dict[str, str]) -> Rules:
        """These rules with some set from text, as `--set name=value` gives it. Raises Unusable."""
        fields = {field.name: str(field.type) for field in dataclasses.fields(self)}
        values: dict[str, bool | int | float] = {}
        for name, text in settings.items():
            if name not in fields:
                near = [field for field in fields if name in field] or fields
                raise Unusable(f"there is no setting {name!r}: {nearest(name, near)}")
            try:
                values[name] = _parsed(fields[name], text)
            except ValueError as error:
                raise Unusable(f"{name} cannot be {text!r}: take {fields[name].removesuffix(' | None')}") from error
        return dataclasses.replace(self, **values)  # type: ignore[arg-type]


def _parsed(kind: str, text: str) -> bool | int | float:
    if kind == "bool":
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    return int(text) if kind == "int" else float(text)


EACH_WINDOW = Rules(gate=False, each_window=True)
"""Every window is scored, and is an event: how a model is measured."""
