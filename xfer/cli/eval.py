"""`xfer eval`: the same metrics from a checkpoint or from an exported model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer.cli import console
from xfer.cli.console import result, result_json, say, warn
from xfer.cli.progress import StepBar
from xfer.cli.scene import only_models, run_stream, terms_of
from xfer.runtime.errors import Unusable, nearest, need_extra

if TYPE_CHECKING:
    from xfer.train.evaluation import Evaluation

WORST = 10
"""Classes that are shown; --json has all."""


def eval(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run, a checkpoint or a model file.")],
    data: Annotated[str, typer.Argument(help="Folder of a data set.")],
    side: Annotated[
        str, typer.Option(help="auto (the clips it was not trained on), train, validation, test or all.")
    ] = "auto",
    layout: Annotated[str, typer.Option(help="Read the folder as this layout.")] = "",
    task: Annotated[str, typer.Option(help="What the data's labels are, where the layout says otherwise.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Threads of a model file's engine.")] = 1,
    stream: Annotated[
        bool, typer.Option("--stream", help="Live: clips spread over background, heard as xfer listen does.")
    ] = False,
    minutes: Annotated[float | None, typer.Option(help="--stream: how long the scene is (30).")] = None,
    snr: Annotated[float | None, typer.Option(help="--stream: clips over background, decibels (20).")] = None,
    background: Annotated[
        Path | None, typer.Option(help="--stream: folder of recordings; else the data's own, or generated noise.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="--stream: write charts as a page for a browser.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="--stream: which clips stand where (0).")] = None,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Warnings and errors only.")] = False,
) -> None:
    """How good a checkpoint or an exported model is on a data set: by window, clip, group and class."""
    console.talk.quiet = quiet
    for package in ("loky", "scipy", "sklearn"):
        if find_spec(package) is None:
            raise need_extra(package, "train")
    from xfer.train.data.cache import Store
    from xfer.train.data.open import read_data
    from xfer.train.data.waves import Waves
    from xfer.train.evaluation import evaluate, open_subject
    from xfer.train.evaluation.choosing import SIDES, choose, usable

    if side not in SIDES:
        raise Unusable(f"no side is called {side!r}: {nearest(side, SIDES)}")
    terms = terms_of(stream, minutes, snr, seed, {"--background": background, "--html": html})
    if stream:
        only_models(model)
    subject = open_subject(model, device, threads)
    found = read_data(data, layout, task or None, None)
    with StepBar() as bar, Store() as store:
        found, lost = usable(found, store, subject.sample_rate, bar.tell)
        for line in lost[:WORST]:
            warn(f"left out: {line}")
        if len(lost) > WORST:
            warn(f"... and {len(lost) - WORST} more")
        clips, asked = choose(found, subject, side)
        say(f"{subject.path.name} ({subject.engine}) hears {len(clips)} clips of {found.name} ({asked})")
        if stream:
            waves = Waves(subject.sample_rate, store)
            run_stream(subject, found, clips, waves, store, asked, terms, background, html, json, bar)
            return
        told = evaluate(
            subject,
            found,
            clips,
            Waves(subject.sample_rate, store),
            asked,
            lambda done, of: bar.tell("listening", done, of),
        )
    if told.unknown and told.verification is None:
        warn(
            f"the net does not know {len(told.unknown)} of the labels, their clips were not asked: {told.unknown[0]!r}"
        )
    if json:
        result_json(told.to_json())
    else:
        _show(told)


def _show(told: Evaluation) -> None:
    result(f"{told.data}, {told.side}: {told.clips} clips, {told.windows} windows, {told.classes} classes")
    if told.clip_accuracy is not None and told.clip_accuracy_interval and told.group_interval:
        each, groups = _interval(told.clip_accuracy_interval), _interval(told.group_interval)
        result(f"clips right    {told.clip_accuracy:.1%}  (95 %: {each}; over groups {groups})")
        result(f"windows right  {told.window_accuracy:.1%}")
        result(f"groups right   {told.group_accuracy:.1%}")
        if told.top_accuracy is not None:
            result(f"in the top 5   {told.top_accuracy:.1%}")
        result(f"macro F1       {told.macro_f1:.3f}")
    if told.verification is not None:
        found = told.verification
        pairs = f"{found.targets + found.impostors:,} pairs of clips"
        result(f"EER            {found.eer:.1%}  (95 %: {_interval(found.eer_interval)}; {pairs})")
        result(f"min DCF        {found.min_dcf:.3f}")
    _show_classes(told)
    say(f"{told.seconds:.1f} s")


def _show_classes(told: Evaluation) -> None:
    classes = sorted((told.per_class or {}).items(), key=lambda each: each[1].f1)
    if not classes:
        return
    shown = classes[:WORST]
    width = max(5, *(len(label) for label, _ in shown))
    more = f"   the worst {WORST} of {len(classes)}" if len(classes) > WORST else ""
    result(f"{'class':<{width}}  recall  precision     F1  clips{more}")
    for label, each in shown:
        result(f"{label:<{width}}  {each.recall:>6.1%}  {each.precision:>9.1%}  {each.f1:>5.3f}  {each.clips:>5}")


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"
