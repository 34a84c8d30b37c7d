"""The threshold on its way into a model file: asked of that file, stored in sentence and numbers, kept by listening."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.export.nets import LABELS, RATE
from tests.export.voices import sound, trained, voices
from tests.runtime.test_card_schema import validator
from tests.runtime.tiny import tiny_card, tone, write_tiny
from xfer.export.clips import Recordings
from xfer.export.formats import FORMS, Form
from xfer.export.pipeline import export
from xfer.export.threshold import Asked, ask, calibrated
from xfer.runtime.listening import EACH_WINDOW, Listener
from xfer.runtime.models import Model, load_model
from xfer.runtime.selftest import verify
from xfer.runtime.sources import FileSource
from xfer.train.checkpoint import Checkpoint

Samples = npt.NDArray[np.float32]
COUNT = 40

EACH_FORM = [
    pytest.param(
        form,
        id=f"{form.format}-{form.precision}",
        marks=[] if (form.format, form.precision) in {("onnx", "fp32"), ("onnx", "int8")} else [pytest.mark.slow],
    )
    for form in FORMS
]
"""The first, and one whose scores are not the checkpoint's, always; the others nightly."""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    return voices(tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="module")
def checkpoint(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return trained(tmp_path_factory.mktemp("run"), recordings)


def clips_of(root: Path, make: Callable[[int, np.random.Generator], Samples], count: int = COUNT) -> Path:
    """Recordings, each a class of its own, so that no test side is made of them."""
    rng = np.random.default_rng(11)
    for k in range(count):
        folder = root / f"class {k:02}"
        folder.mkdir(parents=True)
        soundfile.write(folder / "a.wav", make(k, rng), RATE, subtype="FLOAT")
    return root


def stranger(k: int, rng: np.random.Generator) -> Samples:
    """A voice between those that the net knows, twice as long as a window, swelling."""
    both = np.concatenate([sound(k % 5, rng), sound((k + 2) % 5, rng)])
    return np.asarray(both[::-1] * np.linspace(0.1, 1, len(both)), dtype=np.float32)


def told(lines: list[str]) -> str:
    return "\n".join(lines)


@pytest.mark.parametrize("form", EACH_FORM)
def test_the_file_that_is_written_keeps_what_its_card_promises(
    form: Form, checkpoint: Checkpoint, recordings: Recordings, tmp_path: Path
) -> None:
    """Whoever listens with the finished file counts what the card counts, in every format and precision."""
    negatives = clips_of(tmp_path / "strangers", stranger)
    asked = ask(checkpoint, recordings, [negatives], 0.1)
    lines: list[str] = []
    exported = export(
        checkpoint,
        tmp_path / "models",
        form.format,
        form.precision,
        progress=lines.append,
        recordings=recordings,
        asked=asked,
    )
    model = load_model(exported.path)
    card = model.card
    assert card == exported.card
    assert card.threshold is not None
    assert card.threshold_origin.startswith("calibrated")
    assert f"{COUNT} strangers" in card.threshold_origin
    validator().validate(json.loads(card.to_json()))
    found = card.calibration
    assert found["clips"] == COUNT
    assert found["accepted"] <= 0.1 * COUNT
    for promised, sources in (
        (found, [FileSource(path) for path in sorted(negatives.rglob("*.wav"))]),
        (found["validation"], [FileSource(clip.path) for clip in recordings.data.of("validation")]),
    ):
        said = [_known(model, source) for source in sources]
        assert sum(any(events) for events in said) == promised["accepted"]
        assert sum(map(sum, said)) == promised["accepted_events"]
        assert sum(map(len, said)) == promised["events"]
    assert f"{found['accepted']} are still taken for one" in card.description
    assert "uncalibrated" not in card.description
    assert verify(model).equal
    assert card.parity["decision"] == 0


def _known(model: Model, source: FileSource) -> list[bool]:
    return [event.known for event in Listener(model, rules=EACH_WINDOW).events(source)][:3]


def test_by_default_what_the_run_kept_apart_is_asked(
    checkpoint: Checkpoint, recordings: Recordings, tmp_path: Path
) -> None:
    """Two of five classes were held out, and the net knows the other three."""
    apart = LABELS[3:]
    clips = tuple(replace(clip, split=None) if clip.label in apart else clip for clip in recordings.data.clips)
    run = Recordings(recordings.data.with_clips(clips), recordings.waves)
    asked = ask(replace(checkpoint, labels=LABELS[:3]), run)
    assert not asked.by_user
    assert {clip.label for clip in asked.negatives[0].clips} == set(apart)
    assert {clip.label for clip in asked.known} == set(LABELS[:3])
    assert ask(checkpoint, recordings).negatives == ()


def tiny_asked(tmp_path: Path, negatives: Path, target: float = 0.05, user: bool = True) -> tuple[Model, Asked]:
    from tests.export.nets import small_checkpoint

    model = load_model(write_tiny(tmp_path / "a.onnx"))
    asked = ask(small_checkpoint(tmp_path / "run"), None, [negatives], target)
    return model, replace(asked, by_user=user)


def test_only_noise_calibrates_nothing(tmp_path: Path) -> None:
    noise = clips_of(tmp_path / "noise", lambda k, rng: rng.normal(0, 0.1, 2 * RATE).astype(np.float32))
    model, asked = tiny_asked(tmp_path, noise)
    lines: list[str] = []
    card = calibrated(model.card, model.engine, asked, lines.append)
    assert card.threshold is None
    assert card.threshold_origin.startswith(f"uncalibrated: all {COUNT} clips")
    assert "steady noise" in told(lines)
    assert card.calibration == {}


def lively(k: int, rng: np.random.Generator) -> Samples:
    return (rng.normal(0, 0.05, 2 * RATE) * np.linspace(0, 1, 2 * RATE) + tone(400 + 60 * k, 2.0, RATE, 0.02)).astype(
        np.float32
    )


def test_noise_beside_other_sound_counts_but_does_not_fill_up(tmp_path: Path) -> None:
    def mixed(dull: int) -> Callable[[int, np.random.Generator], Samples]:
        return lambda k, rng: np.zeros(2 * RATE, np.float32) if k < dull else lively(k, rng)

    model, asked = tiny_asked(tmp_path, clips_of(tmp_path / "enough", mixed(20)))
    card = calibrated(model.card, model.engine, asked, lambda _line: None)
    assert card.threshold is not None
    assert card.calibration["clips"] == COUNT
    model, asked = tiny_asked(tmp_path, clips_of(tmp_path / "few", mixed(21)))
    with pytest.raises(Exception, match="few: 19 clips that hold no label and are more than steady noise, and 20 are"):
        calibrated(model.card, model.engine, asked, lambda _line: None)
    card = calibrated(model.card, model.engine, replace(asked, by_user=False), lambda _line: None)
    assert (card.threshold, card.threshold_origin[:12]) == (None, "uncalibrated")
    assert "19 clips" in card.threshold_origin


def test_recordings_that_cannot_be_used_are_counted_and_named(tmp_path: Path) -> None:
    root = clips_of(tmp_path / "strangers", lively)
    (root / "class 03" / "a.wav").write_text("no sound")
    (root / "class 05" / "a.wav").write_bytes(b"")
    model, asked = tiny_asked(tmp_path, root)
    lines: list[str] = []
    card = calibrated(model.card, model.engine, asked, lines.append)
    assert card.calibration["clips"] == COUNT - 2
    assert "2 cannot be used, the first:" in told(lines)
    assert "class 03" in told(lines)


def test_a_net_that_is_sure_of_strangers_gets_no_threshold(tmp_path: Path) -> None:
    root = clips_of(tmp_path / "strangers", lively)
    model, asked = tiny_asked(tmp_path, root)

    class Sure:
        description = "sure"

        def run(self, windows: Samples) -> object:
            found = model.engine.run(windows)
            return found._replace(scores=np.eye(3, dtype=np.float32)[:1])

    card = calibrated(model.card, Sure(), asked, lambda _line: None)  # type: ignore[arg-type]
    assert card.threshold is None
    assert card.threshold_origin.startswith(f"uncalibrated: to {COUNT} of {COUNT} clips")
    assert "5 %" in card.threshold_origin


def test_the_hash_of_the_negatives_is_that_of_their_list(tmp_path: Path) -> None:
    root = clips_of(tmp_path / "strangers", lively)
    model, asked = tiny_asked(tmp_path, root)
    card = calibrated(model.card, model.engine, asked, lambda _line: None)
    (entry,) = card.calibration["negatives"]
    assert entry["data_sha256"] == asked.negatives[0].sha256
    assert len(entry["data_sha256"]) == 64
    assert tiny_card().calibration == {}
