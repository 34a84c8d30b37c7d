"""One evaluation live: a scene is made, the runtime's own stream and decision listen, and what they say is judged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from xfer.runtime.errors import Unusable, nearest
from xfer.runtime.events import Event
from xfer.runtime.listening import AVERAGED_WINDOWS, EACH_WINDOW, Listener
from xfer.runtime.models import Model
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.room import own_class, stretches
from xfer.train.data.waves import Waves
from xfer.train.evaluation.evaluate import Evaluation, evaluate
from xfer.train.evaluation.live.matching import Alarm, Outcome, Point, Truth, alarms_interval, match, point
from xfer.train.evaluation.live.saying import Remembering, said
from xfer.train.evaluation.live.scene import Placed, Scene, Terms, compose
from xfer.train.evaluation.live.sounding import SceneSource
from xfer.train.evaluation.rates import Interval, wilson
from xfer.train.evaluation.subject import Subject

GRID = (*(step / 100 for step in range(100)), 0.995, 0.999, 1.0)
"""Thresholds of the curve; a softmax that is sure of itself crowds near one."""
SHOWN = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Thresholds of a short table."""
FEW_ALARMS = 1.0
"""An hour: what people bear."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Backing:
    """What a scene's background is made of."""

    clips: tuple[Clip, ...]
    """None: generated noise."""
    words: str
    seconds: float | None = None
    """Of different sound; less than the scene is repeated. None: there is no end of it."""


@dataclass(frozen=True)
class Live:
    """What was found."""

    alone: Evaluation
    """The very clips of the scene, each by itself."""
    right_alone: tuple[bool, ...]
    """Of each clip in the scene."""
    scene: Scene
    backing: Backing
    left_out: int
    """Clips for which there was no room."""
    window_seconds: float
    hop_seconds: float
    threshold: float | None
    """The card's; None: it names whatever it hears."""
    threshold_origin: str
    outcomes: tuple[Outcome, ...]
    """One a clip, in time."""
    alarms: tuple[Alarm, ...]
    curve: tuple[Point, ...]
    """Window by window, as they come: what the net itself can do."""
    at_card: Point
    """At the card's threshold, or at 0 where it has none."""
    hit_interval: Interval
    """95 % of the hit rate at the card's threshold (Wilson)."""
    alarms_interval: Interval
    """95 % of the false alarms an hour there (exact)."""
    seconds: float
    """That listening took."""
    told: tuple[Point, ...]
    """What `xfer listen` tells by its own rules, gated and merged: at the card's threshold, then at those of SHOWN."""
    windows_run: float
    """Share of the windows that its gate lets the net hear."""

    @property
    def live_accuracy(self) -> float:
        """Share of clips whose surest event has their label: what is comparable with the clips alone."""
        return sum(each.answer == each.truth.label for each in self.outcomes) / len(self.outcomes)

    @property
    def bearable(self) -> Point | None:
        """The lowest threshold of the curve with at most one false alarm an hour and a hit; None: there is none."""
        return next((each for each in self.curve if each.false_alarms_per_hour <= FEW_ALARMS and each.hits), None)

    @property
    def lost(self) -> tuple[Placed, ...]:
        """Clips that are right alone and are not hit live at the card's threshold."""
        rows = zip(self.scene.placed, self.right_alone, self.outcomes, strict=True)
        return tuple(placed for placed, right, found in rows if right and found.score < self.at_card.threshold)

    def to_json(self) -> dict[str, Any]:
        """As `xfer eval --stream --json` writes it: the clips alone as without `--stream`, and `live`."""
        bearable = self.bearable
        live: dict[str, Any] = {
            "minutes": round(self.scene.seconds / 60, 3),
            "snr_db": self.scene.snr_db,
            "seed": self.scene.seed,
            "background": self.backing.words,
            "background_seconds": self.backing.seconds and round(self.backing.seconds, 1),
            "clips": len(self.outcomes),
            "clips_left_out": self.left_out,
            "window_seconds": self.window_seconds,
            "hop_seconds": self.hop_seconds,
            "averaged_windows": AVERAGED_WINDOWS,
            "threshold": self.threshold,
            "threshold_origin": self.threshold_origin,
            "alone_accuracy": self.alone.clip_accuracy,
            "live_accuracy": self.live_accuracy,
            "at_threshold": asdict(self.at_card),
            "hit_rate_interval": self.hit_interval,
            "false_alarms_per_hour_interval": self.alarms_interval,
            "one_false_alarm_an_hour": asdict(bearable) if bearable else None,
            "right_alone_missed_live": [str(placed.clip.path) for placed in self.lost],
            "curve": [asdict(each) for each in self.curve],
            "told": {
                "at_threshold": asdict(self.told[0]),
                "curve": [asdict(each) for each in self.told[1:]],
                "windows_run": self.windows_run,
            },
            "real_time_factor": round(self.seconds / self.scene.seconds, 5),
            "seconds": round(self.seconds, 2),
        }
        return self.alone.to_json() | {"live": live}


def hear(
    subject: Subject,
    model: Model,
    data: DataSet,
    clips: Sequence[Clip],
    waves: Waves,
    side: str,
    terms: Terms,
    background: Sequence[Clip] | None = None,
    progress: Progress = lambda *_: None,
) -> Live:
    """Make a scene of these clips, listen to it, and ask about the same clips alone; `waves` at the model's rate.

    `background`: recordings that the data set does not hold itself; without them it is the data's own, as far as the
    net was not trained on it, and generated noise where there is none. `terms.apart_seconds` is raised to what the
    model needs. Raises Unusable where no clip has a label that the net knows, or none finds room.
    """
    card = model.card
    nothing = {label for label in (own_class(subject.labels),) if label}
    asked = [clip for clip in clips if clip.label in set(subject.labels) - nothing]
    if not asked:
        label = next((clip.label for clip in clips if clip.label not in nothing), "")
        raise Unusable(
            f"{data.name} has no clip with a label that {subject.path.name} knows ({label!r}: "
            f"{nearest(label, subject.labels)}): live, nothing could be right"
        )
    listener = Listener(Model(card, Remembering(model.engine), model.path), EACH_WINDOW)
    window, hop = card.window_seconds, listener.hops[0] / card.sample_rate
    # A clip's last trace: the mean over some windows, of which the oldest just touches it.
    tolerance = max(window, (AVERAGED_WINDOWS - 1) * hop)
    terms = replace(terms, apart_seconds=max(terms.apart_seconds, window + tolerance))
    backing = back(subject, data, clips, waves, background)
    scene = compose(asked, waves, backing.clips, terms)
    began = time.monotonic()
    events: list[Event] = []
    for event in listener.events(SceneSource(scene, waves)):
        events.append(event)
        progress("listening", math.ceil(event.end), math.ceil(scene.seconds))
    spent = time.monotonic() - began
    source, hours = SceneSource(scene, waves), scene.seconds / 3600
    thresholds = (None, *SHOWN)
    told, run = said(listener.model, source, truth_of(scene), tolerance, hours, thresholds, nothing=nothing)
    outcomes, alarms = match(events, truth_of(scene), tolerance, nothing)
    at_card = point(outcomes, alarms, card.threshold or 0.0, hours)
    alone = evaluate(
        subject,
        data,
        [placed.clip for placed in scene.placed],
        waves,
        side,
        lambda done, of: progress("hearing the clips alone", done, of),
    )
    return Live(
        alone,
        alone.right,
        scene,
        backing,
        len(asked) - len(scene.placed),
        window,
        hop,
        card.threshold,
        card.threshold_origin,
        outcomes,
        alarms,
        tuple(point(outcomes, alarms, each, hours) for each in GRID),
        at_card,
        wilson(at_card.hits, len(outcomes)),
        alarms_interval(at_card.false_alarms, hours),
        spent,
        tuple(told),
        run,
    )


def truth_of(scene: Scene) -> list[Truth]:
    """The clips of a scene in stream time."""
    rate = scene.rate
    return [Truth(each.clip.label, each.start / rate, each.onset / rate, each.end / rate) for each in scene.placed]


def back(
    subject: Subject, data: DataSet, clips: Sequence[Clip], waves: Waves, background: Sequence[Clip] | None
) -> Backing:
    """What a scene's background is made of: given recordings, the data's own, or generated noise."""
    own = own_class(data.labels)
    if background:
        found, words = tuple(background), "given recordings"
    elif data.background and subject.trained_on == data.name:
        # The side that is cut off first: whatever sides the training had, it never heard these.
        aside = data.with_clips(tuple(replace(clip, split="test") for clip in clips[:1]))
        found = stretches(aside, waves, subject.window, DataRecipe().split_seed).get("test", ())
        words = "the part of the data set's recordings that training never heard"
    elif data.background:
        found, words = tuple(Clip(path, "", path.name) for path in data.background), "the data set's recordings"
    else:
        found = tuple(clip for clip in clips if own is not None and clip.label == own)
        words = f"clips of the class {own!r}"
    seconds = sum(waves.length(clip) for clip in found) / waves.rate
    if not found or seconds == 0:
        return Backing((), "generated noise, white to brown")
    return Backing(found, f"{words}: {len(found)}, {seconds:,.0f} s in all", seconds)
