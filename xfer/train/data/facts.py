"""What decoding a clip once shows of it: all that `xfer data` needs, so that nothing is decoded twice."""

from __future__ import annotations

from dataclasses import dataclass

from xfer.train.data.problems import Kind

VERSION = 2
"""Raised when facts would come out otherwise for the same bytes: what is stored under another version is not used."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One clip as it was decoded."""

    digest: str
    """SHA-256 of the file's bytes, hex; empty where it could not be read."""
    seconds: float
    """Length of the clip as decoded."""
    rate: int
    """The file's own sample rate, Hz; 0 where it could not be decoded."""
    channels: int
    peak: float
    """Largest absolute sample of any channel."""
    level_dbfs: float
    """Root mean square over all channels, dB re full scale; -inf where silent."""
    clipped: float
    """Share of samples that stand at their channel's own ceiling in runs of three or more, 0 to 1."""
    notes: tuple[str, ...] = ()
    """What the decoder told: "cut off: 3.1 s of 9.0 s announced"."""
    fault: Kind | None = None
    """Why the clip cannot be used; None: it can."""
    message: str = ""
    """One sentence about `fault`; "{path}" stands for the file, since the same bytes may lie in several places."""
    print: bytes = b""
    """Its fingerprint (copies.fingerprint), by which copies of one sound are found."""
