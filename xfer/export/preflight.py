"""Before hours of training: can this net be exported at all?

A fresh net is folded, converted and run once on two windows. That says nothing of the weights to come, which parity
proves at export; it says that every operation of the net has a place in a graph that runs.
"""

from __future__ import annotations

import copy
from importlib.util import find_spec

import numpy as np
import torch

from xfer.export.fold import fold
from xfer.export.onnx import to_shipped, to_twin
from xfer.runtime.errors import AnswerIsNo, NotThere
from xfer.runtime.selftest import LIMITS
from xfer.train.nets import Net


def preflight(net: Net) -> None:
    """Refuse a net that cannot be exported. The net itself, its mode and all random states stay as they are.

    Raises AnswerIsNo where it has no graph, or one that does not run or says something else; NotThere where the extra
    `export` is not installed.
    """
    ready = copy.deepcopy(net).cpu().eval()
    # The same noise for any net, and no draw from torch's own generator: a training must not notice.
    windows = np.random.default_rng(0).normal(0, 0.1, (2, net.window)).astype(np.float32)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        wanted = ready(torch.from_numpy(windows)).logits.softmax(dim=1).numpy()
        try:
            graph = to_shipped(to_twin(fold(ready)))
        except NotThere:
            raise
        except Exception as error:
            raise _refused(net, f"it has no ONNX graph ({_first_line(error)})") from error
    if find_spec("onnxruntime") is None:
        return
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        scores = session.run(["scores"], {"audio": windows})[0]
    except Exception as error:
        raise _refused(net, f"its graph does not run ({_first_line(error)})") from error
    off = float(np.abs(scores - wanted).max())
    if not off <= LIMITS.scores:
        raise _refused(net, f"its graph says something else: scores differ by {off:.2g}")


def _refused(net: Net, why: str) -> AnswerIsNo:
    return AnswerIsNo(
        f"{net.name} cannot be exported: {why}; nothing was trained. Change the net, or train it all the same: "
        "--no-preflight"
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
