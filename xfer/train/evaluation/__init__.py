"""How good a net is on a data set: the same code for a checkpoint and for an exported model file."""

from xfer.train.evaluation.evaluate import Evaluation, evaluate
from xfer.train.evaluation.subject import Subject, open_subject, subject_of

__all__ = ["Evaluation", "Subject", "evaluate", "open_subject", "subject_of"]
