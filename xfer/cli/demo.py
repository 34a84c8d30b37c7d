"""`xfer demo`: the whole way on embedded audio: train, export, verify, listen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer.cli import console
from xfer.cli.console import next_steps, result, result_json, say, warn
from xfer.runtime.errors import AnswerIsNo

if TYPE_CHECKING:
    from xfer.runtime.events import Event
    from xfer.train.data.clips import Clip

VOICES_HEARD = 6
"""Voices that take turns in the recording that is listened to."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for what the demo makes.")] = Path("xfer-demo"),
    net: Annotated[str, typer.Option(help="rawnet2 or convnet.")] = "rawnet2",
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the voices; default: the recipe's.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Warnings and errors only.")] = False,
) -> None:
    """Train on SYNTHETIC voices, export with proof, verify, and listen to voices that take turns."""
    console.talk.quiet = quiet
    from xfer.cli.train import need_workshop, resolve

    need_workshop()
    from xfer.export.pipeline import export
    from xfer.runtime.models import load_model
    from xfer.runtime.selftest import verify
    from xfer.train.checkpoint import load
    from xfer.train.data.open import read_data
    from xfer.train.training import Listener, train

    began = time.monotonic()
    say("1 of 4  train")
    recipe = resolve("", "speaker", net, "", "", "", epochs, 0, [])
    with console.EpochBar() as bar:
        run = out / "runs" / time.strftime("speaker-%Y%m%d-%H%M%S")
        trained = train(recipe, out=run, listener=Listener(say=say, warn=warn, fit=bar.tell))
    say("2 of 4  export")
    exported = export(load(trained.run.best), out / "models", "onnx", progress=say)
    say("3 of 4  verify")
    model = load_model(exported.path)
    verified = verify(model)
    if not verified.equal:
        raise AnswerIsNo(
            f"{exported.path} does not compute on this device what was trained: see xfer verify {exported.path}"
        )
    say("4 of 4  listen")
    turns, recording = _conversation(read_data("", "", "speaker", net).of("test"), out / "conversation.wav")
    events = _listen(exported.path, recording)
    right, judged = _judge(events, turns)
    test = trained.test or trained.validation
    document = {
        "synthetic": True,
        "run": str(trained.run.folder),
        "model": str(exported.path),
        "clip_accuracy": test["clip_accuracy"],
        "clips": test["clips"],
        "parity_ok": exported.parity.ok,
        "verified": verified.equal,
        "windows_heard_right": right,
        "windows_heard": judged,
        "seconds": round(time.monotonic() - began, 1),
    }
    if json:
        result_json(document)
        return
    _table(events, turns)
    result("")
    share = f"{test['clip_accuracy']:.1%} of {test['clips']} unheard clips"
    result(f"trained   {net} on SYNTHETIC voices: {share}, {len(model.card.labels)} voices")
    result(
        f"exported  {exported.path}, {exported.size / 1e6:.1f} MB; it computes what was trained: {exported.parity.ok}"
    )
    result(f"verified  equal on {verified.processor}")
    result(f"heard     {right} of {judged} windows that lie within one voice's turn, in {recording}")
    result(f"took      {document['seconds']:.0f} s")
    next_steps(
        f"xfer listen --task speaker --model {exported.path} {recording}",
        "xfer train DATA   (your own recordings, a folder per class)",
    )


def _conversation(clips: tuple[Clip, ...], path: Path) -> tuple[list[tuple[float, float, str]], Path]:
    """Write test clips of a few voices one after another: each turn's start, end (seconds) and voice, and the file."""
    import numpy as np
    import soundfile

    from xfer.runtime.audio import decode

    turns: list[tuple[float, float, str]] = []
    parts = []
    at = 0.0
    rate = 16000
    voices = sorted({clip.label for clip in clips})
    for voice in voices[:: max(1, len(voices) // VOICES_HEARD)][:VOICES_HEARD]:
        start = at
        for clip in clips:
            if clip.label == voice:
                recording = decode(clip.path)
                rate = recording.rate
                parts.append(recording.samples)
                at += recording.seconds
        turns.append((start, at, voice))
    soundfile.write(path, np.concatenate(parts), rate)
    return turns, path


def _listen(model: Path, recording: Path) -> list[Event]:
    from contextlib import closing
    from dataclasses import replace

    from xfer.runtime.listening import EACH_WINDOW, Listener
    from xfer.runtime.models import load_model
    from xfer.runtime.sources import FileSource

    with closing(FileSource(recording)) as source:
        # No averaging: a turn is hardly longer than two windows.
        return list(Listener(load_model(model), replace(EACH_WINDOW, averaged=1), hop_seconds=1.0).events(source))


def _voice_of(event: Event, turns: list[tuple[float, float, str]]) -> str | None:
    """The voice in whose turn the event's window lies wholly."""
    return next((voice for start, end, voice in turns if start - 0.05 <= event.start and event.end <= end + 0.05), None)


def _judge(events: list[Event], turns: list[tuple[float, float, str]]) -> tuple[int, int]:
    """How many events name the voice of their turn, and how many lie within one."""
    judged = [(event, voice) for event in events if (voice := _voice_of(event, turns)) is not None]
    return sum(event.label == voice for event, voice in judged), len(judged)


def _table(events: list[Event], turns: list[tuple[float, float, str]]) -> None:
    result("from    to      speaks    heard     score")
    for event in events:
        truth = _voice_of(event, turns) or "(two)"
        mark = "" if truth in ("(two)", event.label) else "  wrong"
        result(
            f"{event.start:6.2f}  {event.end:6.2f}  {truth:<8}  {event.label or '':<8}  {event.score or 0:.2f}{mark}"
        )
