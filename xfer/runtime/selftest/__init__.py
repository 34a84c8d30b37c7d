"""The self-test: golden clips that travel with a model file, and how much a device's answers to them may differ."""

from xfer.runtime.processor import all_threads, processor_name
from xfer.runtime.selftest.compare import Answer, Difference, compare
from xfer.runtime.selftest.formula import as_16_bit, formula_inputs
from xfer.runtime.selftest.golden import Golden, GoldenClip
from xfer.runtime.selftest.limits import LIMITS, Limits, limits_of
from xfer.runtime.selftest.verify import Row, VerifyReport, answer_of, golden_of, verify, verify_with

__all__ = [
    "LIMITS",
    "Answer",
    "Difference",
    "Golden",
    "GoldenClip",
    "Limits",
    "Row",
    "VerifyReport",
    "all_threads",
    "answer_of",
    "as_16_bit",
    "compare",
    "formula_inputs",
    "golden_of",
    "limits_of",
    "processor_name",
    "verify",
    "verify_with",
]
