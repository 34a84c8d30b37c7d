"""Where sound comes from: recordings, raw PCM on a pipe, microphones, containers and network streams.

A source yields blocks of mono samples at its own rate, of whatever size; what becomes of them does not depend on the
sizes. Microphones and PyAV are imported only when they are opened.
"""

from xfer.runtime.sources.file import FileSource, recordings_in
from xfer.runtime.sources.pcm import PCM_FORMATS, PcmSource
from xfer.runtime.sources.source import POLL_SECONDS, Block, News, Source

__all__ = ["PCM_FORMATS", "POLL_SECONDS", "Block", "FileSource", "News", "PcmSource", "Source", "recordings_in"]
