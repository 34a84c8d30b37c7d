"""One model on a stream: which of its windows are run, and what its decisions add up to."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xfer.runtime.decide import Decider
from xfer.runtime.engines import Outputs
from xfer.runtime.listening.gaps import Gaps
from xfer.runtime.listening.gate import Gate
from xfer.runtime.listening.merging import Merger, Reading, Told
from xfer.runtime.listening.rules import Rules
from xfer.runtime.listening.state import ModelState
from xfer.runtime.listening.windows import Window, Windower
from xfer.runtime.models import Model


@dataclass(frozen=True)
class Step:
    """What is to be done about one window."""

    ear: Ear
    end: float
    """Seconds of stream time at which the window ends."""
    window: Window | None = None
    """To be run; None: nothing is heard here."""
    sound: tuple[float, float] = (0.0, 0.0)
    share: float = 1.0
    """How much of the window is sound."""
    begins: bool = False
    """It hardly began to be filled by a sound that goes on."""
    advance: float = 0.0
    """Seconds since the end of the window before."""
    lost: bool = False
    """It touches a gap."""


class Ear:
    """Listens to one stream with one model."""

    def __init__(
        self, order: int, model: Model, decider: Decider, hop: int, rules: Rules, source_rate: int, state: ModelState
    ) -> None:
        self.order = order
        self.model, self.decider, self.state = model, decider, state
        self.card = model.card
        self.rate = model.card.sample_rate
        self.windower = Windower(model.card.window, hop, model.card.short)
        self.merger = Merger(rules)
        self._rules = rules
        self._source_rate = source_rate
        self._hang = round(rules.hang_seconds * source_rate)
        self._pre_roll = round(rules.pre_roll_seconds * source_rate)
        self._recent: deque[tuple[Outputs, float]] = deque(maxlen=rules.averaged)
        self._taken = 0  # end of the last window, at the model's rate
        self._seen = 0  # end of the last one that did not touch a gap: what came since is new
        self._quiet = 0  # no sound from before this is news, at the source's rate
        self._shut: Window | None = None  # the last window, where the gate was shut
        self._undecided: Step | None = None  # run, but a sound had hardly begun in it
        self._decided = False  # something was, since it was last silent

    @property
    def oldest(self) -> int:
        """No window to come begins before this sample at the source's rate."""
        return self._here(self.windower.oldest)

    def plan(self, window: Window, gate: Gate | None, gaps: Gaps) -> list[Step]:
        """What is to be done about the next window; of what the gate shut out before, too, where a sound began late."""
        end, advance = window.end / self.rate, (window.end - self._taken) / self.rate
        self._taken = window.end
        shut, self._shut = self._shut, None
        if gaps.touch(window.start, window.end, self.rate):
            return [Step(self, end, lost=True)]
        before, self._seen = self._seen, window.end
        if gate is None:
            return [Step(self, end, window, (window.start / self.rate, end), advance=advance)]
        first, last, new = (self._here(place) for place in (window.start, window.end, before))
        # What is new, and for a while what was: a sound that has just ended lies better in the next window.
        if gate.sound(max(first, new - self._hang), last, window.final) is None:
            self._quiet, self._shut = last, window
            return [Step(self, end)]
        steps = []
        fresh = gate.sound(new, last, window.final)
        if shut is not None and fresh is not None and fresh[0] - self._pre_roll < first:
            began = max(shut.start / self.rate, (fresh[0] - self._pre_roll) / self._source_rate)
            over = shut.end / self.rate
            part = (over - began) / (over - shut.start / self.rate)
            steps.append(Step(self, over, shut, (began, over), part, begins=True))
        sound = gate.sound(max(first, self._quiet), last, window.final) or (first, last)
        times = (max(sound[0], first) / self._source_rate, sound[1] / self._source_rate)
        share = gate.share(first, last, window.final)
        goes_on = not window.final and gate.sound(max(first, last - self._hang), last) is not None
        begins = goes_on and share < self._rules.least_sound
        return [*steps, Step(self, end, window, times, share, begins, advance)]

    def run(self, windows: Sequence[Window]) -> list[Outputs]:
        """The net's outputs, one each, (1, ...)."""
        began = time.monotonic()
        found = self.model.run(np.stack([window.samples for window in windows]))
        self.state.compute_ms = 1000 * (time.monotonic() - began) / len(windows)
        return [Outputs(*(part[at : at + 1] for part in found)) for at in range(len(windows))]

    def pause(self, step: Step) -> list[Told]:
        """Nothing is heard in this window."""
        told = self._decide_late()
        self._recent.clear()
        self._decided = False
        self.state.decision = self.state.holding = None
        self.state.skipped += not step.lost
        return told + self.merger.pause(step.end)

    def hear(self, step: Step, outputs: Outputs) -> list[Told]:
        """This window was run."""
        self._recent.append((outputs, step.share))
        self.state.windows += 1
        if step.begins and not self._decided and not self._rules.each_window:
            self._undecided = step
            return []
        return self._decide(step)

    def finish(self) -> list[Told]:
        """The stream is over."""
        return self._decide_late() + self.merger.finish()

    def _decide_late(self) -> list[Told]:
        """A sound that had hardly begun was over before another window."""
        return [] if self._undecided is None else self._decide(self._undecided)

    def _decide(self, step: Step) -> list[Told]:
        """What the last windows mean, those that are mostly silence beside the others left out."""
        assert step.window is not None
        self._undecided, self._decided = None, True
        fullest = max(share for _, share in self._recent)
        full = [each for each, share in self._recent if share >= self._rules.fullness * fullest]
        decision = self.decider.decide(Outputs(*(np.concatenate(parts) for parts in zip(*full, strict=True))))
        state = self.state
        state.decision, state.seconds = decision, step.end
        state.history.append((step.end, decision.label, decision.known, decision.score))
        start = step.window.start / self.rate
        if self._rules.each_window:
            return [Told("ended", start, step.end, decision)]
        told = self.merger.hear(Reading(start, step.end, decision, step.sound, step.advance))
        running = self.merger.running
        state.holding = running.decision.label if running and running.decision.known else None
        return told

    def _here(self, place: int) -> int:
        """A sample at the model's rate as one at the source's."""
        return place * self._source_rate // self.rate
