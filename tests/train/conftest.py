"""What several tests of training share."""

from __future__ import annotations

import pytest

from tests.train.tones import write_tones


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """A data set of two classes."""
    return write_tones(tmp_path_factory.mktemp("tones"))
