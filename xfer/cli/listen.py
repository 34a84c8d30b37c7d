"""`xfer listen`: a model and a source in, events out."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.cli.console import is_live, result, say, talk, warn
from xfer.runtime.errors import NotThere, Unusable, XferError, nearest

if TYPE_CHECKING:
    from xfer.cli.live import LiveView
    from xfer.runtime.events import Event, Writer
    from xfer.runtime.models import Model
    from xfer.runtime.sources import Source
    from xfer.runtime.stream import Listener


_STDIN = 0


def listen(
    source: Annotated[
        str | None, typer.Argument(help="A recording, a folder, or - for raw PCM on stdin. Default: the microphone.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="What is recognised: speaker, genre, sound, command or a model's own task.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model file. Default: the one found for the task.")] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line on stdout.")] = False,
    hop: Annotated[float | None, typer.Option(help="Seconds between two windows. Default: the model's own.")] = None,
    top: Annotated[int, typer.Option(min=1, help="So many labels with their scores in each event.")] = 5,
    mic: Annotated[str | None, typer.Option(help="Name or index of a microphone (xfer doctor lists them).")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Hz of raw PCM (16000), or of the microphone.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Channels of raw PCM (1).")] = None,
    sample_format: Annotated[
        str | None, typer.Option("--format", help="Raw PCM: S16_LE (default), S24_3LE, S32_LE or FLOAT_LE.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="fp32, fp16 or int8. Default: what xfer bench found best here, else fp32.")
    ] = "",
    device: Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda, cuda:N, gpu, npu ...")] = "auto",
    allow_cpu: Annotated[bool, typer.Option("--allow-cpu", help="Take the CPU where the device is not there.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the engine.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but warnings on stderr.")] = False,
) -> int:
    """Listen to the microphone, a recording, a folder or raw PCM, and say what is heard."""
    from xfer.runtime.events import WRITERS
    from xfer.runtime.stream import Listener

    talk.quiet = quiet
    pcm = {"rate": rate, "channels": channels, "sample_format": sample_format}
    _check_usage(source, mic, pcm)
    loaded = _load(task, model, precision, threads, device, allow_cpu)
    listener = Listener(loaded, hop_seconds=hop, top=top)
    writer = WRITERS["jsonl" if jsonl else "text"](result)
    with _Stop() as stop:
        if source is not None and Path(source).is_dir():
            return _listen_to_folder(source, listener, writer, stop)
        with closing(_open(source, loaded, mic, pcm)) as opened:
            _introduce(loaded, opened)
            _listen_to(opened, listener, writer, stop, live=is_live() and not jsonl)
        return stop.code(listener)


def _check_usage(source: str | None, mic: str | None, pcm: dict[str, Any]) -> None:
    """Raise Unusable for options that the source does not take."""
    if mic is not None and source is not None:
        raise Unusable(f"--mic and {source} are two sources: leave one out")
    if source not in (None, "-") and any(value is not None for value in pcm.values()):
        raise Unusable("--rate, --channels and --format are for raw PCM on stdin (-): a recording tells its own")
    if source is None and (pcm["channels"] or pcm["sample_format"]):
        raise Unusable("--channels and --format are for raw PCM on stdin: xfer listen - --channels 2")


def _load(
    task: str | None, path: str | None, precision: str, threads: int, device: str, allow_cpu: bool = False
) -> Model:
    """The model for a task, or the one that is named. Raises Unusable, NotThere."""
    from xfer.runtime.models import TASKS, find_model, load_model

    if path is None:
        if task is None:
            raise Unusable(f"listen for what? name a task: xfer listen --task {TASKS[0]} (or a model with --model)")
        return load_model(find_model(task, precision), threads, device, allow_cpu=allow_cpu)
    loaded = load_model(path, threads, device, allow_cpu=allow_cpu)
    if task is not None and task != loaded.card.task:
        hint = nearest(task, {*TASKS, loaded.card.task})
        raise Unusable(f"{path} is a model for task {loaded.card.task!r}, not {task!r} ({hint})")
    if precision and precision != loaded.card.precision:
        raise Unusable(f"{path} is a model in {loaded.card.precision}, not {precision!r}: leave --precision out")
    return loaded


def _open(source: str | None, model: Model, mic: str | None, pcm: dict[str, Any]) -> Source:
    from xfer.runtime.sources import FileSource, PcmSource

    if source is None:
        from xfer.runtime.microphone import Microphone

        return Microphone(model.card.sample_rate, mic, pcm["rate"])
    if source != "-":
        return FileSource(source)
    if sys.stdin is None:
        raise NotThere("stdin is closed: pipe raw PCM into it, or name a recording")
    return PcmSource(_STDIN, **{key: value for key, value in pcm.items() if value is not None})


def _introduce(model: Model, opened: Source | None = None) -> None:
    """Say once which model listens, on what, and what it cannot promise."""
    card = model.card
    say(f"listening with {card.name} ({card.net}, {len(card.labels)} labels) from {model.path}")
    say(f"it runs on {model.engine.description}" + (f", in {card.precision}" if card.precision != "fp32" else ""))
    for note in model.engine.notes:
        warn(note)
    if card.synthetic:
        say("this model was trained on synthetic sound only: it shows that the way works, not who speaks")
    if card.threshold is None:
        say("its threshold is uncalibrated: what it does not know gets the nearest label")
    info = getattr(opened, "info", None)
    if opened is not None and info is not None:
        say(f"microphone {info.name!r} at {opened.rate} Hz; Ctrl-C ends")


def _listen_to(source: Source, listener: Listener, writer: Writer, stop: _Stop, live: bool = False) -> None:
    """Write the events of one source until it ends or is told to."""
    stop.source = source
    dropped = 0
    with _view(listener, source.name, live) as view:
        for event in listener.events(source):
            if event.kind == "gap":
                _tell_gap(event, event.dropped - dropped)
                dropped = event.dropped
            writer.write(event)
            stop.events += 1
            if view is not None:
                view.heard(event)
    for note in source.notes:
        warn(f"{source.name}: {note}")


def _tell_gap(event: Event, lost: int) -> None:
    what = f"{lost} samples were lost" if lost else "the samples are no sound (NaN, infinite or beyond +-8)"
    warn(f"{event.source}: from {event.start:.3f} s to {event.end:.3f} s {what}: not listened to")


def _view(listener: Listener, name: str, live: bool) -> AbstractContextManager[LiveView | None]:
    if not live:
        return nullcontext()
    from xfer.cli.live import LiveView

    return LiveView(listener, name)


def _listen_to_folder(folder: str, listener: Listener, writer: Writer, stop: _Stop) -> int:
    """Each recording in turn; broken ones are named, and make the exit code 1."""
    from xfer.runtime.sources import FileSource, recordings_in

    paths = recordings_in(folder)
    _introduce(listener.model)
    broken = 0
    for path in _until_told(paths, stop):
        try:
            with closing(FileSource(path)) as opened:
                _listen_to(opened, listener, writer, stop)
        except (XferError, PermissionError) as error:
            warn(f"xfer: {error}")
            broken += 1
    if broken:
        warn(f"xfer: {broken} of {len(paths)} recordings in {folder} could not be listened to, as named above")
    return stop.code(listener) or (1 if broken else 0)


def _until_told(paths: list[Path], stop: _Stop) -> Iterator[Path]:
    for path in paths:
        if stop.told is not None:
            return
        yield path


class _Stop:
    """Ctrl-C and SIGTERM end the source: what was heard is written whole. A second one ends the program at once."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self.told: int | None = None
        self.events = 0
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
        warn(f"stopped after {listener.seconds:.1f} s of sound and {self.events} events")
        return 130
