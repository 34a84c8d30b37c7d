"""What the rules of listening cost and bring: hits, wrong names, false alarms an hour, share of windows that are run.

    python benchmarks/rules.py MODEL DATA [--side validation] [--minutes 20] [--snr 20 10 5] [--threshold 0.9]

The clips are those of the validation side: defaults are chosen on them, and the test side stays for reports. Every row
changes one rule of `xfer listen`'s defaults; the net hears each window once, so rows differ by the rules alone. Below
the table: an hour of digital silence, of a quiet room and of a loud one, with the defaults and without any rule.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from xfer.runtime.audio import Samples
from xfer.runtime.listening import Listener, Rules
from xfer.runtime.models import Model, load_model
from xfer.runtime.sources import Block
from xfer.train.data.background import noise
from xfer.train.data.cache import Store
from xfer.train.data.open import read_data
from xfer.train.data.room import own_class
from xfer.train.data.waves import Waves
from xfer.train.evaluation import open_subject
from xfer.train.evaluation.choosing import choose, usable
from xfer.train.evaluation.live.hearing import back, truth_of
from xfer.train.evaluation.live.saying import Remembering, said
from xfer.train.evaluation.live.scene import Terms, compose
from xfer.train.evaluation.live.sounding import SceneSource


@dataclass
class Memory:
    """Samples as a source."""

    samples: Samples
    rate: int
    name: str = "scene"
    live: bool = False
    notes: tuple[str, ...] = ()

    def blocks(self) -> Iterator[Block]:
        """A second at a time."""
        for at in range(0, len(self.samples), self.rate):
            yield Block(self.samples[at : at + self.rate], time.monotonic())

    def stop(self) -> None:
        """It is over soon."""

    def close(self) -> None:
        """Nothing is open."""


def variants(rules: Rules) -> dict[str, Rules]:
    """One rule changed at a time."""
    found = {"defaults": rules, "no gate": replace(rules, gate=False)}
    for name, values in (
        ("margin_db", (3.0, 8.0)),
        ("hang_seconds", (0.0, 0.5)),
        ("highest_floor_dbfs", (-45.0, -25.0)),
        ("fullness", (0.0, 0.75)),
        ("least_sound", (0.0, 0.4)),
        ("averaged", (1, 2, 5)),
        ("hold", (0.5, 1.0)),
        ("shortest_seconds", (0.6,)),
        ("merge_seconds", (0.0,)),
    ):
        found |= {f"{name} {value:g}": replace(rules, **{name: value}) for value in values}
    return found


def options() -> argparse.Namespace:
    """What is measured."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("model", type=Path)
    found.add_argument("data")
    found.add_argument("--side", default="validation")
    found.add_argument("--minutes", type=float, default=20.0)
    found.add_argument("--snr", type=float, nargs="+", default=[20.0, 10.0, 5.0])
    found.add_argument("--level", type=float, default=None, help="dBFS of the clips; default: their own")
    found.add_argument("--threshold", type=float, default=None)
    found.add_argument("--hop", type=float, default=None)
    return found.parse_args()


def main() -> None:
    """Measure and print."""
    with ExitStack() as stack:
        measure(options(), stack)


def measure(chosen: argparse.Namespace, stack: ExitStack) -> None:
    """All rows."""
    model = load_model(chosen.model)
    engine = Remembering(model.engine)
    card = model.card if chosen.hop is None else replace(model.card, hop=round(chosen.hop * model.card.sample_rate))
    kept = Model(card, engine, model.path)
    subject = open_subject(chosen.model)
    store = stack.enter_context(Store())
    data, _ = usable(read_data(chosen.data, "", None, None), store, card.sample_rate, lambda *_: None)
    clips, _ = choose(data, subject, chosen.side)
    waves = Waves(card.sample_rate, store)
    own = {label for label in (own_class(subject.labels),) if label}
    asked = [clip for clip in clips if clip.label in set(card.labels) - own]
    rules = Rules(threshold=chosen.threshold)
    tolerance = max(card.window_seconds, 2 * card.hop / card.sample_rate)
    print(f"{card.name} ({card.net}), {data.name}, {chosen.side}: {len(asked)} clips; threshold {chosen.threshold}")
    for snr in chosen.snr:
        terms = Terms(chosen.minutes, snr, card.window_seconds + tolerance)
        backing = back(subject, data, clips, waves, None)
        scene = compose(asked, waves, backing.clips, terms)
        source = SceneSource(scene, waves)
        samples = np.concatenate([block.samples for block in source.blocks()])
        if chosen.level is not None:
            samples *= np.float32(10 ** ((chosen.level - (scene.level_dbfs + snr)) / 20))
        hours = scene.seconds / 3600
        print(f"\n{snr:g} dB over {backing.words}, {len(scene.placed)} clips in {terms.minutes:g} minutes")
        print("rule                       hits   wrong  alarms/h  latency  run")
        for name, each in variants(rules).items():
            memory = Memory(samples, scene.rate)
            (at,), share = said(kept, memory, truth_of(scene), tolerance, hours, [chosen.threshold], each, own)
            late = f"{at.latency_median:7.2f}" if at.latency_median is not None else "      -"
            rates = f"{at.hit_rate:>6.1%} {at.wrong_rate:>7.1%} {at.false_alarms_per_hour:>9.1f}"
            print(f"{name:<24} {rates} {late} {share:>5.0%}")
    print("\nan hour without a clip        alarms/h  run")
    for words, dbfs in (("digital silence", None), ("a quiet room, -60 dBFS", -60.0), ("a loud room, -35 dBFS", -35.0)):
        for name, each in (("defaults", rules), ("no gate", replace(rules, gate=False))):
            alarms = windows = skipped = 0
            for part in range(3):
                count = 1200 * card.sample_rate
                found = np.zeros(count, np.float32)
                if dbfs is not None:
                    found = noise(np.random.default_rng(part), count, card.sample_rate)
                    found *= np.float32(10 ** (dbfs / 20) / np.sqrt(np.mean(np.square(found))))
                listener = Listener(kept, each)
                alarms += sum(e.known and e.label not in own for e in listener.events(Memory(found, card.sample_rate)))
                windows += listener.state.models[0].windows
                skipped += listener.state.models[0].skipped
            print(f"{words:<24} {name:<9} {alarms:>6} {windows / (windows + skipped):>5.0%}")


if __name__ == "__main__":
    main()
