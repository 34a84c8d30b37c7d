"""A few real recordings as a data set of their own: looking at all of one takes longer than what is tested here."""

from __future__ import annotations

import shutil

import pytest

from tests.recordings import recordings


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Two spoken digits, eight takes each."""
    root = tmp_path_factory.mktemp("digits") / "few"
    for label in ("nine", "two"):
        (root / label).mkdir(parents=True)
        for path in sorted((recordings("spoken_digits") / label).glob("*.wav"))[::8]:
            shutil.copy(path, root / label)
    return root
