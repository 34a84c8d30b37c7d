"""The training loop: plain PyTorch, the same for a whole net and for a head on stored embeddings."""

from xfer.train.fit.loop import fit
from xfer.train.fit.memory import keep_freed_memory
from xfer.train.fit.optimizing import learning_rate
from xfer.train.fit.problem import Batch, Problem, Progress
from xfer.train.fit.standing import Standing

__all__ = ["Batch", "Problem", "Progress", "Standing", "fit", "keep_freed_memory", "learning_rate"]
