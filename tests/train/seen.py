"""A checked data set as tests make it: facts measured with soundfile alone, sharing no code with xfer's decoding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.facts import Facts
from xfer.train.data.problems import Problem


@dataclass(frozen=True)
class Seen:
    """What `check.Checked` offers."""

    data: DataSet
    facts: Sequence[Facts]
    problems: tuple[Problem, ...] = ()


def facts_of(path: Path) -> Facts:
    samples, rate = soundfile.read(path, always_2d=True)
    power = float(np.mean(samples**2))
    level = 10 * math.log10(power) if power else -math.inf
    return Facts("d", len(samples) / rate, rate, samples.shape[1], float(np.abs(samples).max()), level, 0.0)


def fact(seconds: float = 1.0, *, rate: int = 16_000, level: float = -20.0, fault: str | None = None) -> Facts:
    """Facts of a clip that is nowhere."""
    if fault:
        return Facts("", 0.0, 0, 0, 0.0, -math.inf, 0.0, fault=fault, message="{path} cannot be used")
    return Facts("d", seconds, rate, 1, 0.5, level, 0.0)


def seen(
    clips: Sequence[Clip],
    facts: Sequence[Facts] | None = None,
    problems: Sequence[Problem] = (),
    root: Path = Path("d"),
    **more: object,
) -> Seen:
    data = DataSet("d", root, "folders", "sound", "convnet", tuple(clips), **more)  # type: ignore[arg-type]
    return Seen(data, facts if facts is not None else [fact()] * len(clips), tuple(problems))
