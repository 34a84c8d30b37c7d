"""Recordings made by formula and a small net that was really trained on them, for what is judged by its accuracy."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import nn
from torch.nn import functional as F

from tests.export.nets import LABELS, RATE, WINDOW, LastStep, settled, small_checkpoint, small_net
from xfer.export.clips import Recordings
from xfer.train.checkpoint import Checkpoint
from xfer.train.data.clips import DataSet
from xfer.train.data.open import read_data
from xfer.train.data.waves import Waves
from xfer.train.nets import Net

TRAINING, VALIDATION = 16, 12
"""Clips of each voice."""


def sound(voice: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A chord on the voice's own base, loud or quiet, in noise."""
    t = np.arange(WINDOW) / RATE
    base = 180.0 * 1.45**voice * rng.uniform(0.97, 1.03)
    wave = sum(np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 3))
    loud = rng.uniform(0.05, 0.3)
    return np.asarray(loud * (wave + 0.1 * rng.normal(size=WINDOW)), dtype=np.float32)


def voices(folder: Path, training: int = TRAINING, validation: int = VALIDATION) -> Recordings:
    """A folder a voice, and which clips stand on which side."""
    rng = np.random.default_rng(5)
    for voice, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for number in range(training + validation):
            soundfile.write(folder / label / f"{number:02}.wav", sound(voice, rng), RATE, subtype="FLOAT")
    data = read_data(str(folder), "folders", "speaker", "convnet")
    sided = [replace(clip, split="train" if int(clip.path.stem) < training else "validation") for clip in data.clips]
    return Recordings(data.with_clips(tuple(sided)), Waves(RATE))


def trained(folder: Path, recordings: Recordings, net: Net | None = None, steps: int = 40) -> Checkpoint:
    """A small net after so many steps on the training side."""
    net = small_net("stft") if net is None else net
    waves, labels = _all(recordings.data, recordings.waves)
    torch.manual_seed(0)
    optimizer = torch.optim.Adam([each for each in net.parameters() if each.requires_grad], 0.01)
    net.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(net(waves).logits, labels).backward()
        optimizer.step()
    return small_checkpoint(folder, net=net.eval())


def fragile(checkpoint: Checkpoint) -> Checkpoint:
    """The same net, with large weights to a unit that is always silent: nothing in float32, and in int8 the step of
    the quantizer, beside which all other weights of the layer are nothing."""
    net = copy.deepcopy(checkpoint.net)
    gru, embed = net.stages["gru"].gru, net.embed
    size = gru.hidden_size
    with torch.no_grad():
        for name, values in gru.named_parameters():
            if "hh_l0" in name or "ih_l0" in name:
                values[[0, size, 2 * size]] = 0.0  # unit 0 of each gate: its state stays 0
        embed.weight[:, 0] = 1e4
    return replace(checkpoint, net=net.eval())


def without_convolution() -> Net:
    """A small net whose only layer for int8 is its embedding."""
    net = small_net("stft")
    stages = {"flat": net.stages["flat"], "norm": nn.BatchNorm1d(129), "gru": LastStep(129, 12)}
    plain = Net(
        "small without convolution",
        sample_rate=net.sample_rate,
        window=net.window,
        frontend=net.frontend,
        stages=stages,
        embed=net.embed,
        embedding_size=net.embedding_size,
        head=net.head,
        options={},
    )
    return settled(plain)


def _all(data: DataSet, waves: Waves) -> tuple[torch.Tensor, torch.Tensor]:
    clips = data.of("train")
    heard = np.stack([waves.window(clip, 0, WINDOW) for clip in clips])
    return torch.from_numpy(heard), torch.tensor([LABELS.index(clip.label) for clip in clips])
