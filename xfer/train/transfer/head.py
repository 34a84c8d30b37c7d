"""`head` transfer: all but the last layer fixed, as the paper did.

Fixed means the parameters, the running statistics of batch norm, and the body's dropout off (FACTS.md 8.25). So the
body's answer to a window never changes: it is evaluated once, on the fixed windows of every clip and on a few stored
augmentations, drawn once for all epochs, and only the embeddings are kept; the epochs after cost almost nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xfer.runtime.audio import Samples
from xfer.train.data.check import name_of
from xfer.train.data.clips import Clip, Split
from xfer.train.data.windows import Crops, background_window, balanced, crop, evaluation_windows
from xfer.train.framing import crops_of, grid_of
from xfer.train.metrics import Heard, Metrics, measure
from xfer.train.transfer.whole import EVALUATION_BATCH, Job, Targets, augment_of, targets_of

EVERY_SECONDS = 20.0
"""How often it tells how far the body is."""


class HeadOnly:
    """Only the head learns, on stored embeddings of the frozen body."""

    def __init__(self, job: Job) -> None:
        data, recipe = job.data, job.recipe
        self.net = job.net.to(job.device)
        self.labels = data.labels
        self.data = job.about
        self._set, self._waves, self._device, self._recipe = data, job.waves, job.device, recipe
        self._say, self._world = job.say, job.world
        self._augment = augment_of(job)
        self._heard, self._spoke = 0, time.monotonic()
        self._sides: dict[Split, tuple[Tensor, np.ndarray[Any, np.dtype[np.int64]]]] = {}
        self.net.requires_grad_(False)
        self.net.head.requires_grad_(True)
        fixed, owners = self._side("train")
        targets = targets_of(data.of("train"), self.labels)
        extra, more = self._augmented(len(fixed), targets)
        self._embeddings = torch.cat([fixed, extra])
        self._targets = torch.from_numpy(np.concatenate([targets[owners], more])).to(job.device)

    def trained(self) -> nn.Module:
        """The head, in training mode; the body stays in evaluation mode."""
        self.net.eval()
        return self.net.head.train()

    def steps(self) -> int:
        """Batches in an epoch."""
        windows, batch = len(self._targets), self._recipe.fit.batch
        # A last batch of fewer windows than there are processes would leave one without any.
        return max(1, math.ceil(windows / batch) - (0 < windows % batch < self._world.size))

    def counts(self) -> Targets:
        """Stored windows of each label, (labels,)."""
        return np.bincount(self._targets.cpu().numpy(), minlength=len(self.labels))

    def batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Stored embeddings (n, embedding) and targets (n,) in a seeded order; mixup mixes embeddings here."""
        order, size = self._order(epoch), self._recipe.fit.batch
        for step in range(first, self.steps()):
            mine = order[step * size :][:size]
            share = self._world.share(len(mine))
            chosen = torch.from_numpy(mine[share]).to(self._device)
            yield self._augment.mixed(self._embeddings[chosen], self._targets[chosen], epoch, step, share.start)

    def names(self, epoch: int, step: int) -> list[str]:
        """The stored windows of a batch; those of recordings come first in the store, in their order."""
        chosen = self._order(epoch)[step * self._recipe.fit.batch :][: self._recipe.fit.batch]
        clips, owners = self._set.of("train"), self._side("train")[1]
        return [name_of(clips[owners[i]]) if i < len(owners) else "an augmented window" for i in chosen.tolist()]

    def _order(self, epoch: int) -> Targets:
        rng = np.random.default_rng([self._recipe.seed, epoch])
        if self._recipe.fit.sampling == "balanced":
            return balanced(self._targets.cpu().numpy(), rng)
        return rng.permutation(len(self._targets))

    def logits(self, inputs: Tensor) -> Tensor:
        """(n, embedding) -> (n, classes)."""
        logits: Tensor = self.net.head(inputs)
        return logits

    def validate(self) -> Metrics:
        """Metrics of the validation side, from stored embeddings."""
        return self.measure("validation")

    def measure(self, split: Split) -> Metrics:
        """Metrics of one side of the split."""
        heard = self.hear(split)
        return measure(heard.scores, heard.owners, heard.truth, self.labels)

    def hear(self, split: Split) -> Heard:
        """What the net answers to one side of the split, from stored embeddings."""
        embeddings, owners = self._side(split)
        self.net.eval()
        with torch.no_grad():
            scores = self.net.head(embeddings).softmax(dim=1).cpu().double().numpy()
        return Heard(scores, owners, targets_of(self._set.of(split), self.labels))

    def _side(self, split: Split) -> tuple[Tensor, np.ndarray[Any, np.dtype[np.int64]]]:
        """Embeddings of the fixed windows of one side, and each one's clip; computed once."""
        if split not in self._sides:
            clips = self._set.of(split)
            mine = self._world.share(len(clips))
            parts: list[Tensor] = []
            owners = [np.zeros(0, dtype=np.int64)]
            for windows, owner in evaluation_windows(self._waves, clips[mine], grid_of(self._recipe), EVALUATION_BATCH):
                parts.append(self._embed(windows))
                owners.append(owner + mine.start)
            self._sides[split] = self._joined(parts), self._world.joined(np.concatenate(owners))
        return self._sides[split]

    def _augmented(self, fixed: int, targets: Targets) -> tuple[Tensor, Targets]:
        """Embeddings and targets of what the head hears beside the `fixed` windows.

        That is `augmentations` random whole windows of each training clip, clip by clip in each round, then windows of
        background alone where there is such a class; all of them with the recipe's effects.
        """
        clips, rounds = self._set.of("train"), self._recipe.transfer.augmentations
        # The body hears what it will hear later: whole windows, even where it was trained on shorter crops.
        crops = replace(crops_of(self._recipe, self._set, self._waves), length=self.net.window)
        draws: list[Callable[[], list[Samples]]] = []
        for which in range(rounds):
            for start in range(0, len(clips), EVALUATION_BATCH):
                chosen = range(start, min(start + EVALUATION_BATCH, len(clips)))
                draws.append(partial(self._crops_of, clips, crops, chosen, which))
        answers = [np.tile(targets, rounds)]
        if crops.background is not None:
            extra = crops.background.count(fixed + rounds * len(clips))
            for start in range(0, extra, EVALUATION_BATCH):
                chosen = range(len(clips) + start, len(clips) + min(start + EVALUATION_BATCH, extra))
                draws.append(partial(_backgrounds, crops, chosen))
            answers.append(np.full(extra, crops.background.target))
        mine = range(len(draws))[self._world.share(len(draws))]
        return self._joined([self._embed(np.stack(draws[draw]()), draw) for draw in mine]), np.concatenate(answers)

    def _crops_of(self, clips: Sequence[Clip], crops: Crops, chosen: range, which: int) -> list[Samples]:
        return [crop(self._waves, clips[i], crops, 0, i, which) for i in chosen]

    def _joined(self, parts: list[Tensor]) -> Tensor:
        """The embeddings that each process computed of its share, (all windows, embedding)."""
        mine = torch.cat([torch.zeros(0, self.net.embedding_size, device=self._device), *parts])
        if self._world.size == 1:
            return mine
        return torch.from_numpy(self._world.joined(mine.cpu().numpy())).to(self._device)

    def _embed(self, windows: np.ndarray[Any, np.dtype[np.float32]], draw: int | None = None) -> Tensor:
        """Embeddings (n, embedding) of windows (n, window); with the number of a draw, of augmented ones."""
        self.net.eval()
        waves, masks = torch.from_numpy(windows).to(self._device), None
        with torch.no_grad():
            if draw is not None:  # before the first epoch, which is 1
                waves = self._augment.waves(waves, 0, draw)
                masks = self._augment.masks(len(waves), 0, draw, self._device)
            embedding: Tensor = self.net(waves, masks).embedding
        self._heard += len(windows)
        if time.monotonic() - self._spoke > EVERY_SECONDS:
            self._say(f"the frozen body has heard {self._heard} windows")
            self._spoke = time.monotonic()
        return embedding


def _backgrounds(crops: Crops, chosen: range) -> list[Samples]:
    return [background_window(crops, 0, i, 0) for i in chosen]
