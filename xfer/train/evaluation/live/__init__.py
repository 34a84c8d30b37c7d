"""How good a model is live: held-out clips spread over background, heard by the runtime's own stream and decision."""

from xfer.train.evaluation.live.hearing import SHOWN, Live, hear
from xfer.train.evaluation.live.matching import Point
from xfer.train.evaluation.live.page import write_page
from xfer.train.evaluation.live.scene import Terms

__all__ = ["SHOWN", "Live", "Point", "Terms", "hear", "write_page"]
