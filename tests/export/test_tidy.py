"""A graph in fewer nodes: what it computes stays the same to the bit, at every batch, and what computes stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.export.nets import small_net
from xfer.export import onnx as graphs
from xfer.export import tidy
from xfer.export.fold import fold
from xfer.export.onnx import operators
from xfer.export.tidy import tidied
from xfer.train.checkpoint import Checkpoint

onnxruntime = pytest.importorskip("onnxruntime")


def answers(model: Any, audio: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"audio": audio})


def graph(nodes: list[Any], constants: dict[str, np.ndarray], shape: list[Any], outputs: dict[str, list[Any]]) -> Any:
    """A small graph of `audio`."""
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("normalise", ["none", "window", "peak"])
@pytest.mark.parametrize(("kind", "form"), [("stft", "conv"), ("stft", "fft"), ("sinc", "conv")])
def test_the_same_to_the_bit(kind: str, form: str, normalise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small_net(kind, normalise)  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(graphs, "tidied", lambda model: model)
        written = graphs.to_twin(fold(net, form))
    left = graphs.to_twin(fold(net, form))
    assert len(left.graph.node) < len(written.graph.node)
    for batch in (1, 2, 7):
        audio = np.random.default_rng(batch).normal(0, 0.3, (batch, net.window)).astype(np.float32)
        for one, other in zip(answers(written, audio), answers(left, audio), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("name", ["convnet", "rawnet2"])
def test_nothing_but_what_computes(name: str, checkpoint: Callable[..., Checkpoint]) -> None:
    found = operators(graphs.to_shipped(graphs.to_twin(fold(checkpoint(name).net))))
    assert not {"Constant", "Identity", "Cast", "Mod"} & set(found)
    # A GRU begins with a state of zeros for each window of the batch, whose number only the sound tells.
    of_the_batch = {name: found.get(name, 0) for name in ("Shape", "ConstantOfShape")}
    assert of_the_batch == dict.fromkeys(of_the_batch, 1 if name == "rawnet2" else 0)


def test_a_second_time_changes_nothing() -> None:
    once = graphs.to_twin(fold(small_net("stft")))
    before = once.SerializeToString()
    assert tidied(once).SerializeToString() == before


def test_a_size_that_only_the_sound_tells_is_left() -> None:
    """Both axes are open, so the reshape of one sound is not the reshape of another."""
    model = graph(
        [
            helper.make_node("Shape", ["audio"], ["sizes"]),
            helper.make_node("Concat", ["one", "sizes"], ["wanted"], axis=0),
            helper.make_node("Reshape", ["audio", "wanted"], ["found"]),
        ],
        {"one": np.array([1], np.int64)},
        ["batch", "time"],
        {"found": [1, "batch", "time"]},
    )
    assert operators(tidied(model)) == {"Shape": 1, "Concat": 1, "Reshape": 1}
    for shape in ((2, 6), (3, 4)):
        assert answers(model, np.zeros(shape, np.float32))[0].shape == (1, *shape)


def test_a_batch_that_moves_away_from_the_first_axis() -> None:
    """(batch, 6) turned and reshaped to (6, batch, -1): the batch is not what is left over."""
    nodes = [
        helper.make_node("Transpose", ["audio"], ["turned"], perm=[1, 0]),
        helper.make_node("Shape", ["turned"], ["sizes"]),
        helper.make_node("Concat", ["sizes", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["turned", "wanted"], ["found"]),
    ]
    model = tidied(graph(nodes, {"rest": np.array([-1], np.int64)}, ["batch", 6], {"found": [6, "batch", 1]}))
    for batch in (1, 2, 5):
        assert answers(model, np.zeros((batch, 6), np.float32))[0].shape == (6, batch, 1)


def test_chance_is_no_constant() -> None:
    nodes = [
        helper.make_node("RandomNormal", [], ["chance"], shape=[3]),
        helper.make_node("Add", ["audio", "chance"], ["found"]),
    ]
    assert operators(tidied(graph(nodes, {}, ["batch", 3], {"found": ["batch", 3]}))) == {"RandomNormal": 1, "Add": 1}


def test_an_output_stays_whatever_gives_it() -> None:
    nodes = [
        helper.make_node("Identity", ["audio"], ["sound"]),
        helper.make_node("Neg", ["one"], ["minus"]),
        helper.make_node("Identity", ["minus"], ["found"]),
        helper.make_node("Neg", ["minus"], ["unread"]),
    ]
    model = tidied(graph(nodes, {"one": np.ones(2, np.float32)}, ["batch", 2], {"sound": ["batch", 2], "found": [2]}))
    sound, found = answers(model, np.full((1, 2), 5, np.float32))
    assert (sound == 5).all()
    assert (found == -1).all()
    assert "unread" not in {name for node in model.graph.node for name in node.output}


def test_weights_are_not_computed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "_LARGEST", 10)
    nodes = [helper.make_node("Neg", ["many"], ["turned"]), helper.make_node("Add", ["audio", "turned"], ["found"])]
    assert (
        operators(tidied(graph(nodes, {"many": np.ones(11, np.float32)}, ["batch", 11], {"found": ["batch", 11]})))[
            "Neg"
        ]
        == 1
    )
