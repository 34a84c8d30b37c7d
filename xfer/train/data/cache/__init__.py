"""The decoded cache: `fill` decodes once, `Store` keeps and gives back."""

from xfer.train.data.cache.fill import fill
from xfer.train.data.cache.store import Store

__all__ = ["Store", "fill"]
