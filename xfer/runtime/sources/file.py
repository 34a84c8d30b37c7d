"""Recordings as sources: one file, and the files of a folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from xfer.runtime.audio import SUFFIXES, AudioFile
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.runtime.sources.source import Block, one_channel


class FileSource:
    """One audio file. Raises FileNotThere or Unusable when it is opened, or at its first block."""

    live = False

    def __init__(self, path: str | Path, channel: int | None = None) -> None:
        """`channel`: listen to this one, counted from 1, instead of the mean of all."""
        self.name = str(path)
        self._file = AudioFile(path)
        self._channel = channel
        self.rate = self._file.rate
        self._stopped = False

    def blocks(self) -> Iterator[Block]:
        """Decoded blocks until the end of the file."""
        for frames in self._file.frames():
            if self._stopped:
                return
            yield Block(one_channel(frames, self._channel), time.monotonic())

    def stop(self) -> None:
        """End after the current block."""
        self._stopped = True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Whether it is cut off or damaged."""
        return () if self._stopped else self._file.notes


def recordings_in(folder: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """Audio files of a folder and the folders in it, sorted. Raises FileNotThere, or Unusable where there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotThere(f"{folder} does not exist: check the name")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise Unusable(f"{folder} holds no recordings: none of its files ends in {', '.join(suffixes)}")
    return found
