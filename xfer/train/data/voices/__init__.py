"""Embedded audio: SYNTHETIC voices by source-filter synthesis. `dataset` is the way in, the rest its parts."""

from xfer.train.data.voices.dataset import MARKER, VERSION, Voice, utter, voices, write_voices

__all__ = ["MARKER", "VERSION", "Voice", "utter", "voices", "write_voices"]
