"""Parity: the measured difference between checkpoint and model file, from sound to decision, on every export.

The checkpoint runs in torch on the CPU, in fp32, one window at a time; the model file through the runtime's own
engines. Stages are read from a twin of the shipped graph that gives every tap; the shipped graph's own outputs are
compared as well, since an engine may optimise the two differently. `plan` says what runs on what, `limits` how much may
differ and why, `report` and `page` what came of it.
"""

from __future__ import annotations

from xfer.export.parity.limits import STAGES, in_order, limit_of
from xfer.export.parity.plan import BATCHES, Pair, Way, ways_of
from xfer.export.parity.prove import Subject, prove
from xfer.export.parity.reference import Answer, Reference
from xfer.export.parity.report import ParityReport, Row

__all__ = [
    "BATCHES",
    "STAGES",
    "Answer",
    "Pair",
    "ParityReport",
    "Reference",
    "Row",
    "Subject",
    "Way",
    "in_order",
    "limit_of",
    "prove",
    "ways_of",
]
