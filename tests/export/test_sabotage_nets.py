"""The same on the nets that are shipped: a fault in one of their own stages is named by that stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.export.proving import Sabotage, parity
from tests.export.test_sabotage import main_way
from xfer.export.fold import InferenceNet
from xfer.export.inputs import parity_inputs
from xfer.export.oracle import hann_symmetric
from xfer.export.parity import Reference
from xfer.train.checkpoint import Checkpoint

SABOTAGE_OF_CONVNET: list[tuple[Sabotage, str]] = []


def of_convnet(stage: str) -> Callable[[Sabotage], Sabotage]:
    def keep(sabotage: Sabotage) -> Sabotage:
        SABOTAGE_OF_CONVNET.append((sabotage, stage))
        return sabotage

    return keep


@of_convnet("front-end")
def hop_511(folded: InferenceNet) -> None:
    folded.net.frontend.hop = 511


@of_convnet("front-end")
def hann_periodic(folded: InferenceNet) -> None:
    n = np.arange(1024)
    ratio = (0.5 - 0.5 * np.cos(2 * np.pi * n / 1024)) / np.maximum(hann_symmetric(1024), 1e-9)
    folded.net.frontend.folded.mul_(torch.from_numpy(ratio.astype(np.float32)))


@of_convnet("tap conv3")
def transposed_channels(folded: InferenceNet) -> None:
    weight = folded.net.stages["conv3"].conv.weight
    weight.copy_(weight.transpose(0, 1).clone())


@of_convnet("tap dense1")
def inputs_of_a_matrix_one_off(folded: InferenceNet) -> None:
    layer = next(each for each in folded.net.stages["dense1"].modules() if isinstance(each, nn.Linear))
    layer.weight.copy_(layer.weight.roll(1, dims=1))


@pytest.mark.parametrize(("sabotage", "stage"), SABOTAGE_OF_CONVNET)
def test_sabotage_of_convnet(
    sabotage: Sabotage,
    stage: str,
    checkpoint: Callable[..., Checkpoint],
    reference: Callable[..., Reference],
    tmp_path: Path,
) -> None:
    found = checkpoint("convnet")
    inputs = parity_inputs(found.net.window, found.net.sample_rate)
    few = {name: inputs[name] for name in ("chirp", "speech by formula", "noise at -30 dBFS")}
    report = parity(found, tmp_path, sabotage=sabotage, inputs=few, reference=reference("convnet"), ways=main_way)
    assert report.first_failure is not None
    assert report.first_failure.stage == stage


def rawnet2_edges(folded: InferenceNet) -> None:
    folded.net.frontend.folded[70, 0, 100] += 1e-4


def rawnet2_block(folded: InferenceNet) -> None:
    weight = folded.net.stages["block3"].conv2.weight
    weight.copy_(weight.transpose(0, 1).clone())


def rawnet2_gru(folded: InferenceNet) -> None:
    gru = folded.net.stages["gru"].gru
    gru.weight_hh_l0.copy_(gru.weight_hh_l0.view(3, 1024, 1024).transpose(1, 2).reshape(3072, 1024))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sabotage", "stage"), [(rawnet2_edges, "filter impulse"), (rawnet2_block, "tap block3"), (rawnet2_gru, "tap gru")]
)
def test_sabotage_of_rawnet2(
    sabotage: Sabotage,
    stage: str,
    checkpoint: Callable[..., Checkpoint],
    reference: Callable[..., Reference],
    tmp_path: Path,
) -> None:
    found = checkpoint("rawnet2")
    inputs = parity_inputs(found.net.window, found.net.sample_rate)
    few = {"speech by formula": inputs["speech by formula"]}
    report = parity(found, tmp_path, sabotage=sabotage, inputs=few, reference=reference("rawnet2"), ways=main_way)
    assert report.first_failure is not None
    assert report.first_failure.stage == stage
