"""Cards that lie, are newer, damaged or hostile, at every verb that opens a model file: one sentence, exit 2.

The files are sealed all the same: a seal says that nothing was damaged, not that what it covers is true.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.runtime.tiny import RATE, tiny_card, write_model, write_tiny, write_tiny_openvino
from xfer.cli.app import main
from xfer.runtime.card import LARGEST_CARD, SCHEMA
from xfer.runtime.sealing import sealed_json

Document = dict[str, Any]


def changed(**change: Any) -> Callable[[Document], str]:
    """The card with some fields changed."""
    return lambda card: json.dumps(card | change)


def without(name: str) -> Callable[[Document], str]:
    """The card without a field."""
    return lambda card: json.dumps({key: value for key, value in card.items() if key != name})


def raw(before: str, after: str) -> Callable[[Document], str]:
    """The card's text with a piece replaced, which must be there."""

    def replaced(card: Document) -> str:
        text = json.dumps(card)
        assert before in text
        return text.replace(before, after)

    return replaced


NESTED = "[" * 60 + "]" * 60
CASES: dict[str, tuple[Callable[[Document], str], str]] = {
    "newer": (changed(schema=SCHEMA + 1, news=1), "upgrade with pip install -U xfer"),
    "no schema": (without("schema"), "schema is None"),
    "window that lies": (changed(window=4_001), "where its card says window 4001"),
    "labels that lie": (changed(labels=["a", "b"]), "where its card says labels 2"),
    "embedding that lies": (changed(embedding_size=7), "where its card says embedding_size 7"),
    "no window": (without("window"), "'window' is missing"),
    "no labels": (without("labels"), "'labels' is missing"),
    "unknown field": (changed(lables=["a"]), "did you mean 'labels'?"),
    "another type": (changed(hop="fast"), "'hop' is 'fast'"),
    "labels twice": (changed(labels=["a", "a", "b"]), "labels are empty or doubled"),
    "NaN": (raw('"threshold": null', '"threshold": NaN'), "'NaN' is no number that can be used"),
    "infinite": (raw('"metrics": {', '"metrics": {"x": -Infinity, '), "'-Infinity' is no number"),
    "1e999": (raw('"metrics": {', '"metrics": {"x": 1e999, '), "'1e999' is no number"),
    "digits without end": (raw('"hop": 2000', f'"hop": {"9" * 5000}'), "is no number"),
    "an integer beyond floats": (raw('"threshold": null', f'"threshold": {"9" * 400}'), "is no number"),
    "a threshold above one": (changed(threshold=1.5), "threshold is 1.5"),
    "twice": (raw('"hop": 2000', '"hop": 2000, "hop": 1'), "'hop' is there twice"),
    "nested": (raw('"metrics": {', f'"metrics": {{"x": {NESTED}, '), "within each other"),
    "deep": (raw('"metrics": {', f'"metrics": {{"x": {"[" * 99_999}{"]" * 99_999}, '), "its card is no JSON"),
    "oversize": (changed(description="x" * LARGEST_CARD), "16,000,"),
    "an order to the terminal": (changed(labels=["low", "middle", "\x1b[2J"]), "characters that are no text"),
    "half a character": (raw('"high"', '"\\ud800"'), "characters that are no text"),
    "a name of two lines": (changed(name="a\nb"), "a name of several lines"),
    "no object": (lambda _card: "[]", "it is no JSON object"),
    "no JSON": (lambda _card: "card", "its card is no JSON"),
}
each_case = pytest.mark.parametrize("case", CASES)


def made(path: Path, case: str) -> Path:
    """A sealed model file with that card."""
    change, _ = CASES[case]
    if path.suffix == ".onnx":
        return write_model(path, change(json.loads(tiny_card().to_json())))
    folder = write_tiny_openvino(path)
    card = json.loads((folder / "card.json").read_text())
    del card["seal"]
    text = change(card)
    (folder / "card.json").write_text(sealed_json(text) if text.endswith("}") else text)
    return folder


def told(case: str, err: str) -> str:
    """What it said, checked to be one sentence that a person can read."""
    (line,) = [line for line in err.splitlines() if line.startswith("xfer: ")]
    assert err.endswith(f"{line}\n")
    assert len(line) < 500
    assert line.isprintable()
    assert "Traceback" not in line
    assert CASES[case][1] in line
    return line


@each_case
@pytest.mark.parametrize("name", ["a.onnx", "a.openvino"])
def test_verify_refuses_it(case: str, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = made(tmp_path / name, case)
    assert main(["verify", str(path)]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert name in told(case, said.err)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "sound" / "x" / "a.wav"
    path.parent.mkdir(parents=True)
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    return path


@pytest.mark.parametrize("case", ["newer", "window that lies", "NaN", "an order to the terminal", "unknown field"])
@pytest.mark.parametrize("verb", ["listen", "bench", "eval"])
def test_every_verb_refuses_it(
    verb: str, case: str, recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(made(tmp_path / "a.onnx", case))
    words = {
        "listen": ["listen", "--model", path, str(recording)],
        "bench": ["bench", path, "--seconds", "0.1"],
        "eval": ["eval", path, str(recording.parent.parent)],
    }[verb]
    assert main(words) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert "a.onnx" in told(case, said.err)


@each_case
def test_models_lists_it_as_broken_beside_the_good_ones(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XFER_MODELS", str(tmp_path / "models"))
    made(tmp_path / "models" / "bad.onnx", case)
    write_tiny(tmp_path / "models" / "good.onnx")
    assert main(["models"]) == 0
    said = capfd.readouterr()
    assert "good.onnx" in said.out
    if not case.endswith("that lies") and not case.endswith("that lie"):  # those show when an engine opens the file
        assert "bad.onnx" not in said.out
        (line,) = [line for line in said.err.splitlines() if "bad.onnx" in line]
        assert line.startswith("cannot be used: ")
        assert line.isprintable()
