"""The self-test: inputs that every platform makes, and differences that are found."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.tiny import TONES, tiny_card, tiny_golden, tiny_graph, write_model, write_tiny, write_tiny_openvino
from xfer.runtime.engines import read_golden
from xfer.runtime.errors import NotThere, Unusable
from xfer.runtime.here import Setting, devices_here, settings_for
from xfer.runtime.models import load_model
from xfer.runtime.processor import all_threads, processor_name
from xfer.runtime.selftest import LIMITS, Answer, compare, formula_inputs, limits_of, verify, verify_with
from xfer.runtime.selftest.compare import shorten
from xfer.runtime.selftest.probe import COUNT, probe_places


def test_the_inputs_are_the_same_everywhere() -> None:
    """Their hash, as a constant: another platform, another numpy, or a change of the formula would move it."""
    digest = hashlib.sha256()
    for name, values in formula_inputs(16_000, 16_000).items():
        digest.update(name.encode() + np.round(values * 32768).astype("<i4").tobytes())
    assert digest.hexdigest() == "68e6223d6b42d24df046b970bad427426c95b816b87c88dd782732950feb8a91"


def test_the_noise_is_splitmix64() -> None:
    """Against the reference recurrence in plain integers."""
    mask = 2**64 - 1
    state, expected = 0, []
    for _ in range(1000):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        expected.append(round(10 ** (-6 / 20) * ((z >> 32) / 2**31 - 1) * 32768) / 32768)
    np.testing.assert_array_equal(formula_inputs(1000, 16_000)["noise at -6 dBFS"], np.array(expected, np.float32))


@pytest.mark.parametrize(("window", "rate"), [(59_049, 16_000), (66_150, 22_050), (100, 8_000), (480_000, 192_000)])
def test_the_inputs_are_what_their_names_say(window: int, rate: int) -> None:
    inputs = formula_inputs(window, rate)
    for values in inputs.values():
        assert values.shape == (window,)
        assert values.dtype == np.float32
        assert np.abs(values).max() <= 1
    assert not inputs["silence"].any()
    assert (inputs["dc"] == 0.5).all()
    assert np.count_nonzero(inputs["impulse"]) == 1
    assert set(np.unique(np.abs(inputs["square"]) > 0.99)) == {True}
    if window > 10_000:
        turns = np.count_nonzero(np.diff(np.sign(inputs["square"])))
        assert turns == pytest.approx(2 * 441 * window / rate, abs=2)
        for level in (-60, -30, -6):
            peak = np.abs(inputs[f"noise at {level} dBFS"]).max()
            assert 20 * math.log10(peak) == pytest.approx(level, abs=0.2)
        crossings = np.diff(np.flatnonzero(np.diff(np.signbit(inputs["chirp"]))))
        thirds = np.array_split(crossings, 3)
        assert thirds[0].mean() > thirds[1].mean() > thirds[2].mean(), "the chirp does not rise"


@pytest.mark.parametrize("size", [1, 255, 256, 257, 300, 65_664, 7_525_000])
def test_the_probe_looks_everywhere(size: int) -> None:
    places = probe_places(size)
    assert len(places) == min(size, COUNT)
    assert len(set(places.tolist())) == len(places)
    assert list(places) == sorted(places)
    assert places[0] >= 0
    assert places[-1] < size
    if size == 65_664:  # ConvNet's: 128 frames of 513 bins
        assert len(set((places % 513).tolist())) > 150, "few frequencies"
        assert len(set((places // 513).tolist())) > 90, "few frames"


@pytest.mark.parametrize("make", [write_tiny, write_tiny_openvino])
def test_what_was_exported_verifies(tmp_path: Path, make: Any) -> None:
    suffix = ".onnx" if make is write_tiny else ".openvino"
    report = verify(load_model(make(tmp_path / f"a{suffix}")))
    assert report.equal
    assert [row.input for row in report.rows] == ["chirp", "noise at -30 dBFS", "silence", "real: melody"]
    assert report.processor == processor_name() != ""
    assert report.inputs == "4 golden clips, 1 of them recorded"
    assert all(row.difference.scores < 1e-6 for row in report.rows)
    assert all(row.difference.frontend is not None and row.difference.frontend < 1e-6 for row in report.rows)


def test_every_engine_and_number_of_threads_is_tried(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = write_tiny(tmp_path / "a.onnx")
    settings = settings_for(path)
    assert settings[0] == Setting("onnxruntime", "cpu", 1)
    assert Setting("onnxruntime", "cpu", all_threads()) in settings
    assert Setting("openvino", "cpu", 1) in settings
    reports = list(verify_with(path, settings))
    assert [report.equal for report in reports] == [True] * len(settings)
    assert {report.engine.split()[0] for report in reports} == {"ONNX", "OpenVINO"}
    assert settings_for(path, engine="openvino", threads=3) == [Setting("openvino", "cpu", 3)]
    assert settings_for(path, device="gpu")[0].engine == "openvino", "only OpenVINO knows a device of that name"
    assert settings_for(path, device="cuda")[0].engine == "onnxruntime"
    folder = write_tiny_openvino(tmp_path / "a.openvino")
    assert {setting.engine for setting in settings_for(folder)} == {"openvino"}
    with pytest.raises(Unusable, match="known: openvino"):
        settings_for(folder, engine="onnxruntime")
    assert devices_here("onnxruntime")[0] == devices_here("openvino")[0] == "cpu"


def test_a_device_that_was_asked_for_and_is_not_there_is_no_result(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = write_tiny(tmp_path / "a.onnx")
    if "npu" in devices_here("openvino"):
        pytest.skip("an NPU is here")
    with pytest.raises(NotThere, match=r"sees no NPU.*--allow-cpu"):
        list(verify_with(path, settings_for(path, device="npu")))
    (report,) = verify_with(path, settings_for(path, device="npu", allow_cpu=True))
    assert report.equal
    assert "this runs on the CPU" in report.notes[0]
    assert "CPU" in report.engine


def test_what_fails_before_anything_was_compared_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose own engine cannot run it is not one of which another engine says `equal`."""
    from xfer.runtime.engines.onnxruntime_engine import OnnxRuntimeEngine

    pytest.importorskip("openvino")
    path = write_tiny(tmp_path / "a.onnx")

    def refuse(*_: object) -> None:
        raise Unusable("cannot run 1 windows")

    monkeypatch.setattr(OnnxRuntimeEngine, "read", refuse)
    with pytest.raises(Unusable, match="cannot run"):
        list(verify_with(path, settings_for(path, threads=1)))


def another_weight(path: Path, name: str, change: float) -> Path:
    """A whole, sealed model with the golden clips of another: one constant of its graph is a little different."""
    from onnx import numpy_helper

    card, golden = load_model(path).card, read_golden(path)
    graph = tiny_graph()
    constant = next(constant for constant in graph.graph.initializer if constant.name == name)
    constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) * np.float32(change), name))
    return write_model(path.with_name("other.onnx"), card, graph, golden or "")


@pytest.mark.parametrize("change", [1.001, 1.05, -1.0])
def test_another_weight_is_found(tmp_path: Path, change: float) -> None:
    report = verify(load_model(another_weight(write_tiny(tmp_path / "a.onnx"), "head", change)))
    assert not report.equal
    told = [row.difference.where for row in report.rows if not row.difference.equal]
    assert all(words.startswith("logits") for words in told), "the head comes after the embedding, which is equal"
    if change < 0:
        assert any("decision" in words for words in told)


def test_another_front_end_is_found_by_the_probe_first(tmp_path: Path) -> None:
    report = verify(load_model(another_weight(write_tiny(tmp_path / "a.onnx"), "kernels", 1.00003)))
    different = [row.difference for row in report.rows if not row.difference.equal]
    assert different
    assert all(each.where.startswith("front-end by ") for each in different)
    assert all(1e-5 < (each.frontend or 0) < 3.1e-5 for each in different)
    assert max(each.scores for each in different) < LIMITS.scores, "scores alone would not have told"


def test_a_swapped_label_list_is_found(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx")
    swapped = replace(load_model(path).card, labels=tuple(reversed(TONES)))
    report = verify(load_model(write_model(tmp_path / "b.onnx", swapped, golden=read_golden(path) or "")))
    assert not report.equal
    assert "decision" in next(row.difference.where for row in report.rows if row.difference.where)


def answer(scores: list[float], logits: list[float], label: str, **more: Any) -> Answer:
    embedding = np.array([1.0, -2.0], np.float32)
    return Answer(np.array(scores, np.float32), np.array(logits, np.float32), embedding, label, **more)


@pytest.mark.parametrize(
    ("expected", "found", "equal"),
    [
        (([0.6, 0.4], [10.0, 9.0], "a"), ([0.60009, 0.39991], [10.0009, 9.0], "a"), True),
        (([0.6, 0.4], [10.0, 9.0], "a"), ([0.60011, 0.39989], [10.0, 9.0], "a"), False),
        (([0.6, 0.4], [10.0, 9.0], "a"), ([0.6, 0.4], [10.0011, 9.0], "a"), False),
        (([0.50005, 0.49995], [0.1, 0.1], "a"), ([0.5, 0.5], [0.1, 0.1], "b"), True),  # too near to tell
        (([0.5002, 0.4998], [0.1, 0.1], "a"), ([0.5002, 0.4998], [0.1, 0.1], "b"), False),
        (([0.6, 0.4], [1.0, 0.0], "a"), ([math.nan, 0.4], [1.0, 0.0], ""), False),
        (([0.6, 0.4], [1.0, 0.0], "a"), ([0.6], [1.0, 0.0], "a"), False),
    ],
)
def test_limits(expected: tuple[Any, ...], found: tuple[Any, ...], equal: bool) -> None:
    difference = compare(answer(*expected), answer(*found))
    assert difference.equal == equal
    assert LIMITS.scores == LIMITS.logits == 1e-4
    assert all(value is None or math.isfinite(value) for value in difference.document().values())


def test_the_probe_is_measured_against_the_peak_of_the_whole_front_end() -> None:
    rest = ([0.6, 0.4], [1.0, 0.0], "a")
    expected = answer(*rest, probe=np.float32([0.5, 0.0]), peak=100.0)
    near, far = (answer(*rest, probe=np.float32([0.5 + 100 * size, 0.0])) for size in (0.8e-5, 1.2e-5))
    assert compare(expected, near).equal
    assert compare(expected, far).where.startswith("front-end by 1.2e-05")
    assert not compare(expected, answer(*rest)).equal, "a graph without a probe says nothing of its front-end"
    assert compare(answer(*rest), near).frontend is None, "nothing was stored to compare with"


def test_a_larger_precision_is_held_to_a_smaller_difference() -> None:
    for name in ("scores", "logits", "embedding", "margin"):
        limits = [getattr(limits_of(precision), name) for precision in ("fp32", "fp16", "int8")]
        assert limits == sorted(limits)
        assert limits[0] < limits[1] < limits[2]
    assert {limits_of(precision).frontend for precision in ("fp32", "fp16", "int8")} == {1e-5}


def schema_1(path: Path) -> Path:
    """A tiny model as the first xfer wrote it: no probe, no seal, ten answers in the card, of each embedding a part."""
    graph = tiny_graph(outputs=("scores", "logits", "embedding"))
    card = tiny_card(schema=1)
    engine = load_model(write_model(path, card, graph, seal=False)).engine
    stored = []
    for name, samples in formula_inputs(card.window, card.sample_rate).items():
        out = engine.run(samples[None])
        *head, norm = (float(value) for value in shorten(out.embedding[0]))
        stored.append(
            {
                "input": name,
                "scores": [float(value) for value in out.scores[0]],
                "logits": [float(value) for value in out.logits[0]],
                "embedding_head": head,
                "embedding_norm": norm,
                "decision": card.labels[int(out.scores[0].argmax())],
            }
        )
    fresh = tiny_graph(outputs=("scores", "logits", "embedding"))
    return write_model(path, replace(card, golden=tuple(stored)), fresh, seal=False)


def test_a_model_of_the_first_schema_still_verifies(tmp_path: Path) -> None:
    path = schema_1(tmp_path / "a.onnx")
    report = verify(load_model(path))
    assert report.equal
    assert len(report.rows) == 10
    assert report.rows[0].difference.frontend is None
    card = load_model(path).card
    whole = card.golden
    damaged: list[list[dict[str, Any]]] = [
        [],
        [{}],
        [whole[0] | {"scores": [0.1]}],
        [whole[0] | {"scores": "text"}],
        [whole[0] | {"logits": [None, 1, 2]}],
        [whole[0] | {"decision": "nobody"}],
        [whole[0] | {"input": "a whistle"}],
        [{key: value for key, value in whole[0].items() if key != "embedding_norm"}],
    ]
    for stored in damaged:
        path = write_model(tmp_path / "b.onnx", replace(card, golden=tuple(stored)), seal=False)
        with pytest.raises(Unusable, match="export it again"):
            verify(load_model(path))
    wrong = whole[0] | {"embedding_norm": whole[0]["embedding_norm"] * 1.01}
    assert not verify(load_model(write_model(tmp_path / "c.onnx", replace(card, golden=(wrong,)), seal=False))).equal


def test_the_shipped_model_verifies_with_every_engine() -> None:
    from xfer.runtime.models import shipped_models

    path = shipped_models() / "speaker.onnx"
    reports = list(verify_with(path, settings_for(path, threads=1)))
    assert [report.equal for report in reports] == [True] * len(reports)
    assert reports


def test_golden_clips_of_another_model_are_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx")
    golden = tiny_golden(path, tiny_card())
    longer = tiny_card(window=4_001)
    other = write_model(tmp_path / "b.onnx", longer, tiny_graph(window="any"), golden)
    with pytest.raises(Unusable, match="golden clips are damaged"):
        verify(load_model(other))
    bare = write_model(tmp_path / "c.onnx", tiny_card())
    with pytest.raises(Unusable, match="no stored outputs"):
        verify(load_model(bare))
