"""Parity holds for every net in every format, over the plan of inputs, batches, engines and threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.export.nets import EACH_NET, PLAIN_FORMS, small_checkpoint, small_net
from tests.export.proving import parity
from xfer.export.fold import InferenceNet
from xfer.export.formats import Form
from xfer.export.inputs import parity_inputs
from xfer.export.parity import BATCHES, ParityReport, Reference, in_order, limit_of
from xfer.train.checkpoint import Checkpoint
from xfer.train.nets import Net


@pytest.mark.parametrize("form", PLAIN_FORMS, ids=lambda form: f"{form.format}-{form.precision}")
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
    scores = [row for row in report.rows if row.stage == "scores" and row.graph == "model"]
    main = report.engines[0]
    assert {row.input for row in scores if row.engine == main and row.batch == 1} == set(inputs)
    assert {row.batch for row in scores if row.engine == main} == set(BATCHES)
    assert {row.engine for row in scores} == set(report.engines)
    assert len(report.engines) == (4 if form.format == "onnx" else 2)
    without = {"oracle"} if name == "rawnet2" else {"filter impulse", "filter response", "filter edges"}
    assert set(report.compared) == set(in_order(found.net.stages)) - without


@pytest.mark.parametrize("form", PLAIN_FORMS, ids=lambda form: form.format)
@pytest.mark.parametrize("normalise", ["none", "window", "peak"])
@pytest.mark.parametrize("kind", ["stft", "sinc"])
def test_every_front_end_with_every_normalisation(kind: str, normalise: str, form: Form, tmp_path: Path) -> None:
    net = small_net(kind, normalise)  # type: ignore[arg-type]
    inputs = parity_inputs(net.window, net.sample_rate)
    inputs["tiny on a large offset"] = (0.7 + 1e-4 * inputs["noise at -6 dBFS"]).astype(np.float32)
    report = parity(small_checkpoint(tmp_path, net=net), tmp_path, form, inputs=inputs)
    assert report.ok, report.sentence()


@pytest.mark.parametrize("form", PLAIN_FORMS, ids=lambda form: form.format)
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


def test_nothing_compared_is_no_proof() -> None:
    report = ParityReport("model", "fp32", "engine", "processor", (), (), ())
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


def test_rounding_that_the_net_itself_magnifies_is_allowed_and_told(tmp_path: Path) -> None:
    """A stage whose values jump where its input moves by one float32 step: torch itself is as far from float64."""

    class Magnified(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1e-2 * torch.sin(1e5 * x)

    net = small_net("stft")
    net.stages = nn.ModuleDict({**dict(net.stages.items()), "magnified": Magnified()})
    net.embed.weight.data *= 1e-3  # what becomes of it stays within every other limit
    report = parity(small_checkpoint(tmp_path, net=net), tmp_path)
    assert report.ok, report.sentence()
    worst = max((row for row in report.rows if row.stage == "tap magnified"), key=lambda row: row.error)
    assert worst.limit > limit_of("tap magnified", "fp32")
    assert any("magnifies rounding" in note and "tap magnified" in note for note in report.notes)

    def other(folded: InferenceNet) -> None:
        folded.net.stages["gru"].gru.bias_hh_l0.add_(0.05)

    (tmp_path / "other").mkdir()
    report = parity(small_checkpoint(tmp_path, net=net), tmp_path / "other", sabotage=other)
    assert report.first_failure is not None
    assert report.first_failure.stage == "tap gru"
