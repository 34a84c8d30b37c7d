"""Who is enrolled with which model: real model files, real enrolment."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.speakers.test_checks import babble
from tests.runtime.tiny import write_tiny, write_tiny_openvino
from xfer.runtime.errors import Unusable
from xfer.runtime.listening import Listener
from xfer.runtime.models import Model, load_model
from xfer.runtime.speakers import (
    Calibration,
    Candidate,
    enrolled_with,
    examine_samples,
    folder,
    others_enrolled,
    path_of,
    place,
    read_store,
    update,
)
from xfer.runtime.speakers.enrol import MOST_SECONDS, hear

ONE = {"checkpoint_sha256": "ab" * 32}
OTHER = {"checkpoint_sha256": "cd" * 32}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_model(write_tiny(tmp_path / "one.onnx", provenance=ONE))


def taken(model: Model, seed: int = 0, seconds: float = 6.0) -> Candidate:
    return examine_samples(babble(seconds, seed=seed), 16_000, f"{seed}.wav", model)


def enrol(model: Model, name: str, seed: int = 0) -> None:
    candidate = taken(model, seed)
    update(model, lambda store: place(candidate, name, store)[0])


def test_who_was_enrolled_is_named_from_the_next_start_on(model: Model) -> None:
    assert enrolled_with(model) is None
    enrol(model, "ann")
    found = enrolled_with(model)
    assert found is not None
    assert found.gallery.names == ("ann",)
    assert "ann" in found.words
    assert "provisional" in found.notes[0]
    outputs = model.run(babble(6.0)[None, 8_000:12_000])
    decision = found.decide(outputs)
    assert (decision.label, decision.known, decision.threshold) == ("ann", True, found.gallery.threshold)
    told = enrolled_with(model, threshold=1.0)
    assert told is not None
    assert not told.decide(outputs).known


def test_forms_of_one_checkpoint_share_what_was_enrolled(model: Model, tmp_path: Path) -> None:
    enrol(model, "ann")
    other = load_model(write_tiny_openvino(tmp_path / "one.openvino", provenance=ONE))
    found = enrolled_with(other)
    assert found is not None
    assert found.gallery.names == ("ann",)
    assert any("onnx fp32 and heard with openvino fp32" in note for note in found.notes)


def test_a_form_that_hears_otherwise_is_refused(model: Model) -> None:
    """The store says which answers the enrolling form gave: another net with the same checkpoint's name does not."""
    enrol(model, "ann")

    def falsify(store: object) -> object:
        bound = store.binding  # type: ignore[attr-defined]
        noise = np.random.default_rng(0).standard_normal(bound.witness.shape).astype(np.float32)
        witness = bound.witness + np.linalg.norm(bound.witness) * noise
        return dataclasses.replace(store, binding=dataclasses.replace(bound, witness=witness))  # type: ignore[type-var]

    update(model, falsify)  # type: ignore[arg-type]
    with pytest.raises(Unusable, match="hears differently"):
        enrolled_with(model)


def test_another_model_has_its_own_people(model: Model, tmp_path: Path) -> None:
    enrol(model, "ann")
    other = load_model(write_tiny(tmp_path / "other.onnx", provenance=OTHER))
    assert enrolled_with(other) is None
    assert [store.people[0].name for store in others_enrolled(other)] == ["ann"]
    assert others_enrolled(model) == []
    path_of("ab" * 32).rename(path_of("cd" * 32))  # somebody mixes up the files
    with pytest.raises(Unusable, match="enrolled with another model"):
        enrolled_with(other)
    with pytest.raises(Unusable, match="enrolled with another model"):
        enrol(other, "bob")


def test_a_model_without_a_checkpoint_is_known_by_its_bytes(tmp_path: Path) -> None:
    enrol(load_model(write_tiny(tmp_path / "one.onnx")), "ann")
    (tmp_path / "copy.onnx").write_bytes((tmp_path / "one.onnx").read_bytes())
    assert enrolled_with(load_model(tmp_path / "copy.onnx")) is not None
    assert enrolled_with(load_model(write_tiny(tmp_path / "two.onnx", name="two"))) is None


def test_a_running_listener_takes_another_form_of_its_model_but_no_other_model(model: Model, tmp_path: Path) -> None:
    enrol(model, "ann")
    listener = Listener(model, deciders=[enrolled_with(model)])
    form = load_model(write_tiny_openvino(tmp_path / "one.openvino", provenance=ONE))
    listener.replace(model, form)
    assert listener.model is form
    with pytest.raises(Unusable, match="another checkpoint"):
        listener.replace(form, load_model(write_tiny(tmp_path / "other.onnx", provenance=OTHER)))
    assert listener.model is form


def test_a_damaged_store_is_not_written_over(model: Model) -> None:
    enrol(model, "ann")
    path = path_of("ab" * 32)
    path.write_bytes(path.read_bytes()[:300])
    before = path.read_bytes()
    with pytest.raises(Unusable, match="damaged"):
        enrol(model, "bob", seed=1)
    with pytest.raises(Unusable, match="damaged"):
        enrolled_with(model)
    assert path.read_bytes() == before


def test_a_change_that_fails_changes_nothing(model: Model) -> None:
    enrol(model, "ann")
    before = path_of("ab" * 32).read_bytes()
    with pytest.raises(Unusable, match="enrolled already, for ann"):
        enrol(model, "bob")
    assert path_of("ab" * 32).read_bytes() == before


def test_a_calibration_is_used_and_says_when_it_is_out_of_date(model: Model) -> None:
    enrol(model, "ann")
    found = Calibration(0.5, 0.01, 0.0, None, ("ann",), 1, "2026-11-23T10:00:00+01:00")
    update(model, lambda store: dataclasses.replace(store, calibration=found))
    now = enrolled_with(model)
    assert now is not None
    assert (now.gallery.threshold, now.notes) == (0.5, ())
    enrol(model, "bob", seed=1)
    later = enrolled_with(model)
    assert later is not None
    assert "before bob came" in later.notes[0]


def test_other_tasks_have_no_people(tmp_path: Path) -> None:
    model = load_model(write_tiny(tmp_path / "genre.onnx", task="genre"))
    assert enrolled_with(model) is None
    with pytest.raises(Unusable, match="'genre'"):
        enrol(model, "ann")
    assert not folder().exists()


def test_pauses_are_not_heard_and_windows_are_run_alone(model: Model) -> None:
    voice = babble(3.0)
    silent = np.concatenate([voice, np.zeros(32_000, np.float32), voice])
    kept = hear(silent, model)
    assert len(kept) < len(hear(np.concatenate([voice, voice, voice]), model))
    first = model.run(silent[None, : model.card.window]).embedding
    assert np.array_equal(kept[:1], first)


def test_hours_are_not_decoded_for_two_minutes(model: Model) -> None:
    long = np.tile(babble(6.0), 21)
    found = examine_samples(long, 16_000, "long.wav", model)
    assert found.recording.seconds == MOST_SECONDS
    assert any("first 120 s" in each.message for each in found.findings)


def test_what_is_no_sound_is_refused(model: Model) -> None:
    wave = babble()
    wave[100] = np.nan
    with pytest.raises(Unusable, match="no sound"):
        examine_samples(wave, 16_000, "nan.wav", model)
    assert read_store(path_of("ab" * 32)) is None
