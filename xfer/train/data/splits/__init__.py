"""Splits: who trains, who validates, who tests. Whole groups stand on one side."""

from xfer.train.data.splits.files import listed_in, read_split, write_split
from xfer.train.data.splits.groups import leaks, merge_groups
from xfer.train.data.splits.making import split, trained_classes
from xfer.train.data.splits.published import WORDS, listed_split

__all__ = [
    "WORDS",
    "leaks",
    "listed_in",
    "listed_split",
    "merge_groups",
    "read_split",
    "split",
    "trained_classes",
    "write_split",
]
