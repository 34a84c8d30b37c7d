"""Shared by the tests of export: each registered net is built, loaded and asked once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.export.nets import registered_checkpoint
from xfer.export.parity import Reference
from xfer.train.checkpoint import Checkpoint

pytest.importorskip("onnx", reason="export needs onnx: pip install 'xfer[export]'")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Checkpoint]:
    """checkpoint(net's name, its head): a checkpoint file of it, with random weights."""
    return cache(lambda name, head="linear": registered_checkpoint(tmp_path_factory.mktemp(name), name, head))


@pytest.fixture(scope="session")
def reference(checkpoint: Callable[..., Checkpoint]) -> Callable[..., Reference]:
    """reference(net's name, its head): its checkpoint's answers, each window computed once in all tests."""
    return cache(lambda name, head="linear": Reference(checkpoint(name, head).net))
