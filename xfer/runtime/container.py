"""How much sound a file announces by itself: read from its own header, to be held against what the decoder delivered.

Decoders say nothing about a file that ends early (libmpg123 just stops; libsndfile silently corrects a WAV header), so
the few bytes that tell are parsed here. Nothing of this is trusted for decoding: it is only compared.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""Sizes that a WAV writer puts where it cannot seek back; 0x7FFFF000 and above (sox, ffmpeg on a pipe) likewise."""

_OGG_TAIL = 65_536
"""An Ogg page is at most 65,307 bytes long, so the last page starts within this many bytes of the end."""

_MP3_SYNC_SEARCH = 65_536


@dataclass(frozen=True)
class Announced:
    """What a file's container says about its length."""

    samples: int | None = None
    """Samples a channel that the header announces, or None where it does not say."""
    slack: int = 0
    """So many samples may be missing without the file being cut (an MP3 decoder's delay)."""
    cut: bool = False
    """The container itself shows that its end is missing, not how much of it."""
    untold: str = ""
    """Why the length cannot be known, where that is worth telling."""


def announced(path: Path) -> Announced:
    """Read the announcement of one audio file. Forms that are not known here announce nothing."""
    with open(path, "rb") as file:
        skip_id3(file)
        start = file.tell()
        magic = file.read(12)
        file.seek(start)
        if magic[:4] in (b"RIFF", b"RF64", b"RIFX") and magic[8:12] == b"WAVE":
            return _wav(file, ">" if magic[:4] == b"RIFX" else "<")
        if magic[:4] == b"fLaC":
            return _flac(file)
        if magic[:4] == b"OggS":
            return _ogg(file)
        return _mp3(file)


def skip_id3(file: BinaryIO) -> None:
    """Move past ID3v2 tags at the current position (10 bytes of header, the size in four 7-bit bytes)."""
    while True:
        start = file.tell()
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            file.seek(start)
            return
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if head[5] & 0x10 else 0
        file.seek(start + 10 + size + footer)


def _wav(file: BinaryIO, order: str) -> Announced:
    """RIFF WAVE and RF64: the size of the data chunk over the bytes of a frame."""
    file.seek(12, 1)
    frame_bytes = 0
    large = None  # ds64: the real size of the data chunk of an RF64
    while len(head := file.read(8)) == 8:
        name, size = head[:4], struct.unpack(order + "I", head[4:])[0]
        if name == b"data":
            if large is not None and size == 0xFFFFFFFF:
                size = large
            elif size in _UNKNOWN_SIZES or size >= 0x7FFFF000:
                return Announced(untold="its WAV header announces no length")
            if frame_bytes:
                return Announced(samples=size // frame_bytes)
            start = file.tell()  # compressed (ADPCM): writers disagree about the samples they state, so bytes must do
            return Announced(cut=file.seek(0, 2) < start + size)
        body = file.read(min(size, 64))
        file.seek(size - len(body) + size % 2, 1)
        if name == b"fmt " and len(body) >= 16:
            form, channels, _, _, align, bits = struct.unpack(order + "HHIIHH", body[:16])
            if form == 0xFFFE and len(body) >= 26:  # extensible: the form proper begins the GUID
                form = struct.unpack(order + "H", body[24:26])[0]
            plain = form in (1, 3, 6, 7) and align == channels * ((bits + 7) // 8)
            frame_bytes = align if plain else 0
        elif name == b"ds64" and len(body) >= 16:
            large = struct.unpack("<Q", body[8:16])[0]
    return Announced()


def _flac(file: BinaryIO) -> Announced:
    """FLAC: the 36-bit total of STREAMINFO, which is always the first block; 0 is unknown."""
    head = file.read(26)
    if len(head) < 26 or head[4] & 0x7F:
        return Announced()
    total = (head[21] & 0x0F) << 32 | struct.unpack(">I", head[22:26])[0]
    return Announced(samples=total) if total else Announced(untold="its FLAC header announces no length")


def _ogg(file: BinaryIO) -> Announced:
    """Ogg (Vorbis, Opus): a whole file ends with a whole page that carries the end-of-stream flag."""
    file.seek(0, 2)
    file.seek(max(0, file.tell() - _OGG_TAIL))
    tail = file.read()
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return Announced(cut=True)
    whole = len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
    return Announced(cut=not (whole and page[5] & 4))


def _mp3(file: BinaryIO) -> Announced:
    """MP3: the frame count of a Xing, Info or VBRI header in the first frame, less LAME's delay and padding."""
    data = file.read(_MP3_SYNC_SEARCH)
    at = _first_frame(data)
    if at is None:
        return Announced()
    version, channel_mode = data[at + 1] >> 3 & 3, data[at + 3] >> 6
    frame = 1152 if version == 3 else 576
    side = (17 if channel_mode == 3 else 32) if version == 3 else (9 if channel_mode == 3 else 17)
    frames, trim = None, 0
    xing = data[at + 4 + side :]
    vbri = data[at + 36 :]
    if xing[:4] in (b"Xing", b"Info") and len(xing) >= 12 and xing[7] & 1:
        frames = struct.unpack(">I", xing[8:12])[0]
        flags = xing[7]
        lame = 8 + 4 + 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
        if len(xing) >= lame + 24 and any(xing[lame : lame + 4]):
            packed = int.from_bytes(xing[lame + 21 : lame + 24], "big")
            trim = (packed >> 12) + (packed & 0xFFF)
    elif vbri[:4] == b"VBRI" and len(vbri) >= 18:
        frames = struct.unpack(">I", vbri[14:18])[0]
    if not frames:
        return Announced(untold="this MP3 announces no length, so it cannot be known whether it is cut off")
    # A decoder may drop first frames whose bit reservoir is missing, and 529 samples of its own delay.
    return Announced(samples=max(0, frames * frame - trim), slack=2 * frame + 529)


def _first_frame(data: bytes) -> int | None:
    """Offset of the first MPEG layer III frame header (11 sync bits, and no field with a forbidden value)."""
    at = data.find(b"\xff")
    while 0 <= at <= len(data) - 4:
        sync, version, layer = data[at + 1] >> 5, data[at + 1] >> 3 & 3, data[at + 1] >> 1 & 3
        bitrate, rate = data[at + 2] >> 4, data[at + 2] >> 2 & 3
        if sync == 7 and version != 1 and layer == 1 and bitrate not in (0, 15) and rate != 3:
            return at
        at = data.find(b"\xff", at + 1)
    return None
