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
    from xfer.train.evaluation.verification import Verification

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
    allow_cpu: Annotated[
        bool, typer.Option("--allow-cpu", help="A model file: take the CPU where the device is not there.")
    ] = False,
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
    trials: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only this list of pairs of clips: lines of 1|0 path path.")
    ] = None,
    write_trials: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Make such a list from speakers it never heard, and take it.")
    ] = None,
    cohort: Annotated[
        str, typer.Option(metavar="DATA", help="Recordings of others for AS-norm; default: those it was trained on.")
    ] = "",
    asnorm: Annotated[
        int, typer.Option(min=0, help="AS-norm by so many nearest speakers of the cohort; 0: leave it out.")
    ] = 200,
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
    from xfer.train.evaluation.choosing import SIDES, choose, find_cohort, new_trials, only_listed, usable
    from xfer.train.evaluation.trials import read_trials
    from xfer.train.evaluation.trials import write_trials as write

    if side not in SIDES:
        raise Unusable(f"no side is called {side!r}: {nearest(side, SIDES)}")
    _refuse_together(stream, trials, write_trials, cohort, side)
    terms = terms_of(stream, minutes, snr, seed, {"--background": background, "--html": html})
    if stream:
        only_models(model)
    subject = open_subject(model, device, threads, allow_cpu)
    for note in subject.model.engine.notes if subject.model else ():
        warn(note)
    found = read_data(data, layout, task or None, None)
    with StepBar() as bar, Store() as store:
        found, lost = usable(found, store, subject.sample_rate, bar.tell)
        for line in lost[:WORST]:
            warn(f"left out: {line}")
        if len(lost) > WORST:
            warn(f"... and {len(lost) - WORST} more")
        pairs = None
        if trials:
            pairs, clips = only_listed(read_trials(trials, found.clips, found.root), found.clips)
            asked = f"listed in {trials.name}"
        else:
            clips, asked = choose(found, subject, side)
        if write_trials:
            pairs, clips = new_trials(clips, subject)
            write(write_trials, pairs, clips, found.root)
            asked = f"listed in {write_trials.name}"
        say(f"{subject.path.name} ({subject.engine}) hears {len(clips)} clips of {found.name} ({asked})")
        if stream:
            waves = Waves(subject.sample_rate, store)
            run_stream(subject, found, clips, waves, store, asked, terms, background, html, json, bar)
            return
        other = (
            usable(read_data(cohort, "", "speaker", None), store, subject.sample_rate, bar.tell)[0] if cohort else None
        )
        others, lacking = find_cohort(
            subject, found, clips, store, bar.tell, listed=pairs is not None, other=other, top=asnorm
        )
        told = evaluate(
            subject,
            found,
            clips,
            Waves(subject.sample_rate, store),
            asked,
            lambda done, of: bar.tell("listening", done, of),
            trials=pairs,
            cohort=others,
        )
    familiar = {clip.label for clip in clips} & set(subject.labels)
    if pairs is not None and familiar:
        warn(
            f"{len(familiar)} speakers of these trials were trained on ({min(familiar)!r}): the rates come out too good"
        )
    if lacking:
        say(f"AS-norm is left out: {lacking}")
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
        _show_verification(told.verification)
    _show_classes(told)
    say(f"{told.seconds:.1f} s")


def _show_verification(found: Verification) -> None:
    trials = f"{found.targets + found.impostors:,} trials, {found.targets:,} of one speaker"
    plain = found.cosine
    result(f"EER            {plain.eer:.1%}  (95 %: {_interval(plain.eer_interval)}; {trials})")
    result(f"min DCF        {plain.min_dcf:.3f}  (95 %: {_plain(plain.min_dcf_interval)})")
    if found.asnorm and found.cohort:
        rates, cohort = found.asnorm, found.cohort
        who = f"the {cohort.nearest} nearest of {len(cohort.embeddings)} speakers of {cohort.name}"
        result(f"with AS-norm   {rates.eer:.1%}  (95 %: {_interval(rates.eer_interval)}; by {who})")
        result(f"               {rates.min_dcf:.3f}  (95 %: {_plain(rates.min_dcf_interval)})")


def _refuse_together(stream: bool, trials: Path | None, write_trials: Path | None, cohort: str, side: str) -> None:
    """Raise Unusable for options that would have no effect beside each other."""
    if trials and write_trials:
        raise Unusable("--trials takes a list and --write-trials makes one: leave one of them out")
    if trials and side != "auto":
        raise Unusable("--trials names its clips itself: leave --side out")
    if stream and (trials or write_trials or cohort):
        raise Unusable("--stream hears a scene, no trials: leave --trials, --write-trials and --cohort out")


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


def _plain(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"
