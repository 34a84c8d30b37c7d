"""What `xfer listen` is asked for, opened: the models of its tasks, and its source."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xfer.runtime.errors import NotThere, Unusable, nearest

if TYPE_CHECKING:
    from xfer.runtime.decide import Decider
    from xfer.runtime.listening import Rules
    from xfer.runtime.models import Model
    from xfer.runtime.sources import Source

_STDIN = 0


@dataclass(frozen=True)
class Ask:
    """Where sound is to come from, as it was typed."""

    sources: tuple[str, ...]
    """Recordings, folders, addresses, or `-`; empty: the microphone."""
    mic: str | None = None
    rate: int | None = None
    channels: int | None = None
    sample_format: str | None = None
    channel: int | None = None

    def check(self) -> None:
        """Raise Unusable for options that the sources do not take."""
        if self.mic is not None and self.sources:
            raise Unusable(f"--mic and {self.sources[0]} are two sources: leave one out")
        if "-" in self.sources and len(self.sources) > 1:
            raise Unusable("stdin (-) is listened to alone: leave the other sources out")
        raw = any(value is not None for value in (self.rate, self.channels, self.sample_format))
        if raw and self.sources and self.sources != ("-",):
            raise Unusable("--rate, --channels and --format are for raw PCM on stdin (-): a recording tells its own")
        if not self.sources and (self.channels or self.sample_format):
            raise Unusable("--channels and --format are for raw PCM on stdin: xfer listen - --channels 2")

    def live(self) -> Source:
        """The microphone, or raw PCM on stdin. Raises Unusable, NotThere."""
        if not self.sources:
            from xfer.runtime.sources.microphone import Microphone

            return Microphone(self.mic, self.rate, self.channel)
        from xfer.runtime.sources import PcmSource

        if sys.stdin is None:
            raise NotThere("stdin is closed: pipe raw PCM into it, or name a recording")
        return PcmSource(_STDIN, self.rate, self.channels, self.sample_format, self.channel)

    def recordings(self) -> list[str]:
        """The sources, with the recordings of each folder in its place. Raises FileNotThere, Unusable."""
        from xfer.runtime.audio import SUFFIXES
        from xfer.runtime.sources import recordings_in
        from xfer.runtime.sources.media import MEDIA_SUFFIXES

        found: list[str] = []
        for source in self.sources:
            if Path(source).is_dir():
                found += map(str, recordings_in(source, (*SUFFIXES, *MEDIA_SUFFIXES)))
            else:
                found.append(source)
        return found

    def open(self, name: str) -> Source:
        """One recording or address. Raises FileNotThere, Unusable, NotThere."""
        from xfer.runtime.sources.media import MEDIA_SUFFIXES, MediaSource, is_address

        if is_address(name) or Path(name).suffix.lower() in MEDIA_SUFFIXES:
            return MediaSource(name, self.channel)
        from xfer.runtime.sources import FileSource

        return FileSource(name, self.channel)


def models_for(
    tasks: list[str],
    paths: list[str],
    precision: str = "",
    threads: int = 1,
    device: str = "auto",
    allow_cpu: bool = False,
) -> list[Model]:
    """The models that are named, and for each task that none of them has the one that is found; each once.

    Raises Unusable, NotThere.
    """
    from xfer.runtime.models import TASKS, find_model, load_model

    if not tasks and not paths:
        raise Unusable(f"listen for what? name a task: xfer listen --task {TASKS[0]} (or a model with --model)")
    models = []
    for path in dict.fromkeys(paths):
        loaded = load_model(path, threads, device, allow_cpu=allow_cpu)
        if tasks and loaded.card.task not in tasks:
            asked = " or ".join(map(repr, tasks))
            hint = nearest(tasks[0], {*TASKS, loaded.card.task})
            raise Unusable(f"{path} is a model for task {loaded.card.task!r}, not {asked} ({hint})")
        if precision and precision != loaded.card.precision:
            raise Unusable(f"{path} is a model in {loaded.card.precision}, not {precision!r}: leave --precision out")
        models.append(loaded)
    there = {loaded.card.task for loaded in models}
    for task in dict.fromkeys(tasks):
        if task not in there:
            models.append(load_model(find_model(task, precision), threads, device, allow_cpu=allow_cpu))
    return models


def deciders_for(models: list[Model], threshold: float | None = None) -> list[Decider | None]:
    """For each model the people who are enrolled with it, or None: its own labels. Raises Unusable for a bad store."""
    from xfer.runtime.speakers import enrolled_with

    return [enrolled_with(model, threshold) for model in models]


def rules_for(
    gate: str = "auto", threshold: float | None = None, each_window: bool = False, settings: list[str] | None = None
) -> Rules:
    """How events are made, from what was typed. Raises Unusable."""
    from dataclasses import replace

    from xfer.runtime.listening import Rules

    rules = Rules(threshold=threshold, each_window=each_window)
    if gate == "off":
        rules = replace(rules, gate=False)
    elif gate != "auto":
        try:
            level = float(gate)
        except ValueError as error:
            raise Unusable(f"--gate {gate!r} is none: take auto, off, or a level in dBFS as in --gate -50") from error
        # A level that is told is the threshold, whatever the room does.
        rules = replace(rules, quiet_dbfs=level, highest_floor_dbfs=-1000.0)
    pairs: dict[str, str] = {}
    for setting in settings or []:
        name, equals, value = setting.partition("=")
        if not equals:
            raise Unusable(f"--set {setting!r} sets nothing: write it as --set merge_seconds=2")
        pairs[name.removeprefix("listen.")] = value
    return rules.changed(pairs)
