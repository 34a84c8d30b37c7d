"""A net in another precision, tried here: validation clips for the gate, windows for what single layers lose.

The checkpoint and the reduced graph hear the same windows of the same clips; what is compared is compared clip by clip.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xfer.export.clips import Recordings, windows_of
from xfer.export.formats import Form
from xfer.export.precisions.calibration import LEAST, calibration
from xfer.export.precisions.gate import Gate, compare
from xfer.runtime.card import Card
from xfer.runtime.engines import Array, Engine, open_engine
from xfer.runtime.errors import Unusable
from xfer.train.checkpoint import Checkpoint
from xfer.train.evaluation import Subject, evaluate, open_subject, subject_of

MOST_CLIPS = 400
"""Validation clips that are asked, evenly spread: one is a quarter of a point then, and half a point can be told."""
MOST_WINDOWS = 16
"""Of one training clip, where there are few clips."""
FEW = 32
"""Windows on which layers are compared: some at every level."""


class Trial:
    """What a checkpoint's recordings say about its graph in another precision."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        recordings: Recordings | None,
        form: Form,
        card: Card,
        folder: Path,
        progress: Callable[[str], None],
    ) -> None:
        if recordings is None:
            raise Unusable(
                f"{form.precision} is measured on the recordings of the run, and they are not where they were: bring "
                "them back, or export with --precision fp32"
            )
        self._checkpoint, self._recordings, self._form, self._card = checkpoint, recordings, form, card
        self._file, self._progress = folder / f"trial{form.suffix}", progress
        self._clips = recordings.spread("validation", MOST_CLIPS)
        if not self._clips:
            raise Unusable(
                f"{form.precision} is measured on validation clips, and the run has none: train with a validation "
                "side, or export with --precision fp32"
            )

    @cached_property
    def windows(self) -> list[Array]:
        """What int8 is calibrated on, (1, samples) each. Raises Unusable for too few training windows."""
        found = windows_of(self._checkpoint, self._recordings, "train", LEAST, MOST_WINDOWS)
        return calibration(list(found.values()))

    def loudest(self, graph: Any, tensor: str) -> Array:
        """What each channel of a tensor of an onnx.ModelProto reaches on a few windows, but for a thousandth of its
        values, (channels,)."""
        import onnx

        seen = onnx.ModelProto()
        seen.CopyFrom(graph)
        seen.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
        engine = open_engine(self._written(seen), 1, "cpu")
        reached = []
        for window in self.windows[:FEW]:
            (values,) = engine.read(window, [tensor])
            reached.append(np.quantile(np.abs(values[0]).reshape(values.shape[1], -1), 0.999, axis=1))
        loudest: Array = np.max(reached, axis=0)
        return loudest

    def gate(self, graph: Any) -> Gate:
        """The validation clips, by the checkpoint and by the graph. Raises Unusable where no engine takes it."""
        return compare(self._before, self._right(open_subject(self._written(graph), "cpu"), "as exported"))

    def logits(self, graph: Any) -> Array:
        """What the graph says of a few windows at all levels, (windows, labels)."""
        engine: Engine = open_engine(self._written(graph), 1, "cpu")
        return np.concatenate([engine.run(window).logits for window in self.windows[:FEW]])

    @cached_property
    def _before(self) -> npt.NDArray[np.bool_]:
        return self._right(subject_of(self._checkpoint, torch.device("cpu")), "by the checkpoint")

    def _right(self, subject: Subject, how: str) -> npt.NDArray[np.bool_]:
        self._progress(f"{len(self._clips)} validation clips {how}")
        recordings = self._recordings
        found = evaluate(subject, recordings.data, self._clips, recordings.waves, "validation")
        return np.array(found.right, dtype=np.bool_)

    def _written(self, graph: Any) -> Path:
        """The graph as a model file under the same name as the one before."""
        if self._file.is_dir():
            for part in self._file.iterdir():
                part.unlink()
            self._file.rmdir()
        self._form.writer(graph, self._card, self._file)
        return self._file
