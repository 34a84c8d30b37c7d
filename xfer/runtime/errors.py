"""Every error that a user can meet, with the exit code that the command line gives it.

All derive from `XferError`; each also is the builtin that a Python caller would catch.
A message is one sentence that says what is wrong, where, and the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class XferError(Exception):
    """Base of all errors of xfer."""

    exit_code = 2


class AnswerIsNo(XferError):
    """The work was done and the answer is no: parity failed, a gate was missed, `verify` found a difference."""

    exit_code = 1


class Unusable(XferError, ValueError):
    """What was given cannot be used: a wrong option or label, a broken or foreign file, checkpoint or model."""

    exit_code = 2


class NotThere(XferError):
    """Something needed is not there: microphone, package extra, execution provider, disk space."""

    exit_code = 3


class FileNotThere(NotThere, FileNotFoundError):
    """A file or folder that was named does not exist."""

    def __str__(self) -> str:  # OSError prints its errno form otherwise
        return str(self.args[0]) if self.args else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not known: the nearest known one, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def need_extra(package: str, extra: str) -> NotThere:
    """The error for a package that an extra brings."""
    return NotThere(f"{package} is not installed; it comes with: pip install 'xfer[{extra}]'")
