"""Listening: sound from a source, windows of one model or several, decisions, events."""

from xfer.runtime.listening.listener import Listener
from xfer.runtime.listening.rules import AVERAGED_WINDOWS, EACH_WINDOW, Rules
from xfer.runtime.listening.state import LiveState

__all__ = ["AVERAGED_WINDOWS", "EACH_WINDOW", "Listener", "LiveState", "Rules"]
