"""`xfer train --devices N`: the same command in N processes, started by torchrun."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid

from xfer.cli.console import warn
from xfer.runtime.errors import NotThere


def spread(processes: int, device: str) -> int:
    """Run this very command line in so many processes on this machine; its exit code.

    Each process gets its share of the processor's cores, unless OMP_NUM_THREADS says otherwise.
    Raises NotThere for more processes than there are cards, where cards are asked for.
    """
    import torch
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    cards = torch.cuda.device_count() if device != "cpu" and torch.cuda.is_available() else 0
    if cards and cards < processes:
        raise NotThere(
            f"--devices {processes}, but torch sees {cards} CUDA devices here: ask for fewer, or --device cpu"
        )
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    for name in ("torch.distributed.elastic", "torch.distributed.run", "torch.multiprocessing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what went wrong is said below, in one sentence
    # Neither a restart nor a second meeting: a run that was broken off goes on with --resume.
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(),
        local_addr="127.0.0.1",
    )
    try:
        elastic_launch(config, sys.executable)("-m", "xfer.cli", *sys.argv[1:])
    except SignalException as stopped:
        return 130 if stopped.sigval == signal.SIGINT else 128 + int(stopped.sigval)
    except ChildFailedError as failed:
        return _why({rank: failure.exitcode for rank, failure in failed.failures.items()})
    return 0


def _why(codes: dict[int, int]) -> int:
    """The exit code of the job from those of its processes; a process that was killed is named."""
    own = [code for _, code in sorted(codes.items()) if code > 0]
    killed = {rank: -code for rank, code in codes.items() if code < 0 and -code != signal.SIGTERM}
    for rank, number in sorted(killed.items()):
        warn(f"xfer: process {rank} was killed ({signal.Signals(number).name}), which ended all of them")
        warn("go on with: xfer train --resume, with the same --devices")
    return 3 if killed else own[0] if own else 1
