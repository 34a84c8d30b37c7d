"""What computes here: the processor's own name, and how many threads may run at once."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def processor_name() -> str:
    """The processor's own name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names: dict[str, str] = {}
        for line in info.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            names.setdefault(key.strip(), value.strip())
        for key in ("model name", "Model", "Hardware", "cpu model", "uarch"):
            if names.get(key):
                return f"{names[key]} ({platform.machine()})"
    return platform.processor() or platform.machine() or sys.platform


def all_threads() -> int:
    """How many threads this process may run at once: the cores that it may use, not those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
