"""Where xfer keeps what belongs to a user: `models/`, `speakers/` and `cache/`."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def home() -> Path:
    """`$XFER_HOME`, or `xfer` in the platform's folder for user data. It need not exist."""
    told = os.environ.get("XFER_HOME")
    if told:
        return Path(told).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "xfer"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "xfer"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "xfer"
