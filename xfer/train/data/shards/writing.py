"""Writing a data set as WebDataset tar shards, so that it can lie on object storage and feed many machines."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from xfer.runtime.audio import SUFFIXES, AudioFile
from xfer.runtime.chatter import captured
from xfer.runtime.errors import FileNotThere, NotThere, Unusable, need_extra
from xfer.train.data.clips import SPLITS, Clip, DataSet
from xfer.train.data.shards.index import read_member
from xfer.train.data.shards.manifest import NAME as MANIFEST
from xfer.train.data.shards.manifest import Entry, Manifest, read_manifest
from xfer.train.data.splits.identity import identity, relative, shuffled

SHARD_BYTES = 256_000_000
"""A shard is closed once it is as long as this: long enough to stream, many enough to share among machines."""
UNPLACED = "clips"
"""What shards are called whose clips have no side yet."""
DRAFT = ".part"
"""A shard that is being written ends so, and is no *.tar."""
_OURS = re.compile(rf"({'|'.join((*SPLITS, UNPLACED))})-\d{{6}}\.tar({re.escape(DRAFT)})?")
_SEEKABLE = {"WAV", "WAVEX", "FLAC", "AIFF", "AU", "CAF", "W64", "RF64"}
"""Formats in which libsndfile's seek lands on the very frame; in MP3 it does not."""
_SIXTEEN_BITS = {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW"}
"""Encodings without a sample that 16 bits do not hold."""


def write_shards(
    data: DataSet,
    folder: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write the data set as `train-000000.tar`, ... and the list of them, `shards.json`; returns the shards.

    Each clip is `key.wav` (its own suffix; its file's bytes as they are) with `key.json`. A stretch of a file is
    stored as FLAC at its own rate: exact from up to 24 bits, within 2^-24 of decoded MP3 or Vorbis. Clips are mixed,
    so that reading onward gives all classes. The same data gives the same bytes. What a killed writing left is
    no data set, and is replaced by the next.
    Raises Unusable where the folder holds other shards; FileNotThere; NotThere without webdataset or space; OSError.
    """
    if shard_bytes < 1:
        raise Unusable(f"shards of {shard_bytes} bytes cannot be: give one or more")
    folder = Path(folder)
    _clear(folder)
    try:
        # First: from here on until the end, what is there is marked as unfinished.
        Manifest().write(folder)
        shards = _write_all(data, folder, shard_bytes, progress or (lambda done, of: None))
        Manifest(
            complete=True,
            name=data.name,
            task=data.task,
            licence=data.licence,
            attribution=data.attribution,
            notes=(*(["SYNTHETIC: made by a program, not recorded"] if data.synthetic else []), *data.notes),
            value_names=data.value_names,
            shards=tuple(shards),
            background=tuple(_background(data, folder)),
        ).write(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotThere(f"no space left for the shards in {folder}: free some, or give another folder") from None
        raise
    return [folder / shard.name for shard in shards]


def _clear(folder: Path) -> None:
    """Remove what an unfinished writing left; refuse a folder that holds anything else of this kind."""
    known = read_manifest(folder / MANIFEST)
    if known is not None and not known.complete:
        for path in folder.iterdir():
            if _OURS.fullmatch(path.name):
                path.unlink()
        shutil.rmtree(folder / "background", ignore_errors=True)
    elif known is not None or any(folder.glob("*.tar")):
        raise Unusable(f"{folder} already holds shards: give another folder, or remove them first")


def _write_all(data: DataSet, folder: Path, shard_bytes: int, tell: Callable[[int, int], None]) -> list[Entry]:
    try:
        from webdataset import ShardWriter  # brings torch along: only here
    except ImportError:
        raise need_extra("webdataset", "train") from None
    shards: list[Entry] = []
    done = 0
    for side in (*SPLITS, None):
        clips = [clip for clip in data.clips if clip.split == side]
        if not clips:
            continue
        draft: list[_Draft] = []

        def opened(name: str, draft: list[_Draft] = draft) -> _Draft:
            draft[:] = [_Draft(Path(name))]
            return draft[0]

        def closed(_: str, draft: list[_Draft] = draft) -> None:
            shards.append(draft[0].keep())

        pattern = str(folder / f"{side or UNPLACED}-%06d.tar").replace("%06d", "\0").replace("%", "%%")
        try:
            writer = ShardWriter(
                pattern.replace("\0", "%06d"),
                maxsize=shard_bytes,
                maxcount=2**62,
                opener=opened,
                post=closed,
                verbose=0,
                encoder=False,
                mtime=0,
                user="",
                group="",
                mode=0o644,
            )
            for number, clip in enumerate(shuffled(clips, 0, lambda clip: repr(identity(data.root, clip)))):
                writer.write(_sample(data, clip, number))
                draft[0].clips += 1
                done += 1
                tell(done, len(data.clips))
            writer.close()  # not by `with`: after an error that would keep half a shard as a whole one
        finally:
            for left in draft:
                left.drop()
    return shards


@dataclass
class _Draft:
    """A shard while it is written, under another name, with its hash."""

    path: Path
    clips: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self._part = self.path.with_name(self.path.name + DRAFT)
        self._file = open(self._part, "wb")  # noqa: SIM115  closed by keep or drop

    def write(self, content: bytes) -> int:
        """As a file's; after an error tarfile still empties its buffer when it is collected, and nobody wants that."""
        if self._file.closed:
            return len(content)
        self._hash.update(content)
        return self._file.write(content)

    def keep(self) -> Entry:
        """It is whole: give it its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        os.replace(self._part, self.path)
        return Entry(self.path.name, size, self._hash.hexdigest(), self.clips)

    def drop(self) -> None:
        """Whatever is left of it goes."""
        with contextlib.suppress(OSError):  # the disk is full: what close would write does not matter
            self._file.close()
        self._part.unlink(missing_ok=True)


def _sample(data: DataSet, clip: Clip, number: int) -> dict[str, Any]:
    """What ShardWriter takes: the key and the bytes of each member."""
    suffix, content = _recording(clip)
    about = {
        "label": clip.label,
        "group": clip.group,
        "split": clip.split,
        "fold": clip.fold,
        "values": list(clip.values),
        "task": data.task,
        "licence": data.licence,
        "source": relative(data.root, clip.path) + (f"/{clip.member}" if clip.member else ""),
        "source_offset": clip.offset,
        "source_seconds": clip.duration,
    }
    # Names with dots, spaces or other letters would be read as other keys by some readers.
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(clip.member or clip.path.name).stem)[:40]
    return {
        "__key__": f"{number:08d}-{name}",
        suffix: content,
        "json": json.dumps(about, ensure_ascii=True, sort_keys=True).encode(),
    }


def _recording(clip: Clip) -> tuple[str, bytes]:
    """Suffix without dot, and bytes."""
    if clip.offset or clip.duration is not None:
        with _on_disk(clip) as path:
            return _cut(path, clip)
    suffix = Path(clip.member or clip.path.name).suffix.lower()
    try:
        content = read_member(clip.path, clip.member) if clip.member else clip.path.read_bytes()
    except FileNotFoundError:
        raise FileNotThere(f"{clip.path} is no longer there: read the data set again") from None
    # Decoders look into the file: a wrong suffix does no harm, an unknown one hides the recording.
    return (suffix if suffix in SUFFIXES else ".wav").removeprefix("."), content


@contextlib.contextmanager
def _on_disk(clip: Clip) -> Iterator[Path]:
    from xfer.train.data.decoding import on_disk  # it reads members through this package

    with on_disk(clip.path, clip.member) as path:
        yield path


def _cut(path: Path, clip: Clip) -> tuple[str, bytes]:
    """The clip's stretch of a file, all its channels, as FLAC; as float WAV where samples lie beyond full scale."""
    with AudioFile(path) as file:
        first = round(clip.offset * file.rate)
        last = None if clip.duration is None else first + round(clip.duration * file.rate)
        with captured([]):
            known = soundfile.info(str(path))
        if known.format in _SEEKABLE and first <= known.frames:
            frames, _ = soundfile.read(str(path), start=first, stop=last, dtype="float32", always_2d=True)
        else:
            kept, at = [np.zeros((0, file.channels), np.float32)], 0
            for block in file.frames():
                kept.append(block[max(0, first - at) : None if last is None else max(0, last - at)])
                at += len(block)
                if last is not None and at >= last:
                    break
            frames = np.concatenate(kept)
    if not len(frames):
        raise Unusable(f"{clip.path} ends before its clip at {clip.offset:g} s begins: mend the table that lists it")
    bits = 16 if known.subtype in _SIXTEEN_BITS else 24
    scale = np.float32(2 ** (bits - 1))
    peak = float(np.abs(frames).max())
    content = io.BytesIO()
    if not peak * scale <= scale or frames.shape[1] > 8:
        soundfile.write(content, frames, file.rate, format="WAV", subtype="FLOAT")
        return "wav", content.getvalue()
    # As integers: libsndfile scales floats by 32767, and what came from 16 bits would not come back.
    whole = np.clip(np.rint(frames * scale), -scale, scale - 1).astype(np.int64)
    integers = whole.astype(np.int16) if bits == 16 else (whole << 8).astype(np.int32)
    soundfile.write(content, integers, file.rate, format="FLAC", subtype=f"PCM_{bits}")
    return "flac", content.getvalue()


def _background(data: DataSet, folder: Path) -> Iterator[Entry]:
    """Recordings of no class travel as files beside the shards."""
    for number, path in enumerate(data.background):
        (folder / "background").mkdir(exist_ok=True)
        copy = folder / "background" / f"{number:04d}{path.suffix.lower()}"
        content = path.read_bytes()
        copy.write_bytes(content)
        yield Entry(f"background/{copy.name}", len(content), hashlib.sha256(content).hexdigest())
