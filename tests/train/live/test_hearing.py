"""A whole evaluation live: with a model that cannot fail, against the same scene as a file, and by command."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.recordings import recordings
from tests.runtime.tiny import RATE, TONES, tone, write_tiny
from xfer.cli.app import main
from xfer.runtime.errors import Unusable
from xfer.runtime.listening import EACH_WINDOW, Listener
from xfer.runtime.models import Model, shipped_models
from xfer.runtime.sources import FileSource
from xfer.train.data.open import read_data
from xfer.train.data.waves import Waves
from xfer.train.evaluation import Subject, open_subject
from xfer.train.evaluation.live import Live, Terms, hear
from xfer.train.evaluation.live.hearing import back, truth_of
from xfer.train.evaluation.live.matching import match, point
from xfer.train.evaluation.live.page import document
from xfer.train.evaluation.live.scene import compose
from xfer.train.evaluation.live.sounding import SceneSource

WAVES = Waves(RATE)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of each tone of the tiny model, half a second to two seconds long."""
    root = tmp_path_factory.mktemp("live") / "tones"
    for label, hertz in TONES.items():
        (root / label).mkdir(parents=True)
        for number in range(4):
            soundfile.write(root / label / f"{number}.wav", tone(hertz, 0.5 * (number + 1)), RATE)
    return root


def oracle(folder: Path, **card: Any) -> tuple[Subject, Model]:
    """The tiny model, which knows a tone from its loudest filter, and no training could make it better."""
    subject = open_subject(write_tiny(folder / "tiny.onnx", task="sound", **card))
    assert subject.model is not None
    return subject, subject.model


def listened(root: Path, subject: Subject, model: Model, terms: Terms) -> Live:
    data = read_data(str(root), "", None, None)
    return hear(subject, model, data, data.clips, WAVES, "all", terms)


def test_a_model_that_cannot_fail_hits_everything_and_in_time(tones: Path, tmp_path: Path) -> None:
    subject, model = oracle(tmp_path, threshold=0.6)
    told = listened(tones, subject, model, Terms(2.0, 30.0))
    assert told.alone.clip_accuracy == told.live_accuracy == 1.0
    at = told.at_card
    assert (at.threshold, at.hits, at.hit_rate) == (0.6, 12, 1.0)
    assert told.right_alone == (True,) * 12
    assert not told.lost
    window, hop = told.window_seconds, told.hop_seconds
    assert (window, hop) == (0.25, 0.125)
    assert 0 < at.latency_median < window + 2 * hop
    assert at.onset_error_90 <= window + hop
    assert told.hit_interval[0] > 0.7
    assert told.bearable is not None
    assert told.bearable.hit_rate == 1.0
    quiet = next(each for each in told.curve if each.threshold == 0.65)
    assert (quiet.hit_rate, quiet.in_background) == (1.0, 0)
    assert told.curve[0].false_alarms > 10  # without a threshold it names noise, too


def test_clips_below_the_noise_are_lost_live_and_this_is_told(tones: Path, tmp_path: Path) -> None:
    subject, model = oracle(tmp_path, threshold=0.6)
    told = listened(tones, subject, model, Terms(2.0, -20.0))
    assert told.alone.clip_accuracy == 1.0
    assert told.live_accuracy < 0.6
    assert told.at_card.hit_rate < 0.6
    assert len(told.lost) == 12 - told.at_card.hits
    assert "much of what is right by itself" in document(told)
    found = told.to_json()
    assert found["clip_accuracy"] == 1.0
    assert found["live"]["alone_accuracy"] > found["live"]["live_accuracy"]
    assert len(found["live"]["right_alone_missed_live"]) == len(told.lost)


def test_it_is_what_listening_to_the_same_scene_as_a_file_gives(tones: Path, tmp_path: Path) -> None:
    subject, model = oracle(tmp_path)
    told = listened(tones, subject, model, Terms(1.0, 10.0, seed=3))
    source = SceneSource(told.scene, WAVES)
    soundfile.write(tmp_path / "scene.wav", source.samples(0, told.scene.total), RATE, subtype="FLOAT")
    events = list(Listener(model, EACH_WINDOW).events(FileSource(tmp_path / "scene.wav")))
    outcomes, alarms = match(events, truth_of(told.scene), told.window_seconds)
    hours = told.scene.seconds / 3600
    for each in told.curve[::10]:
        again = point(outcomes, alarms, each.threshold, hours)
        assert (again.hits, again.false_alarms, again.wrong_rate) == (each.hits, each.false_alarms, each.wrong_rate)
        assert again.onset_error_90 == each.onset_error_90


def test_the_class_background_is_no_detection(tones: Path, tmp_path: Path) -> None:
    """Brown noise is the low tone's; called background, it alarms nobody, and its clips are not asked for."""
    named = oracle(tmp_path)
    silent = oracle(tmp_path / "b", labels=("background", "middle", "high"))
    loud, quiet = (listened(tones, *each, Terms(1.0, 20.0, seed=1)) for each in (named, silent))
    assert {each.truth.label for each in quiet.outcomes} == {"middle", "high"}
    assert quiet.curve[0].false_alarms < loud.curve[0].false_alarms
    assert not {alarm.label for alarm in quiet.alarms} & {"background"}
    assert quiet.live_accuracy == 1.0


def test_labels_that_the_net_does_not_know_are_refused(tones: Path, tmp_path: Path) -> None:
    subject, model = oracle(tmp_path, labels=("x", "y", "hig"))
    with pytest.raises(Unusable, match=r"'hig'|known: x, y, hig"):
        listened(tones, subject, model, Terms(1.0))


def test_background_is_what_the_training_never_heard(tmp_path: Path) -> None:
    data = read_data(str(recordings("wake_words")), "", None, None)
    subject, _ = oracle(tmp_path)
    waves = Waves(RATE)
    clips = data.clips[:3]
    other = back(subject, data, clips, waves, None)
    own = back(replace(subject, trained_on=data.name), data, clips, waves, None)
    assert len(other.clips) == len(own.clips) == len(data.background)
    assert own.seconds is not None
    assert own.seconds < 0.2 * (other.seconds or 0)
    for each in own.clips:
        held = waves.length(replace(each, offset=0.0, duration=None)) / RATE
        assert each.offset + (each.duration or 0) == pytest.approx(held, abs=0.01)
    scene = compose(clips, waves, own.clips, Terms(0.5))
    assert {piece.clip for piece in scene.pieces} <= set(own.clips)
    assert back(subject, replace(data, background=()), clips, waves, None).clips == ()


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight of the people that the shipped model knows, in their own layout."""
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    source, root = recordings("libri_vctk_layout"), tmp_path / "libri_vctk_layout"
    root.mkdir()
    for name in ("files.csv", "speaker-info.txt"):
        shutil.copyfile(source / name, root / name)
    folder = "wav48_silence_trimmed"
    for person in sorted((source / folder).iterdir())[:8]:
        shutil.copytree(person, root / folder / person.name)
    return root


def test_by_command(few: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = shipped_models() / "speaker.onnx"
    page = tmp_path / "pages" / "live.html"
    words = ["eval", str(model), str(few), "--stream", "--minutes", "1", "--json", "--html", str(page)]
    assert main(words) == 0
    out, err = capfd.readouterr()
    told = json.loads(out)
    assert told["clips"] == told["live"]["clips"] > 1
    assert told["live"]["minutes"] == 1.0
    assert told["live"]["clips_left_out"] > 0
    assert "found no room" in err
    assert [each["threshold"] for each in told["live"]["curve"]][:3] == [0.0, 0.01, 0.02]
    assert 0 < told["live"]["real_time_factor"] < 1
    text = page.read_text()
    assert text.count("<svg") == 5
    assert "<script" not in text
    assert main(["eval", str(model), str(few), "--stream", "--minutes", "1", "--background", str(few)]) == 0
    out, _ = capfd.readouterr()
    assert "given recordings" in out
    assert "alone" in out
    assert out.count("\n") > 12


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--minutes", "5"], 2, "belongs to --stream"),
        (["--html", "x.html"], 2, "belongs to --stream"),
        (["--stream", "--minutes", "0"], 2, "no length"),
        (["--stream", "--minutes", "nan"], 2, "no length"),
        (["--stream", "--snr", "500"], 2, "decibels"),
        (["--stream", "--minutes", "0.05"], 2, "--minutes"),
        (["--stream", "--minutes", "1", "--background", "nowhere"], 3, "nowhere"),
    ],
)
def test_what_cannot_be_listened_to(
    words: list[str], code: int, said: str, tones: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny(tmp_path / "tiny.onnx", task="sound")
    assert main(["eval", str(model), str(tones), *words]) == code
    assert said in capfd.readouterr().err


def test_a_checkpoint_is_sent_to_the_export(tones: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"")
    assert main(["eval", str(tmp_path / "best.safetensors"), str(tones), "--stream"]) == 2
    assert "xfer export" in capfd.readouterr().err
