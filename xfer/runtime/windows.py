"""Moved: see xfer.runtime.listening.windows."""

from xfer.runtime.listening.windows import Window, Windower

__all__ = ["Window", "Windower"]
