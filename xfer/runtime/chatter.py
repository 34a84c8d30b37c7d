"""What C libraries write to stderr by themselves, kept off the user's screen and collected.

libmpg123 and ALSA write to file descriptor 2 directly, so only the descriptor itself can be redirected: for the whole
process, hence the lock, and hence only lines of known forms are kept; another thread's are passed on.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_lock = threading.Lock()

_FORMS = re.compile(
    rb"^(\[[^\]\n]*mpg123[^\]\n]*\]|Note:|Warning:|Error:"  # libmpg123
    rb"|ALSA lib|Expression '|PulseAudio|Cannot connect to server"  # PortAudio, and what ALSA opens for it
    rb"|jack server |JackShmReadWritePtr|connect\(2\) call|attempt to connect).*\n?",
    re.MULTILINE,
)


@contextmanager
def captured(lines: list[str]) -> Iterator[None]:
    """Append to `lines` what known libraries write to stderr meanwhile."""
    if sys.__stderr__ is None:  # started with stderr closed: descriptor 2 may be any file, and nobody can be disturbed
        yield
        return
    with _lock:
        if sys.stderr is not None:
            sys.stderr.flush()
        real = os.dup(2)
        with _scratch() as heard:
            os.dup2(heard.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(real, 2)
                os.close(real)
                heard.seek(0)
                text = heard.read()
                if text:
                    lines += [match.group().decode("utf8", "replace").strip() for match in _FORMS.finditer(text)]
                    others = _FORMS.sub(b"", text)
                    if others.strip():
                        os.write(2, others)


def _scratch() -> IO[bytes]:
    """A file to write to: in memory where the system can, since an edge box may have no disk to write on."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("chatter"), "w+b")
    return tempfile.TemporaryFile()
