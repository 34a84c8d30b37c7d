"""Train every weight: from scratch, or `full` transfer from a source's body."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xfer.train.augment import Augment, Masked
from xfer.train.data.ahead import ahead
from xfer.train.data.check import name_of
from xfer.train.data.clips import Clip, DataSet, Split
from xfer.train.data.waves import Waves
from xfer.train.data.windows import Grid, evaluation_windows, training_batches, training_items, training_steps
from xfer.train.framing import crops_of, grid_of
from xfer.train.metrics import Heard, Metrics, measure
from xfer.train.nets import Net
from xfer.train.recipe import Recipe
from xfer.train.world import ALONE, World

EVALUATION_BATCH = 8
Targets = np.ndarray[Any, np.dtype[np.int64]]
"""A label's index for each of something, (n,)."""


def targets_of(clips: Sequence[Clip], labels: tuple[str, ...]) -> Targets:
    """The label's index for each clip, (clips,)."""
    place = {label: index for index, label in enumerate(labels)}
    return np.array([place[clip.label] for clip in clips], dtype=np.int64)


def hear(
    net: Net,
    waves: Waves,
    clips: Sequence[Clip],
    labels: tuple[str, ...],
    device: torch.device,
    grid: Grid,
    world: World = ALONE,
) -> Heard:
    """What the net answers to windows over the whole of each clip; it is in evaluation mode.

    Each process of a world hears its share of the clips, and all are told the answers to all.
    """
    net.eval()
    mine = world.share(len(clips))
    scores = [torch.zeros(0, len(labels))]
    owners = [np.zeros(0, dtype=np.int64)]
    with torch.no_grad():
        for windows, owner in ahead(lambda: evaluation_windows(waves, clips[mine], grid, EVALUATION_BATCH)):
            scores.append(net(torch.from_numpy(windows).to(device)).logits.softmax(dim=1).cpu())
            owners.append(owner + mine.start)
    answers, asked = world.joined(torch.cat(scores).double().numpy()), world.joined(np.concatenate(owners))
    return Heard(answers, asked, targets_of(clips, labels))


@dataclass(frozen=True)
class Job:
    """What a method of training is given."""

    net: Net
    data: DataSet
    """Checked and split."""
    waves: Waves
    recipe: Recipe
    about: dict[str, Any]
    """What the checkpoint says of the data."""
    device: torch.device
    say: Callable[[str], None]
    """Who is told while it takes long."""
    world: World = ALONE
    """Who trains along."""


def augment_of(job: Job) -> Augment:
    """What a job's recipe does to the windows of a batch."""
    return Augment(job.recipe.augment, job.recipe.seed, job.net.sample_rate, len(job.data.labels))


class WholeNet:
    """All weights learn, on random crops that are cut anew in every epoch."""

    def __init__(self, job: Job) -> None:
        self.net = job.net.to(job.device)
        self.labels = job.data.labels
        self.data = job.about
        self._set, self._waves, self._device = job.data, job.waves, job.device
        self._batch, self._world = job.recipe.fit.batch, job.world
        self._augment = augment_of(job)
        self._crops = crops_of(job.recipe, job.data, job.waves)
        self._grid = grid_of(job.recipe)
        self._clips = job.data.of("train")
        self._targets = targets_of(self._clips, self.labels)

    def trained(self) -> nn.Module:
        """The whole net, in training mode."""
        return self.net.train()

    def counts(self) -> Targets:
        """Windows of each label in an epoch, (labels,); balanced sampling is not counted in."""
        counts = np.bincount(self._targets, minlength=len(self.labels))
        background = self._crops.background
        if background is not None and background.target >= 0:
            per_clip = max(1, self._crops.per_clip)
            counts[background.target] += round(background.count(len(self._clips) * per_clip) / per_clip)
        return counts

    def steps(self) -> int:
        """Batches in an epoch; a last batch of one window is left out."""
        return training_steps(self._waves, self._clips, self._crops, self._batch, self._world.size)

    def batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor | Masked, Tensor]]:
        """Crops (n, length), augmented, and targets (n,), with mixup (n, classes)."""
        what = (
            self._waves,
            self._clips,
            self._targets,
            self._crops,
            epoch,
            self._batch,
            first,
            self._world.size,
            self._world.share,
        )
        whole = self._items(epoch) if self._world.size > 1 and self._augment.how.any else None
        for step, (windows, targets) in enumerate(ahead(lambda: training_batches(*what)), start=first):
            waves, answers = torch.from_numpy(windows).to(self._device), torch.from_numpy(targets).to(self._device)
            place = 0 if whole is None else self._world.share(len(whole[step])).start
            yield self._augment(waves, answers, epoch, step, place)

    def names(self, epoch: int, step: int) -> list[str]:
        """The recordings of a batch."""
        items = self._items(epoch)[step]
        return [name_of(self._clips[owner]) if owner < len(self._clips) else "background" for owner, _ in items]

    def _items(self, epoch: int) -> list[list[tuple[int, int]]]:
        """What each batch of an epoch is made of, whichever process has which part of it."""
        what = (self._waves, self._clips, self._targets, self._crops, epoch, self._batch, self._world.size)
        return training_items(*what)

    def logits(self, inputs: Tensor | Masked) -> Tensor:
        """(n, length) -> (n, classes)."""
        waves, masks = (inputs.waves, inputs.masks) if isinstance(inputs, Masked) else (inputs, None)
        logits: Tensor = self.net(waves, masks).logits
        return logits

    def validate(self) -> Metrics:
        """Metrics of the validation side."""
        return self.measure("validation")

    def measure(self, split: Split) -> Metrics:
        """Metrics of one side of the split."""
        heard = self.hear(split)
        return measure(heard.scores, heard.owners, heard.truth, self.labels)

    def hear(self, split: Split) -> Heard:
        """What the net answers to one side of the split."""
        return hear(self.net, self._waves, self._set.of(split), self.labels, self._device, self._grid, self._world)
