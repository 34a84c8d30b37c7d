"""Moved: see xfer.runtime.listening."""

from xfer.runtime.listening import AVERAGED_WINDOWS, Listener

__all__ = ["AVERAGED_WINDOWS", "Listener"]
