"""`xfer speakers` as a user meets it, with real voices and the model that ships."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.recordings import recordings
from tests.runtime.tiny import tone, write_tiny
from xfer.cli.app import main

SHIPPED = Path(__file__).parents[2] / "models" / "speaker.onnx"

Call = Callable[..., tuple[int, str, str]]


@cache
def speech(who: str, clips: int = 14, skip: int = 0) -> np.ndarray:
    """16 kHz speech of one person, about a second a clip."""
    root = recordings("spoken_digits")
    with open(root / "speakers.csv", newline="") as file:
        paths = [root / row["path"] for row in csv.DictReader(file) if row["speaker"] == who]
    return np.concatenate([soundfile.read(path, dtype="float32")[0] for path in paths[skip::7][:clips]])


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with recordings of three people, and a home without any."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XFER_MODELS", raising=False)
    for who in ("jackson", "nicolas", "theo"):
        for take in range(3):
            soundfile.write(tmp_path / f"{who}{take}.wav", speech(who, skip=2 * take), 16_000)
    return tmp_path


@pytest.fixture
def call(lab: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["speakers", *words])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return run


def test_the_way_of_a_household(call: Call, lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call("list")[:2] == (0, "")
    code, out, err = call("add", "jackson", "jackson0.wav", "jackson1.wav")
    assert (code, err.count("so far")) == (0, 1)
    assert out.startswith("jackson: 2 recordings, 28.0 s")
    assert call("add", "nicolas", "nicolas0.wav", "nicolas1.wav")[0] == 0
    assert call("calibrate", "--false-accepts", "0.05")[0] == 0
    found = json.loads(call("list", "--json")[1])
    assert [person["name"] for person in found["people"]] == ["jackson", "nicolas"]
    assert found["calibration"]["wanted"] == 0.05
    code, out, _ = call("test", "jackson2.wav", "theo2.wav", "--json")
    mine, theirs = json.loads(out)["files"]
    assert (mine["label"], mine["known"]) == ("jackson", True)
    assert mine["margin"] == pytest.approx(mine["top"][0]["score"] - mine["top"][1]["score"], abs=2e-6)
    assert sum(each["known"] for each in mine["decisions"]) > len(mine["decisions"]) / 2
    assert sum(each["known"] for each in theirs["decisions"]) < len(theirs["decisions"]) / 2

    assert main(["listen", "--task", "speaker", "jackson2.wav", "--jsonl"]) == 0
    out, err = capfd.readouterr()
    assert "for the enrolled people (jackson, nicolas)" in err
    labels = {event["label"] for event in map(json.loads, out.splitlines()) if event["known"]}
    assert labels == {"jackson"}

    assert call("remove", "jackson", "--recording", "jackson0.wav")[1] == "jackson0.wav of jackson is forgotten\n"
    assert call("remove", "jackson")[0] == call("remove", "nicolas")[0] == 0
    assert [path.name for path in (lab / "home" / "speakers").iterdir()] == [".lock"]
    assert main(["listen", "--task", "speaker", "jackson2.wav", "--jsonl"]) == 0
    assert "for its own 80 labels" in capfd.readouterr()[1]


def test_calibration_with_other_voices_says_what_it_was_counted_on(call: Call, lab: Path) -> None:
    for who in ("jackson", "nicolas"):
        assert call("add", who, f"{who}0.wav", f"{who}1.wav")[0] == 0
    (lab / "others" / "theo").mkdir(parents=True)
    for take in range(3):
        (lab / f"theo{take}.wav").rename(lab / "others" / "theo" / f"{take}.wav")
    (lab / "others" / "theo" / "broken.wav").write_text("no recording\n")
    code, out, err = call("calibrate", "others", "--json")
    found = json.loads(out)
    assert code == 0
    assert "left out: others/theo/broken.wav" in err
    assert (found["people"], found["voices"]) == (2, 3)
    assert found["eer_interval"] is None
    assert any("3 voices stood for strangers, too few" in note for note in found["notes"])
    assert 0 <= found["eer"] <= 1
    assert found["own_decisions"] < found["strangers_decisions"]
    assert "enrolled: others must be other people" in call("calibrate", "jackson0.wav")[2]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["add", "ann"], 2, "from what?"),
        (["add", "ann", "none.wav"], 3, "none.wav does not exist"),
        (["add", "ann", "silence.wav"], 2, "it is silent"),
        (["add", "ann", "tone.wav"], 2, "like music or noise"),
        (["add", "ann", "jackson0.wav", "silence.wav"], 2, "nobody was enrolled, since silence.wav"),
        (["add", "ann", "jackson0.wav", "jackson0.wav"], 2, "enrolled already"),
        (["add", "  ", "jackson0.wav"], 2, "no name"),
        (["add", "a\nb", "jackson0.wav"], 2, "no name"),
        (["add", "ann", "jackson0.wav", "--model", "genre.onnx"], 2, "'genre'"),
        (["remove", "ann"], 2, "nobody called 'ann'"),
        (["test", "jackson0.wav"], 2, "xfer speakers add"),
        (["calibrate"], 2, "xfer speakers add"),
        (["enrol", "ann"], 2, "enrol"),
    ],
)
def test_wrong_usage_is_one_sentence_with_the_way_out(
    call: Call, lab: Path, words: list[str], code: int, says: str
) -> None:
    soundfile.write(lab / "silence.wav", np.zeros(160_000), 16_000)
    soundfile.write(lab / "tone.wav", tone(440, 8), 16_000)
    write_tiny(lab / "genre.onnx", task="genre")
    found, out, err = call(*words)
    assert (found, out) == (code, ""), err
    assert says in err
    assert not list((lab / "home").rglob("*.json"))


def test_who_insists_may_enrol_anything(call: Call, lab: Path) -> None:
    soundfile.write(lab / "tone.wav", tone(440, 8), 16_000)
    code, out, err = call("add", "kettle", "tone.wav", "--anyway")
    assert (code, out.split(":")[0]) == (0, "kettle")
    assert "like music or noise" in err


def test_without_a_microphone_it_says_so(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    sounddevice = pytest.importorskip("sounddevice", reason="pip install 'xfer[mic]'", exc_type=OSError)
    if sounddevice.query_devices():
        pytest.skip("there are devices here")
    code, _, err = call("add", "ann", "--mic")
    assert code == 3
    assert "microphone" in err
