"""A recording from the microphone, held in memory."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from xfer.cli.progress import StepBar
from xfer.runtime.audio import Samples
from xfer.runtime.errors import Unusable


def take(wanted: str | None, seconds: float, bar: StepBar) -> tuple[Samples, int]:
    """So many seconds from a microphone, mono (n,), and its rate. Raises NotThere; Unusable where sound was lost."""
    from xfer.runtime.sources.microphone import Microphone

    parts: list[Samples] = []
    count = 0
    with closing(Microphone(wanted)) as microphone:
        needed = round(seconds * microphone.rate)
        for block in microphone.blocks():
            if block.missing or block.news is not None:
                raise Unusable(
                    "some of the recording was lost (the microphone went away, or this machine was too slow)"
                )
            parts.append(block.samples)
            count += len(block.samples)
            bar.tell("recording, seconds", min(count, needed) // microphone.rate, round(seconds))
            if count >= needed:
                break
    return np.concatenate(parts)[:needed], microphone.rate
