"""The self-test: inputs that every platform makes, and differences that are found."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.tiny import tiny_card, tiny_graph, write_model, write_tiny, write_tiny_openvino
from xfer.runtime.errors import Unusable
from xfer.runtime.models import load_model
from xfer.runtime.selftest import LIMITS, compare, formula_inputs, golden, processor_name, verify


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


@pytest.mark.parametrize("make", [write_tiny, write_tiny_openvino])
def test_what_was_exported_verifies(tmp_path: Path, make: Any) -> None:
    suffix = ".onnx" if make is write_tiny else ".openvino"
    report = verify(load_model(make(tmp_path / f"a{suffix}")))
    assert report.equal
    assert len(report.rows) == 10
    assert report.processor == processor_name() != ""
    assert all(row.difference.scores < 1e-6 for row in report.rows)


def test_two_threads_and_two_engines_agree(tmp_path: Path) -> None:
    stored = write_tiny_openvino(tmp_path / "a.openvino")
    assert verify(load_model(stored, threads=2)).equal, "OpenVINO against what ONNX Runtime stored"


@pytest.mark.parametrize("change", [1.001, 1.05, -1.0])
def test_another_weight_is_found(tmp_path: Path, change: float) -> None:
    """The same card on a graph whose head is a little different."""
    from onnx import numpy_helper

    card = load_model(write_tiny(tmp_path / "a.onnx")).card
    graph = tiny_graph()
    head = next(constant for constant in graph.graph.initializer if constant.name == "head")
    head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) * np.float32(change), "head"))
    report = verify(load_model(write_model(tmp_path / "b.onnx", card, graph)))
    assert not report.equal
    told = [row.difference.where for row in report.rows if not row.difference.equal]
    assert all(words for words in told)
    if change < 0:
        assert any("decision" in words for words in told)


def entry(scores: list[float], logits: list[float], decision: str) -> dict[str, Any]:
    return {
        "scores": scores,
        "logits": logits,
        "embedding_head": [1.0, -2.0],
        "embedding_norm": 2.2,
        "decision": decision,
    }


@pytest.mark.parametrize(
    ("expected", "found", "equal"),
    [
        (([0.6, 0.4], [10.0, 9.0], "a"), ([0.60009, 0.39991], [10.0009, 9.0], "a"), True),
        (([0.6, 0.4], [10.0, 9.0], "a"), ([0.60011, 0.39989], [10.0, 9.0], "a"), False),
        (([0.6, 0.4], [10.0, 9.0], "a"), ([0.6, 0.4], [10.0011, 9.0], "a"), False),
        (([0.5001, 0.4999], [0.1, 0.1], "a"), ([0.5, 0.5], [0.1, 0.1], "b"), True),  # too near to tell
        (([0.5002, 0.4998], [0.1, 0.1], "a"), ([0.5002, 0.4998], [0.1, 0.1], "b"), False),
        (([0.6, 0.4], [1.0, 0.0], "a"), ([math.nan, 0.4], [1.0, 0.0], "a"), False),
    ],
)
def test_limits(expected: tuple[Any, ...], found: tuple[Any, ...], equal: bool) -> None:
    difference = compare(entry(*expected), entry(*found))
    assert difference.equal == equal
    assert LIMITS.scores == LIMITS.logits == 1e-4


def test_stored_outputs_that_are_damaged_are_refused(tmp_path: Path) -> None:
    card = tiny_card()
    whole = golden(load_model(write_model(tmp_path / "a.onnx", card)).run, card)
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
        path = write_model(tmp_path / "b.onnx", replace(card, golden=tuple(stored)))
        with pytest.raises(Unusable, match="export it again"):
            verify(load_model(path))
