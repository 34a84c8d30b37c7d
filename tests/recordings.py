"""The one way by which tests find the real recordings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("XFER_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def recordings(name: str) -> Path:
    """The folder `name` of the test recordings; skips, saying what is missing and where to put it."""
    folder = ROOT / name
    if not folder.is_dir():
        pytest.skip(f"no recordings {name!r}: put them at {folder}, or set XFER_TEST_DATA to the folder of them all")
    return folder
