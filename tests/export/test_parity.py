"""Parity holds for every net in every format, and catches each way in which an export goes wrong, by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.export.nets import EACH_NET, LABELS, small_checkpoint, small_net
from xfer.export import onnx as graphs
from xfer.export.describe import card_of
from xfer.export.fold import InferenceNet, fold
from xfer.export.formats import FORMS, Form, form_of
from xfer.export.inputs import parity_inputs
from xfer.export.parity import Reference, prove
from xfer.export.report import BATCHES, STAGES, ParityReport
from xfer.runtime.card import Card
from xfer.runtime.engines import Array, open_engine
from xfer.runtime.errors import Unusable
from xfer.train.checkpoint import Checkpoint
from xfer.train.nets import Net

Sabotage = Callable[[InferenceNet], None]
ONNX = form_of("onnx", "fp32")


def parity(
    checkpoint: Checkpoint,
    folder: Path,
    form: Form = ONNX,
    sabotage: Sabotage = lambda folded: None,
    surgery: Callable[[Any], None] = lambda graph: None,
    inputs: dict[str, Array] | None = None,
    reference: Reference | None = None,
    file_card: Callable[[Card], Card] = lambda card: card,
) -> ParityReport:
    """Export without the last steps: what is between the folded net and its file can be tampered with."""
    net = checkpoint.net
    folded = fold(net)
    sabotage(folded)
    twin = graphs.to_twin(folded)
    surgery(twin)
    card = card_of(checkpoint, "model", form)
    form.writer(graphs.to_shipped(twin), file_card(card), folder / f"model{form.suffix}")
    form.writer(twin, file_card(card), folder / f"twin{form.suffix}")
    engines = (open_engine(folder / f"{name}{form.suffix}", device="cpu") for name in ("model", "twin"))
    inputs = parity_inputs(net.window, net.sample_rate) if inputs is None else inputs
    return prove(reference or Reference(net), card, *engines, inputs)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.format}-{form.precision}")
@pytest.mark.parametrize(("name", "head"), EACH_NET)
def test_every_net_in_every_form(
    name: str,
    head: str,
    form: Form,
    checkpoint: Callable[..., Checkpoint],
    reference: Callable[..., Reference],
    tmp_path: Path,
) -> None:
    found = checkpoint(name, head)
    inputs = parity_inputs(found.net.window, found.net.sample_rate)
    if found.net.name == "rawnet2":  # a fifth of a second a window: those where sums and offsets go wrong first
        inputs = {key: inputs[key] for key in ("dc", "square", "speech by formula")}
    report = parity(found, tmp_path, form, inputs=inputs, reference=reference(name, head))
    assert report.ok, report.sentence()
    assert {(row.input, row.batch) for row in report.rows if row.stage == "scores"} == {
        (key, batch) for key in inputs for batch in BATCHES
    }
    assert {row.stage for row in report.rows} == set(STAGES) - ({"oracle"} if name == "rawnet2" else set())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.format)
@pytest.mark.parametrize("normalise", ["none", "window", "peak"])
@pytest.mark.parametrize("kind", ["stft", "sinc"])
def test_every_front_end_with_every_normalisation(kind: str, normalise: str, form: Form, tmp_path: Path) -> None:
    net = small_net(kind, normalise)  # type: ignore[arg-type]
    inputs = parity_inputs(net.window, net.sample_rate)
    inputs["tiny on a large offset"] = (0.7 + 1e-4 * inputs["noise at -6 dBFS"]).astype(np.float32)
    report = parity(small_checkpoint(tmp_path, net=net), tmp_path, form, inputs=inputs)
    assert report.ok, report.sentence()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.format)
def test_a_cosine_head_in_every_form_and_what_is_changed_in_it(form: Form, tmp_path: Path) -> None:
    net = small_net("stft", "peak", head="cosine")
    checkpoint = small_checkpoint(tmp_path, net=net)
    assert parity(checkpoint, tmp_path, form).ok

    def other_scale(folded: InferenceNet) -> None:
        folded.net.head.folded.mul_(1.001)

    (tmp_path / "other").mkdir()
    report = parity(checkpoint, tmp_path / "other", form, other_scale)
    assert report.first_failure is not None
    assert report.first_failure.stage == "logits"


def test_a_constant_has_no_residue_under_window_normalisation(
    checkpoint: Callable[[str], Checkpoint], tmp_path: Path
) -> None:
    """59,049 equal samples: an engine that sums one after the other leaves an offset, which is then magnified."""
    net = checkpoint("rawnet2").net
    full = small_net("sinc", "window")
    full.window = net.window
    inputs = {f"constant {value}": np.full(net.window, value, np.float32) for value in (0.5, 0.1, -0.9)}
    inputs["square"] = parity_inputs(net.window, net.sample_rate)["square"]
    report = parity(small_checkpoint(tmp_path, net=full), tmp_path, inputs=inputs)
    assert report.ok, report.sentence()


class BatchStatistics(nn.Module):
    """A batch norm left in training mode."""

    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(0, 2), keepdim=True)
        variance = (x - mean).square().mean(dim=(0, 2), keepdim=True)
        scaled = (x - mean) / (variance + self.norm.eps).sqrt()
        return scaled * self.norm.weight[:, None] + self.norm.bias[:, None]


class Power(nn.Module):
    """The front-end with its magnitude squared."""

    def __init__(self, frontend: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend

    def forward(self, wave: Tensor) -> Tensor:
        return self.frontend(wave).square()


def one_kernel_value(folded: InferenceNet) -> None:
    folded.net.frontend.folded[40, 0, 100] += 2e-2


def periodic_window(folded: InferenceNet) -> None:
    kernels = folded.net.frontend.folded
    n = torch.arange(256, dtype=torch.float64)
    symmetric = 0.5 - 0.5 * torch.cos(2 * torch.pi * n / 255)
    periodic = 0.5 - 0.5 * torch.cos(2 * torch.pi * n / 256)
    kernels.copy_(torch.where(symmetric > 0, kernels.double() / symmetric * periodic, 0.0).float())


def other_hop(folded: InferenceNet) -> None:
    folded.net.frontend.hop -= 1


def power(folded: InferenceNet) -> None:
    folded.net.frontend = Power(folded.net.frontend)


def half_precision_kernels(folded: InferenceNet) -> None:
    folded.net.frontend.folded.copy_(folded.net.frontend.folded.half().float())


def no_normalisation(folded: InferenceNet) -> None:
    folded.net.frontend.normalise = "none"


def batch_statistics(folded: InferenceNet) -> None:
    folded.net.stages["norm"] = BatchStatistics(folded.net.stages["norm"])


def transposed_weight(folded: InferenceNet) -> None:
    gru = folded.net.stages["gru"].gru
    gru.weight_hh_l0.copy_(gru.weight_hh_l0.view(3, 12, 12).transpose(1, 2).reshape(36, 12))


def swapped_head(folded: InferenceNet) -> None:
    folded.net.head.weight.copy_(folded.net.head.weight.flip(0))


def small_scale_of_the_head(folded: InferenceNet) -> None:
    folded.net.head.weight.mul_(1.001)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.format)
@pytest.mark.parametrize(
    ("sabotage", "stage"),
    [
        (one_kernel_value, "front-end"),
        (periodic_window, "front-end"),
        (other_hop, "front-end"),
        (power, "front-end"),
        (half_precision_kernels, "front-end"),
        (no_normalisation, "front-end"),
        (batch_statistics, "embedding"),
        (transposed_weight, "embedding"),
        (swapped_head, "logits"),
        (small_scale_of_the_head, "logits"),
    ],
)
def test_sabotage_is_caught_and_its_stage_named(sabotage: Sabotage, stage: str, form: Form, tmp_path: Path) -> None:
    net = small_net("stft", "peak")
    report = parity(small_checkpoint(tmp_path, net=net), tmp_path, form, sabotage)
    assert not report.ok
    assert report.first_failure is not None
    assert report.first_failure.stage == stage
    assert f"the stage {stage!r}" in report.sentence()
    assert re.search(r"\d\.\de[-+]\d\d where [15]e-0\d is allowed", report.sentence())


def test_batch_statistics_show_in_one_batch_and_not_in_the_front_end(tmp_path: Path) -> None:
    """A feature that depends on the rest of the batch: each stage before it stays clean."""
    report = parity(small_checkpoint(tmp_path), tmp_path, sabotage=batch_statistics)
    assert all(row.ok for row in report.rows if row.stage in ("run", "trained front-end", "front-end"))
    errors = {
        batch: max(r.error for r in report.rows if r.stage == "embedding" and r.batch == batch) for batch in BATCHES
    }
    assert all(error > STAGES["embedding"].limit for error in errors.values())


def test_sinc_filters_changed_after_folding(tmp_path: Path) -> None:
    def other_edges(folded: InferenceNet) -> None:
        folded.net.frontend.low.data.add_(3.0)
        folded.net.frontend.fold()

    report = parity(small_checkpoint(tmp_path, "sinc"), tmp_path, sabotage=other_edges)
    assert report.first_failure is not None
    assert report.first_failure.stage == "front-end"


def freeze_gru(graph: Any) -> None:
    """The GRU's first state as a constant for a batch of one, which tracing at a batch of one used to leave."""
    from onnx import numpy_helper

    (gru,) = (node for node in graph.graph.node if node.op_type == "GRU")
    graph.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 1, 12), np.float32), "first_state"))
    gru.input[5] = "first_state"


def test_a_gru_frozen_to_batch_one_is_not_even_loaded_by_openvino(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be loaded"):
        parity(small_checkpoint(tmp_path), tmp_path, form_of("openvino", "fp32"), surgery=freeze_gru)


def test_a_gru_frozen_to_batch_one_does_not_run(tmp_path: Path) -> None:
    report = parity(small_checkpoint(tmp_path), tmp_path, surgery=freeze_gru)
    assert not report.ok
    assert report.first_failure is not None
    assert report.first_failure.stage == "run"
    assert {row.batch for row in report.rows if row.stage == "run" and not row.ok} == {2, 7}
    json.dumps(report.to_json(), allow_nan=False)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.format)
def test_a_swapped_label_list_is_a_wrong_decision(form: Form, tmp_path: Path) -> None:
    report = parity(
        small_checkpoint(tmp_path), tmp_path, form, file_card=lambda card: replace(card, labels=card.labels[::-1])
    )
    assert report.first_failure is not None
    assert report.first_failure.stage == "decision"
    assert any(label in report.sentence() for label in LABELS)


def test_a_front_end_that_is_not_what_it_says(tmp_path: Path) -> None:
    """The export is faithful, the net itself is not its description: the stage says so."""
    net = small_net("stft")
    net.frontend.basis.mul_(1.001)
    report = parity(small_checkpoint(tmp_path, net=net), tmp_path)
    assert report.first_failure is not None
    assert report.first_failure.stage == "trained front-end"


def test_a_forgotten_softmax(tmp_path: Path) -> None:
    class NoSoftmax(InferenceNet):
        def forward(self, audio: Tensor):  # type: ignore[no-untyped-def]
            found = super().forward(audio)
            return found._replace(scores=found.logits * 1.0)

    checkpoint = small_checkpoint(tmp_path)
    folded = NoSoftmax(fold(checkpoint.net).net).eval()
    twin = graphs.to_twin(folded)
    card = card_of(checkpoint, "model", ONNX)
    for name, graph in (("model", graphs.to_shipped(twin)), ("twin", twin)):
        ONNX.writer(graph, card, tmp_path / f"{name}.onnx")
    engines = (open_engine(tmp_path / f"{name}.onnx", device="cpu") for name in ("model", "twin"))
    report = prove(Reference(checkpoint.net), card, *engines, parity_inputs(8000, 16000))
    assert report.first_failure is not None
    assert report.first_failure.stage == "scores"


def test_nothing_compared_is_no_proof() -> None:
    report = ParityReport("model", "engine", "processor", (), ())
    assert not report.ok


def test_a_net_in_training_mode_is_no_reference() -> None:
    net: Net = small_net("stft").train()
    with pytest.raises(ValueError, match="training mode"):
        Reference(net).run(np.zeros((1, net.window), np.float32))


def test_inputs_are_those_of_the_issue() -> None:
    inputs = parity_inputs(66150, 22050)
    assert {"silence", "dc", "impulse", "square", "clipped speech", "chirp"} <= set(inputs)
    assert sum(name.startswith("noise at") for name in inputs) == 3
    assert all(values.shape == (66150,) and values.dtype == np.float32 for values in inputs.values())
    assert np.abs(inputs["clipped speech"]).max() == 1.0
    assert (np.abs(inputs["clipped speech"]) == 1.0).mean() > 0.01
    assert np.abs(inputs["square"]).min() > 0.99


@pytest.mark.parametrize("wrong", [np.zeros(7999, np.float32), np.full(8000, np.nan, np.float32)])
def test_a_real_window_that_is_none_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no window for parity"):
        parity_inputs(8000, 16000, {"bad.wav": wrong})
