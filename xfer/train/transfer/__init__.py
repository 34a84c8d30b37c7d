"""How a training starts and what of the net learns: one file a method."""

from __future__ import annotations

from collections.abc import Callable

from xfer.train.transfer.head import HeadOnly
from xfer.train.transfer.whole import Job, WholeNet

METHODS: dict[str, Callable[[Job], HeadOnly | WholeNet]] = {"head": HeadOnly, "full": WholeNet}
"""Transfer methods by name, each built from a Job. From scratch is `full` without a source."""

__all__ = ["METHODS", "HeadOnly", "Job", "WholeNet"]
