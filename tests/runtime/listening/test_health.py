"""What is told of a live stream while it goes on: trouble when it comes and goes, and that it is still there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

import xfer.runtime.listening.health as health
from tests.runtime.listening.nets import NOISE, SumEngine, a_model
from xfer.runtime.engines import Array, Outputs
from xfer.runtime.events import Event
from xfer.runtime.listening import EACH_WINDOW, Listener
from xfer.runtime.listening.session import BATCH
from xfer.runtime.models import Model
from xfer.runtime.sources import Block, News

RATE = 1_000
NONE = np.zeros(0, np.float32)


@dataclass
class Told:
    """A source that gives these blocks; between two of them, `wait` seconds."""

    given: Sequence[Block]
    wait: float = 0.0
    name: str = "microphone"
    rate: int = RATE
    live: bool = True
    notes: tuple[str, ...] = field(default=())

    def blocks(self) -> Iterator[Block]:
        for block in self.given:
            time.sleep(self.wait)
            yield replace(block, arrived=time.monotonic()) if block.arrived == 0 else block

    def stop(self) -> None: ...

    def close(self) -> None: ...


def block(samples: Array = NOISE[:500], **more: Any) -> Block:
    return Block(samples, **({"arrived": 0.0} | more))


def states(events: Sequence[Event]) -> list[str]:
    found = [event.health for event in events if event.kind == "health"]
    return [str(each["state"]) for each in found if each is not None]


def listen(given: Sequence[Block], every: float | None = 0.0, **more: Any) -> list[Event]:
    return list(Listener(a_model(), EACH_WINDOW, health_seconds=every).events(Told(given, **more)))


def test_nothing_is_told_of_a_stream_that_is_well_or_where_nobody_asked() -> None:
    assert states(listen([block()] * 10)) == []
    assert states(listen([block(missing=100)] * 3, every=None)) == []
    assert states(listen([block(missing=100)] * 3, live=False)) == []


def test_it_is_told_every_so_often_that_it_is_there() -> None:
    events = listen([block()] * 12, every=0.05, wait=0.02)
    assert 2 <= len(states(events)) <= 12
    assert set(states(events)) == {"listening"}
    line = json.loads(next(event for event in events if event.kind == "health").to_json())
    assert line["label"] is None
    assert line["health"]["models"][0]["windows"] > 0
    assert line["start"] == line["end"] > 0


def test_also_while_no_sound_comes() -> None:
    assert states(listen([block(NONE)] * 10, every=0.05, wait=0.02))


def test_a_device_that_goes_and_comes() -> None:
    lost, back = News("lost", "it went away"), News("back", "it is back")
    events = listen(
        [block(), block(NONE, news=lost), block(NONE), block(NONE, news=back), block(missing=2_000), block()]
    )
    assert states(events)[:2] == ["lost", "listening"]
    gap = next(event for event in events if event.kind == "gap")
    assert (gap.start, gap.end, gap.dropped) == (0.5, 2.5, 2_000)
    assert [event.start for event in events if event.kind == "event"][-1] > 3


def test_trouble_is_told_once_and_that_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CALM_SECONDS", 0.05)
    events = listen([block(), block(missing=50), block(missing=50), block(), *[block()] * 8], wait=0.02)
    assert states(events) == ["dropping", "listening"]
    text = next(event.health["text"] for event in events if event.health)
    assert "50 samples were lost" in text


def test_zeros_for_long_are_no_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CALM_SECONDS", 0.01)
    zeros = block(np.zeros(2_000, np.float32))
    events = listen([block(), *[zeros] * 6, block()], wait=0.02)
    assert states(events) == ["mute", "listening"]
    assert next(event.start for event in events if event.kind == "health") == pytest.approx(0.5 + 12, abs=2.1)


def test_clipping_is_told() -> None:
    loud = block(np.sign(NOISE[:500]))
    assert states(listen([loud] * 6)) == ["clipping"]
    one = NOISE[:500].copy()
    one[3] = 1.0
    assert states(listen([block(one), *[block()] * 10])) == []


class Slow(SumEngine):
    def run(self, windows: Array) -> Outputs:
        time.sleep(0.01)
        return super().run(windows)


def test_behind_it_runs_batches_and_says_so_and_alone_again_when_it_is_not() -> None:
    engine = Slow()
    listener = Listener(Model(engine.card, engine, a_model().path), EACH_WINDOW, health_seconds=0.0)
    blocks = [block(NOISE[at : at + 10], hurry=True, waiting=5.0) for at in range(0, 2_000, 10)]
    blocks += [block(NOISE[at : at + 10]) for at in range(2_000, 3_000, 10)]
    events = list(listener.events(Told(blocks)))
    assert states(events)[0] == "behind"
    assert max(engine.batches) == BATCH
    assert engine.batches[-5:] == [1] * 5
    alone = SumEngine()
    whole = list(Listener(Model(alone.card, alone, a_model().path), EACH_WINDOW).events(Told([block(NOISE)])))
    scored = [event for event in events if event.kind == "event"]
    assert [(event.start, event.label) for event in scored] == [(event.start, event.label) for event in whole]
    assert [event.score for event in scored] == pytest.approx([event.score for event in whole], abs=1e-5)


def test_clocks_that_jump_change_no_event_and_no_latency_is_negative() -> None:
    blocks = [Block(NOISE[at : at + 100], time.monotonic() + jump) for at, jump in
              zip(range(0, 3_000, 100), [0, 1e6, -1e6, 0.5, -0.5] * 6, strict=True)]  # fmt: skip
    events = listen(blocks)
    plain = listen([block(NOISE)])
    assert [(event.start, event.end, event.score) for event in events if event.kind == "event"] == [
        (event.start, event.end, event.score) for event in plain
    ]
    assert all((event.latency_ms or 0) >= 0 for event in events)
