"""How a training starts and what of the net learns: one file a method."""

from xfer.train.transfer.head import HeadOnly
from xfer.train.transfer.whole import WholeNet

METHODS = {"head": HeadOnly, "full": WholeNet}
"""Transfer methods by name. From scratch is `full` without a source."""

__all__ = ["METHODS", "HeadOnly", "WholeNet"]
