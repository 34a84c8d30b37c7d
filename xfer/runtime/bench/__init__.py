"""How fast, how large and how right a model file is on this device: each way to run it in a process of its own."""

from xfer.runtime.bench.measure import Measured
from xfer.runtime.bench.rounds import Row, bench
from xfer.runtime.bench.verdict import Verdict, judge

__all__ = ["Measured", "Row", "Verdict", "bench", "judge"]
