"""What `xfer eval --stream` adds: a scene is listened to, and the curve over the threshold is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xfer.cli.console import next_steps, result, result_json, say, warn
from xfer.cli.progress import StepBar
from xfer.runtime.errors import Unusable, XferError
from xfer.runtime.sources import recordings_in

if TYPE_CHECKING:
    from xfer.train.data.cache import Store
    from xfer.train.data.clips import Clip, DataSet
    from xfer.train.data.waves import Waves
    from xfer.train.evaluation import Subject
    from xfer.train.evaluation.live import Live, Point, Terms

LOST_SHOWN = 3
LONGEST_MINUTES = 24 * 60


def terms_of(stream: bool, minutes: float | None, snr: float | None, seed: int | None, more: dict[str, Any]) -> Terms:
    """What is asked of the scene. Raises Unusable for numbers that make none, and for options of `--stream` alone."""
    from xfer.train.evaluation.live import Terms

    if not stream:
        for name, value in {"--minutes": minutes, "--snr": snr, "--seed": seed, **more}.items():
            if value is not None:
                raise Unusable(f"{name} belongs to --stream: add --stream, or leave {name} out")
    plain = Terms()
    terms = Terms(
        plain.minutes if minutes is None else minutes,
        plain.snr_db if snr is None else snr,
        seed=plain.seed if seed is None else seed,
    )
    if not 0 < terms.minutes <= LONGEST_MINUTES:
        raise Unusable(f"--minutes {terms.minutes:g} is no length: more than 0, at most {LONGEST_MINUTES} (a day)")
    if not -60 <= terms.snr_db <= 120:
        raise Unusable(f"--snr {terms.snr_db:g} is no ratio that is heard: decibels from -60 to 120")
    return terms


def only_models(model: Path) -> None:
    """Raise Unusable for what exists and is no exported model file."""
    from xfer.runtime.engines import FORMATS

    exported = any(model.name.lower().endswith(entry.suffix) for entry in FORMATS.values())
    if model.exists() and not exported and model.name != "model.xml":
        raise Unusable(
            f"{model} is no exported model, and --stream hears what the runtime hears live: "
            f"xfer export {model} --format onnx, then xfer eval with the file that it writes"
        )


def run_stream(
    subject: Subject,
    data: DataSet,
    clips: Sequence[Clip],
    waves: Waves,
    store: Store,
    side: str,
    terms: Terms,
    background: Path | None,
    page: Path | None,
    json: bool,
    bar: StepBar,
) -> None:
    """Listen to a scene, show what came of it, and write the page. Raises what `live.hear` raises."""
    from xfer.train.evaluation.live import hear, write_page

    if subject.model is None:
        raise Unusable(f"{subject.path} is no exported model: xfer export {subject.path} --format onnx")
    if background:
        given = _usable(recordings_in(background), waves, store, bar)
        if not given:
            raise Unusable(f"{background} holds no recording that can be used as background")
    else:
        given = []
        data = replace(data, background=tuple(clip.path for clip in _usable(data.background, waves, store, bar)))
    say(f"a scene of {terms.minutes:g} minutes: clips {terms.snr_db:g} dB over background, seed {terms.seed}")
    told = hear(subject, subject.model, data, clips, waves, side, terms, given, bar.tell)
    if told.left_out:
        warn(f"{told.left_out:,} clips found no room: --minutes takes more")
    if page:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_page(told, page)
    if json:
        result_json(told.to_json())
    else:
        _show(told)
    if page:
        say(f"page: {page}")
    elif not json:
        next_steps(f"xfer eval {subject.path} {data.root} --stream --html live.html")


def _usable(paths: Sequence[Path], waves: Waves, store: Store, bar: StepBar) -> list[Clip]:
    """Recordings of background; what cannot be used is named and left out."""
    from xfer.train.data.cache import fill
    from xfer.train.data.clips import Clip

    clips = [Clip(path, "", path.name) for path in paths]
    fill(store, clips, (waves.rate,), progress=lambda done, of: bar.tell("decoding background", done, of))
    good: list[Clip] = []
    for clip in clips:
        try:
            if waves.length(clip) > 0:
                good.append(clip)
        except XferError as error:
            warn(f"left out: {error}")
    return good


def _show(told: Live) -> None:
    from xfer.train.evaluation.live import SHOWN

    clips, scene = len(told.outcomes), told.scene
    result(f"{told.alone.data}, {told.alone.side}: {clips} clips in {scene.seconds / 60:g} minutes of {_behind(told)}")
    result(f"clips right   {told.alone.clip_accuracy:.1%} alone, {told.live_accuracy:.1%} live (by the surest event)")
    card = (
        "the card's threshold" if told.threshold is not None else "no threshold in the card, so every window is named"
    )
    at = told.at_card
    low, high = told.hit_interval
    few, many = told.alarms_interval
    result(f"at {at.threshold:.2f}       {card}")
    result(f"  hits          {at.hit_rate:.1%}  (95 %: {low:.1%} to {high:.1%})")
    result(f"  false alarms  {at.false_alarms_per_hour:,.1f} an hour  (95 %: {few:,.1f} to {many:,.1f})")
    best = told.told[0]
    result("told by xfer listen, gated and merged")
    result(f"  hits          {best.hit_rate:.1%}, called wrong {best.wrong_rate:.1%}")
    result(f"  false alarms  {best.false_alarms_per_hour:,.1f} an hour; {told.windows_run:.0%} of the windows were run")
    result("window by window")
    result("threshold    hits   wrong  false alarms/h  onset error (s)     latency (s)")
    result("                   called                   median    90 %   median    90 %")
    by_threshold = {each.threshold: each for each in told.curve}
    for threshold in SHOWN:
        result(_row(by_threshold[threshold]))
    result("told by xfer listen")
    for each in told.told[1:]:
        result(_row(each))
    fit = told.bearable
    if fit:
        result(f"at most one false alarm an hour from {fit.threshold:g} on: {fit.hit_rate:.1%} hits")
    else:
        result("no threshold has at most one false alarm an hour and a hit")
    if told.lost:
        names = ", ".join(placed.clip.path.name for placed in told.lost[:LOST_SHOWN])
        rest = f" and {len(told.lost) - LOST_SHOWN} more" if len(told.lost) > LOST_SHOWN else ""
        result(f"right alone, missed live: {len(told.lost)} clips ({names}{rest})")
    say(f"{told.seconds:.1f} s for {scene.seconds:.0f} s of sound")


def _behind(told: Live) -> str:
    return f"background {told.scene.snr_db:g} dB below them ({told.backing.words})"


def _row(each: Point) -> str:
    times = (each.onset_error_median, each.onset_error_90, each.latency_median, each.latency_90)
    words = ["-" if value is None or math.isnan(value) else f"{value:.2f}" for value in times]
    return (
        f"{each.threshold:>9.2f}  {each.hit_rate:>6.1%}  {each.wrong_rate:>6.1%}  {each.false_alarms_per_hour:>14,.1f}"
        f"  {words[0]:>7} {words[1]:>7}  {words[2]:>7} {words[3]:>7}"
    )
