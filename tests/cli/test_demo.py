"""`xfer demo` with the faster net: every step runs, and what it shows was measured. `make demo` runs the full one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from xfer.cli import demo
from xfer.cli.app import main
from xfer.runtime.events import Event


def test_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--net", "convnet", "--epochs", "1", "--json"]) == 0
    said = capfd.readouterr()
    document = json.loads(said.out)
    assert document["synthetic"] is True
    assert document["verified"] is True
    assert document["parity_ok"] is True
    assert document["clips"] == 32
    assert Path(document["model"]).is_file()
    assert document["windows_heard"] > 0
    assert 0 <= document["windows_heard_right"] <= document["windows_heard"]
    assert "SYNTHETIC" in said.err
    assert soundfile.info("xfer-demo/conversation.wav").duration == pytest.approx(6 * 2 * 3.45, abs=3)


def event(start: float, end: float, label: str) -> Event:
    return Event("event", "f", start, end, "speaker", "m", label=label, score=0.5)


def test_only_windows_within_one_turn_are_judged() -> None:
    turns = [(0.0, 7.0, "a"), (7.0, 14.0, "b")]
    events = [event(0, 3.7, "a"), event(3, 6.7, "b"), event(5, 8.7, "a"), event(7.5, 11.2, "b")]
    assert demo._judge(events, turns) == (2, 3)
