"""Layouts: the forms in which data sets are published, one file each."""

from xfer.train.data.layouts import (  # noqa: F401  importing registers
    audiomnist,
    ballroom,
    emomusic,
    esc,
    fma,
    folders,
    free_spoken_digits,
    gtzan,
    gtzan_speechmusic,
    jamendo,
    librispeech,
    manifest,
    speech_commands,
    urbansound8k,
    vctk,
    webdataset,
)
from xfer.train.data.layouts.registry import LAYOUTS, TASK_NETS, describe, read

__all__ = ["LAYOUTS", "TASK_NETS", "describe", "read"]
