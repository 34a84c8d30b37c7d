"""Fold and graph: what is in the file, what is not, and that nothing of the checkpoint is touched."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from tests.export.nets import EACH_NET, PLAIN_FORMS, small_checkpoint, small_net
from xfer.export import onnx as graphs
from xfer.export.describe import card_of
from xfer.export.fold import fold
from xfer.export.formats import OPSET, form_of
from xfer.runtime.engines import open_engine
from xfer.runtime.errors import Unusable
from xfer.train.checkpoint import Checkpoint


@pytest.mark.parametrize(("kind", "head"), [("stft", "linear"), ("sinc", "linear"), ("stft", "cosine")])
def test_a_folded_net_says_the_same_and_leaves_the_net_alone(kind: str, head: str) -> None:
    net = small_net(kind, "window", head=head)
    before = copy.deepcopy(net.state_dict())
    folded = fold(net)
    audio = torch.from_numpy(np.random.default_rng(1).normal(0, 0.2, (3, net.window)).astype(np.float32))
    with torch.no_grad():
        scores, logits, embedding, features, taps = folded(audio)
        wanted = net(audio)
        assert torch.allclose(features, net.frontend(audio), atol=1e-5)
        for found, (_, activation) in zip(taps, net.walk(net.frontend(audio)), strict=True):
            assert torch.allclose(found, activation, atol=1e-5)
    assert torch.allclose(logits, wanted.logits, atol=1e-5)
    assert torch.allclose(embedding, wanted.embedding, atol=1e-5)
    assert torch.allclose(scores.sum(dim=1), torch.ones(3))
    assert net.frontend.folded is None
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(isinstance(module, nn.Dropout) for module in folded.modules())
    assert any(isinstance(module, nn.Dropout) for module in net.modules())


@pytest.mark.parametrize(("name", "head"), EACH_NET)
def test_what_is_in_a_graph(name: str, head: str, checkpoint: Callable[..., Checkpoint]) -> None:
    net = checkpoint(name, head).net
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        shipped = graphs.to_shipped(graphs.to_twin(fold(net)))
    assert not said  # the exporter's own talk is not the user's
    found = graphs.operators(shipped)
    assert not {"STFT", "DFT", "Dropout", "Loop", "Scan", "If", "Sin", "Cos"} & set(found)
    assert found.get("GRU", 0) == (1 if name == "rawnet2" else 0)  # one node, not one a time step
    assert {entry.domain: entry.version for entry in shipped.opset_import} == {"": OPSET}
    shapes = {
        port.name: [size.dim_param or size.dim_value for size in port.type.tensor_type.shape.dim]
        for port in [*shipped.graph.input, *shipped.graph.output]
    }
    assert shapes == {
        "audio": ["batch", net.window],
        "scores": ["batch", 5],
        "logits": ["batch", 5],
        "embedding": ["batch", net.embedding_size],
        "probe": ["batch", 256],
    }


def test_the_directions_of_a_cosine_head_are_constants_of_the_graph() -> None:
    net = small_net("stft", head="cosine")
    graph = graphs.to_shipped(graphs.to_twin(fold(net)))
    constants = [numpy_helper.to_array(each) for each in graph.graph.initializer]
    constants += [numpy_helper.to_array(node.attribute[0].t) for node in graph.graph.node if node.op_type == "Constant"]
    unit = net.head.weight.detach().double().numpy()
    unit = 30 * unit / np.linalg.norm(unit, axis=1, keepdims=True)
    assert any(each.shape == (8, 5) and np.abs(each.T - unit).max() < 1e-5 for each in constants)
    assert net.head.folded is None


def test_equal_nets_give_equal_graphs_byte_for_byte() -> None:
    one, other = (graphs.to_twin(fold(small_net("stft"))).SerializeToString() for _ in range(2))
    assert one == other


@pytest.mark.parametrize("form", PLAIN_FORMS, ids=lambda form: form.format)
def test_the_batch_is_dynamic_and_windows_do_not_hear_each_other(form: object, tmp_path: Path) -> None:
    checkpoint = small_checkpoint(tmp_path)
    path = tmp_path / f"model{form.suffix}"  # type: ignore[attr-defined]
    form.writer(graphs.to_shipped(graphs.to_twin(fold(checkpoint.net))), card_of(checkpoint, "model", form), path)  # type: ignore[attr-defined, arg-type]
    engine = open_engine(path, device="cpu")
    windows = np.random.default_rng(2).normal(0, 0.2, (11, 8000)).astype(np.float32)
    together = engine.run(windows)
    alone = [engine.run(window[None]) for window in windows]
    for part in range(3):
        assert np.abs(together[part] - np.concatenate([each[part] for each in alone])).max() < 1e-5


def test_one_file_that_holds_all_and_nothing_of_this_machine(tmp_path: Path) -> None:
    checkpoint = small_checkpoint(tmp_path / "runs" / "speaker-small-1")
    form = form_of("onnx", "fp32")
    path = tmp_path / "alone" / "model.onnx"
    path.parent.mkdir()
    form.writer(graphs.to_shipped(graphs.to_twin(fold(checkpoint.net))), card_of(checkpoint, "model", form), path)
    assert [each.name for each in path.parent.iterdir()] == ["model.onnx"]
    content = path.read_bytes()
    for trace in (str(tmp_path), str(Path(__file__).parent), "site-packages", str(Path.home())):
        assert trace.encode() not in content
    card = open_engine(path).card
    assert card == card_of(checkpoint, "model", form).__class__.from_json(card.to_json())
    assert card.provenance["run"] == "speaker-small-1"
    assert card.hop == 4000
    assert (card.threshold, card.threshold_origin) == (None, "uncalibrated")
    assert card.frontend == checkpoint.net.frontend.describe()
    assert "SYNTHETIC" in card.description


@pytest.mark.parametrize(
    ("format", "precision", "word"),
    [("onx", "fp32", "'onnx'"), ("opnvino", "fp32", "'openvino'"), ("onnx", "fp23", "'fp32'"), ("", "fp32", "known")],
)
def test_a_wrong_choice_is_met_with_the_nearest(format: str, precision: str, word: str) -> None:
    with pytest.raises(Unusable, match=word):
        form_of(format, precision)
