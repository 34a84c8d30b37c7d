"""Every way in which an export goes wrong is caught, and the first stage that differs is named."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.export.nets import LABELS, PLAIN_FORMS, small_checkpoint, small_net
from tests.export.proving import Sabotage, parity
from xfer.export.fold import InferenceNet
from xfer.export.formats import Form, form_of
from xfer.export.parity import BATCHES, Pair, Way, limit_of
from xfer.export.parity.listening import NAME
from xfer.runtime import audio
from xfer.runtime.engines import open_engine


def main_way(ways: list[Way]) -> list[Way]:
    """Most faults show in any engine: one is asked."""
    return ways[:1]


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


class HalfSpectrum(nn.Module):
    """The front-end with what it gives rounded to fp16."""

    def __init__(self, frontend: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend

    def forward(self, wave: Tensor) -> Tensor:
        return self.frontend(wave).half().float()


def half_spectrum(folded: InferenceNet) -> None:
    folded.net.frontend = HalfSpectrum(folded.net.frontend)


def half_precision_kernels(folded: InferenceNet) -> None:
    folded.net.frontend.folded.copy_(folded.net.frontend.folded.half().float())


def no_normalisation(folded: InferenceNet) -> None:
    folded.net.frontend.normalise = "none"


def batch_statistics(folded: InferenceNet) -> None:
    folded.net.stages["norm"] = BatchStatistics(folded.net.stages["norm"])


def one_weight(folded: InferenceNet) -> None:
    folded.net.stages["conv"][1].weight[3, 5, 1] += 0.05


def transposed_weight(folded: InferenceNet) -> None:
    gru = folded.net.stages["gru"].gru
    gru.weight_hh_l0.copy_(gru.weight_hh_l0.view(3, 12, 12).transpose(1, 2).reshape(36, 12))


def swapped_head(folded: InferenceNet) -> None:
    folded.net.head.weight.copy_(folded.net.head.weight.flip(0))


def small_scale_of_the_head(folded: InferenceNet) -> None:
    folded.net.head.weight.mul_(1.001)


@pytest.mark.parametrize("form", PLAIN_FORMS, ids=lambda form: form.format)
@pytest.mark.parametrize(
    ("sabotage", "stage"),
    [
        (one_kernel_value, "front-end"),
        (periodic_window, "front-end"),
        (other_hop, "front-end"),
        (power, "front-end"),
        (half_precision_kernels, "front-end"),
        (half_spectrum, "front-end"),
        (no_normalisation, "front-end"),
        (one_weight, "tap conv"),
        (batch_statistics, "tap norm"),
        (transposed_weight, "tap gru"),
        (swapped_head, "logits"),
        (small_scale_of_the_head, "logits"),
    ],
)
def test_sabotage_is_caught_and_its_stage_named(sabotage: Sabotage, stage: str, form: Form, tmp_path: Path) -> None:
    if sabotage is half_spectrum and form.format == "openvino":
        pytest.skip("OpenVINO takes a conversion to fp16 and back out of the graph, and rightly computes in f32")
    net = small_net("stft", "peak")
    report = parity(small_checkpoint(tmp_path, net=net), tmp_path, form, sabotage, ways=main_way)
    assert not report.ok
    assert report.first_failure is not None
    assert report.first_failure.stage == stage
    before = report.stages.index(stage)
    assert all(row.ok for row in report.rows if report.stages.index(row.stage) < before)
    assert f"the stage {stage!r}" in report.sentence()
    assert re.search(r"\d\.\de[-+]\d\d where [15]e-0\d is allowed", report.sentence())


def test_batch_statistics_show_in_one_batch_and_not_in_the_front_end(tmp_path: Path) -> None:
    """A feature that depends on the rest of the batch: each stage before it stays clean."""
    report = parity(small_checkpoint(tmp_path), tmp_path, sabotage=batch_statistics, ways=main_way)
    assert all(row.ok for row in report.rows if row.stage in ("run", "trained front-end", "front-end"))
    errors = {
        batch: max(r.error for r in report.rows if r.stage == "embedding" and r.batch == batch) for batch in BATCHES
    }
    assert all(error > limit_of("embedding", "fp32") for error in errors.values())


def test_sinc_filters_changed_after_folding(tmp_path: Path) -> None:
    def other_edges(folded: InferenceNet) -> None:
        folded.net.frontend.low.data.add_(3.0)
        folded.net.frontend.fold()

    report = parity(small_checkpoint(tmp_path, "sinc"), tmp_path, sabotage=other_edges, ways=main_way)
    assert report.first_failure is not None
    assert report.first_failure.stage == "filter impulse"
    assert re.search(r"filter \d+, \d+ to \d+ Hz", report.sentence())
    assert all(report.worst(stage).error > 1e-4 for stage in ("filter response", "filter edges", "front-end"))
    assert 1 < report.worst("filter edges").error < 10  # f1 and f2 both moved by 3 Hz


def freeze_gru(graph: Any) -> None:
    """The GRU's first state as a constant for a batch of one, which tracing at a batch of one used to leave."""
    from onnx import numpy_helper

    (gru,) = (node for node in graph.graph.node if node.op_type == "GRU")
    graph.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 1, 12), np.float32), "first_state"))
    gru.input[5] = "first_state"


def test_a_gru_frozen_to_batch_one_is_not_even_loaded_by_openvino(tmp_path: Path) -> None:
    report = parity(small_checkpoint(tmp_path), tmp_path, form_of("openvino", "fp32"), surgery=freeze_gru)
    assert not report.ok
    assert report.first_failure is not None
    assert report.first_failure.stage == "run"
    assert "cannot be loaded" in report.sentence()


def test_a_gru_frozen_to_batch_one_does_not_run(tmp_path: Path) -> None:
    report = parity(small_checkpoint(tmp_path), tmp_path, surgery=freeze_gru)
    assert not report.ok
    assert report.first_failure is not None
    assert report.first_failure.stage == "run"
    here = [row for row in report.rows if row.stage == "run" and row.engine == report.engines[0]]
    assert {row.batch for row in here if not row.ok} == {2, 7}
    json.dumps(report.to_json(), allow_nan=False)


@pytest.mark.parametrize("form", PLAIN_FORMS, ids=lambda form: form.format)
def test_a_swapped_label_list_is_a_wrong_decision(form: Form, tmp_path: Path) -> None:
    report = parity(
        small_checkpoint(tmp_path),
        tmp_path,
        form,
        file_card=lambda card: replace(card, labels=card.labels[::-1]),
        ways=main_way,
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
    def no_softmax(folded: InferenceNet) -> None:
        whole = folded.forward

        def without(audio: Tensor) -> object:
            found = whole(audio)
            return found._replace(scores=found.logits * 1.0)

        folded.forward = without  # type: ignore[method-assign, assignment]

    report = parity(small_checkpoint(tmp_path), tmp_path, sabotage=no_softmax, ways=main_way)
    assert report.first_failure is not None
    assert report.first_failure.stage == "scores"


def bf16_weights(folded: InferenceNet) -> None:
    """What OpenVINO makes of every layer where bf16 is left on; here all layers' constants, so on any processor."""
    with torch.no_grad():
        for values in (*folded.parameters(), *folded.buffers()):
            if values.is_floating_point():
                values.copy_(values.bfloat16().to(values.dtype))


def test_weights_in_bf16_are_seen_where_they_begin(tmp_path: Path) -> None:
    form = form_of("openvino", "fp32")
    report = parity(small_checkpoint(tmp_path), tmp_path, form, bf16_weights, ways=main_way)
    assert report.first_failure is not None
    assert report.first_failure.stage == "front-end"
    (tmp_path / "body").mkdir()

    def body_only(folded: InferenceNet) -> None:
        frontend = folded.net.frontend
        folded.net.frontend = nn.Identity()
        bf16_weights(folded)
        folded.net.frontend = frontend

    report = parity(small_checkpoint(tmp_path), tmp_path / "body", form, body_only, ways=main_way)
    assert report.first_failure is not None
    assert report.first_failure.stage == "tap conv"


def test_openvino_left_on_bf16(tmp_path: Path) -> None:
    """The engine itself, told to compute in bf16, on a processor that can."""
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bf16, so OpenVINO computes in f32 whatever it is told")

    def left_on(ways: list[Way]) -> list[Way]:
        def reduced() -> Pair:
            pair = ways[0].open()
            for engine, name in zip(pair, ("model", "twin"), strict=True):
                model = openvino.Core().read_model(str(tmp_path / f"{name}.openvino" / "model.xml"))
                compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
                engine._request = compiled.create_infer_request()
            return pair

        return [replace(ways[0], open=reduced)]

    report = parity(small_checkpoint(tmp_path), tmp_path, form_of("openvino", "fp32"), ways=left_on)
    assert report.first_failure is not None
    assert report.first_failure.stage in ("front-end", "tap conv")


def test_the_shipped_graph_alone_is_wrong(tmp_path: Path) -> None:
    """Every tap of the twin is right, and still the file is not: its own outputs are compared too."""

    def wrong_file(ways: list[Way]) -> list[Way]:
        (tmp_path / "other").mkdir()
        other = small_checkpoint(tmp_path / "other")
        other.net.embed.bias.data += 0.01
        parity(other, tmp_path / "other", inputs={"dc": np.full(8000, 0.5, np.float32)})
        return [
            replace(way, open=lambda way=way: Pair(open_engine(tmp_path / "other" / "model.onnx"), way.open().twin))
            for way in ways[:1]
        ]

    report = parity(small_checkpoint(tmp_path), tmp_path, ways=wrong_file)
    row = report.first_failure
    assert row is not None
    assert (row.stage, row.graph) == ("embedding", "model")
    assert "the shipped graph" in report.sentence()
    assert all(each.ok for each in report.rows if each.graph == "twin")


def test_a_wrong_rate_in_the_card_is_heard(tmp_path: Path) -> None:
    """Listening resamples to the card's rate: of a card that says 44,100 Hz, nothing is resampled at all."""
    report = parity(
        small_checkpoint(tmp_path), tmp_path, file_card=lambda card: replace(card, sample_rate=44100), ways=main_way
    )
    assert report.first_failure is not None
    assert report.first_failure.stage == "heard"
    assert all(row.ok for row in report.rows if row.input != NAME)


def test_resampling_that_is_skipped_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime itself at fault: what comes in at another rate reaches the net as it is."""
    monkeypatch.setattr("xfer.runtime.listening.session.Resampler", lambda _from, to: audio.Resampler(to, to))
    report = parity(small_checkpoint(tmp_path), tmp_path, inputs={"dc": np.full(8000, 0.5, np.float32)}, ways=main_way)
    assert report.first_failure is not None
    assert report.first_failure.stage == "heard"
