"""Fold: a trained net becomes what a model file computes.

Nothing of training is left: the front-end's kernels and a cosine head's directions are constants, dropout is gone,
batch norms stand in the weights of the convolution or linear layer beside them wherever that is exact (`norms`), the
STFT has the form that was chosen for it (`stft`), and the softmax is inside. The trained net stays as it is.
"""

from xfer.export.fold.net import InferenceNet, Inferred, fold
from xfer.export.fold.norms import fold_norms
from xfer.export.fold.stft import FORMS, Split, TwoStageStft, checked_form, forms_of, split_of

__all__ = [
    "FORMS",
    "InferenceNet",
    "Inferred",
    "Split",
    "TwoStageStft",
    "checked_form",
    "fold",
    "fold_norms",
    "forms_of",
    "split_of",
]
