"""Layouts: the forms in which data sets are published, one file each."""

from xfer.train.data.layouts import esc, fma, folders, speech_commands, vctk  # noqa: F401  importing registers
from xfer.train.data.layouts.registry import LAYOUTS, TASK_NETS, read

__all__ = ["LAYOUTS", "TASK_NETS", "read"]
