"""`xfer listen`: models and a source in, events out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.cli.console import is_live, result, say, talk, warn
from xfer.cli.opening import Ask, deciders_for, models_for, rules_for
from xfer.runtime.errors import XferError

if TYPE_CHECKING:
    from xfer.cli.live import LiveView
    from xfer.runtime.decide import Decider
    from xfer.runtime.events import Event
    from xfer.runtime.listening import Listener
    from xfer.runtime.models import Model
    from xfer.runtime.sources import Source
    from xfer.runtime.writers import Writer

HEALTH_SECONDS = 60.0


def listen(
    source: Annotated[
        list[str] | None,
        typer.Argument(help="Recordings, folders, addresses, or - for raw PCM on stdin. Default: the microphone."),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="What is recognised: speaker, genre, sound, command or a model's own task; may be repeated."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model file; may be repeated. Default: the one found for the task.")
    ] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line on stdout.")] = False,
    hop: Annotated[float | None, typer.Option(help="Seconds between two windows. Default: the model's own.")] = None,
    top: Annotated[int, typer.Option(min=1, help="So many labels with their scores in each event.")] = 5,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Below this score it is unknown. Default: the model's own.")
    ] = None,
    gate: Annotated[
        str, typer.Option(help="What is too quiet is not run: auto (follows the room), off, or a level in dBFS.")
    ] = "auto",
    windows: Annotated[
        bool, typer.Option("--windows", help="Every window is an event as it comes: nothing is merged.")
    ] = False,
    early: Annotated[bool, typer.Option("--early", help="Tell an event also when it begins.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="How events are made: name=value, as in merge_seconds=2.")
    ] = None,
    mic: Annotated[str | None, typer.Option(help="Name or index of a microphone (xfer doctor lists them).")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Hz of raw PCM (16000), or of the microphone.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Channels of raw PCM (1).")] = None,
    channel: Annotated[int | None, typer.Option(min=1, help="Listen to this one. Default: the mean of all.")] = None,
    sample_format: Annotated[
        str | None, typer.Option("--format", help="Raw PCM: S16_LE (default), S24_3LE, S32_LE, FLOAT_LE or U8.")
    ] = None,
    health: Annotated[
        float, typer.Option(min=0, help="With --jsonl: a line on a live stream's health every so many seconds.")
    ] = HEALTH_SECONDS,
    precision: Annotated[
        str, typer.Option(help="fp32, fp16 or int8. Default: what xfer bench found best here, else fp32.")
    ] = "",
    device: Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda, cuda:N, gpu, npu ...")] = "auto",
    allow_cpu: Annotated[bool, typer.Option("--allow-cpu", help="Take the CPU where the device is not there.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the engine.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but warnings on stderr.")] = False,
) -> int:
    """Listen to the microphone, recordings, folders, a network stream or raw PCM, and say what is heard."""
    from xfer.runtime.listening import Listener
    from xfer.runtime.writers import WRITERS

    talk.quiet = quiet
    ask = Ask(tuple(source or ()), mic, rate, channels, sample_format, channel)
    ask.check()
    rules = rules_for(gate, threshold, windows, set_)
    models = models_for(task or [], model or [], precision, threads, device, allow_cpu)
    deciders = deciders_for(models, rules.threshold)
    listener = Listener(models, rules, hop_seconds=hop, top=top, early=early, health_seconds=health, deciders=deciders)
    writer = WRITERS["jsonl" if jsonl else "text"](result)
    with _Stop() as stop:
        if not ask.sources or ask.sources == ("-",):
            with closing(ask.live()) as opened:
                _introduce(listener, opened)
                _listen_to(opened, listener, writer, stop, live=is_live() and not jsonl, health=jsonl)
        else:
            names = ask.recordings()
            if len(names) > 1:
                return _listen_to_all(names, ask, listener, writer, stop)
            with closing(ask.open(names[0])) as opened:
                _introduce(listener, opened)
                _listen_to(opened, listener, writer, stop, live=is_live() and not jsonl, health=jsonl)
        return stop.code(listener)


def _introduce(listener: Listener, opened: Source | None = None) -> None:
    """Say once which models listen, on what, and what they cannot promise."""
    for model, decider in zip(listener.models, listener.deciders, strict=True):
        _introduce_model(model, decider, listener.rules.threshold)
    info = getattr(opened, "info", None)
    if opened is not None and info is not None:
        channels = getattr(opened, "channels", 1)
        say(f"microphone {info.name!r} at {opened.rate} Hz, {channels} channel{'s' * (channels > 1)}; Ctrl-C ends")


def _introduce_model(model: Model, decider: Decider, threshold: float | None) -> None:
    from xfer.runtime.card import digits
    from xfer.runtime.decide import ByCard
    from xfer.runtime.speakers import others_enrolled

    card = model.card
    say(f"listening with {card.name} ({card.net}) for {decider.words}, from {model.path}")
    say(f"it runs on {model.engine.description}" + (f", in {card.precision}" if card.precision != "fp32" else ""))
    for note in model.engine.notes:
        warn(note)
    if card.synthetic:
        say("this model was trained on synthetic sound only: it shows that the way works, not who speaks")
    for note in getattr(decider, "notes", ()):
        say(note)
    own = isinstance(decider, ByCard)
    if own and (elsewhere := [person.name for store in others_enrolled(model) for person in store.people]):
        say(f"{', '.join(elsewhere)} are enrolled with another model, nobody with this one: xfer speakers add")
    if own and card.threshold is None and threshold is None and not card.thresholds:
        say("its threshold is uncalibrated: what it does not know gets the nearest label")
    elif own and card.threshold is not None and threshold is None:
        say(f"a best score below {digits(card.threshold)} is called unknown: {card.threshold_origin}")


def _listen_to(
    source: Source, listener: Listener, writer: Writer, stop: _Stop, live: bool = False, health: bool = False
) -> None:
    """Write the events of one source until it ends or is told to."""
    stop.source = source
    dropped, before = 0, stop.events
    with _view(listener, live) as view:
        for event in listener.events(source):
            if event.kind == "gap":
                _tell_gap(event, event.dropped - dropped)
                dropped = event.dropped
            if event.kind == "health":
                _tell_health(event, stop)
                if not health:
                    continue
            writer.write(event)
            stop.events += event.kind == "event"
            if view is not None:
                view.heard(event)
    for note in source.notes:
        warn(f"{source.name}: {note}")
    if stop.events == before and stop.told is None:
        _tell_nothing(source, listener)


def _tell_gap(event: Event, lost: int) -> None:
    what = f"{lost} samples were lost" if lost else "the samples are no sound (NaN, infinite or beyond +-8)"
    warn(f"{event.source}: from {event.start:.3f} s to {event.end:.3f} s {what}: not listened to")


def _tell_health(event: Event, stop: _Stop) -> None:
    """What changed, once."""
    found = event.health or {}
    told = (found.get("state"), found.get("text"))
    if told != stop.told_health and (told[0] != "listening" or stop.told_health):
        warn(f"{event.source}: {told[1]}")
        stop.told_health = told


def _tell_nothing(source: Source, listener: Listener) -> None:
    """A source without one event: was it too quiet?"""
    skipped = sum(each.skipped for each in listener.state.models)
    if skipped and not sum(each.windows for each in listener.state.models):
        say(f"{source.name}: nothing in it is above {listener.state.threshold_dbfs:.0f} dBFS: --gate off hears it all")


def _view(listener: Listener, live: bool) -> AbstractContextManager[LiveView | None]:
    if not live:
        return nullcontext()
    from xfer.cli.live import LiveView

    return LiveView(listener.state)


def _listen_to_all(names: list[str], ask: Ask, listener: Listener, writer: Writer, stop: _Stop) -> int:
    """Each recording in turn; broken ones are named, and make the exit code 1."""
    _introduce(listener)
    broken = 0
    for name in _until_told(names, stop):
        try:
            with closing(ask.open(name)) as opened:
                _listen_to(opened, listener, writer, stop)
        except (XferError, PermissionError) as error:
            warn(f"xfer: {error}")
            broken += 1
    if broken:
        where = f" in {ask.sources[0]}" if len(ask.sources) == 1 else ""
        warn(f"xfer: {broken} of {len(names)} recordings{where} could not be listened to, as named above")
    return stop.code(listener) or (1 if broken else 0)


def _until_told(names: list[str], stop: _Stop) -> Iterator[str]:
    for name in names:
        if stop.told is not None:
            return
        yield name


class _Stop:
    """Ctrl-C and SIGTERM end the source: what was heard is written whole. A second one ends the program at once."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self.told: int | None = None
        self.events = 0
        self.told_health: tuple[Any, Any] = ()  # type: ignore[assignment]
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Stop:
        if threading.current_thread() is threading.main_thread():  # signals can be had nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.source is None or self.told is not None:
            raise KeyboardInterrupt("stopped")
        self.told = number
        self.source.stop()

    def code(self, listener: Listener) -> int:
        """The exit code: 130 after Ctrl-C, else 0."""
        if self.told != signal.SIGINT:
            return 0
        warn(f"stopped after {listener.state.seconds:.1f} s of sound and {self.events} events")
        return 130
