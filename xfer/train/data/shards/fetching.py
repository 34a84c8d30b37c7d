"""Shards that lie elsewhere: fetched once through webdataset's gopen into the user's cache, and read from there.

What is named: a URL (`https://host/train-000000.tar`), a brace pattern of such (`.../train-{000000..000009}.tar`, also
of local files), `s3://...` through the aws program, or `pipe:COMMAND` for any other program that writes a shard to its
output. A recipe that came from elsewhere could name a command too, so those run only where XFER_PIPES=1 allows it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from xfer.runtime.errors import FileNotThere, NotThere, Unusable, need_extra
from xfer.runtime.home import home
from xfer.train.data.shards.index import scan
from xfer.train.data.shards.manifest import NAME as MANIFEST
from xfer.train.data.shards.manifest import Entry, Manifest, parse

PROGRAMS = {"http": "curl", "https": "curl", "gs": "gsutil", "ais": "ais", "file": "", "s3": "aws", "pipe": ""}
"""The ways to name a shard, and the program through which gopen, or its pipe, gets it."""
ALLOW = "XFER_PIPES"
_SAID = {"6": "no such host", "7": "no connection", "22": "the server has no such file", "127": "it is not installed"}
MOST = 100_000
"""Shards of one pattern."""
_SCHEME = re.compile(rf"({'|'.join(PROGRAMS)}):", re.IGNORECASE)
_BLOCK = 1 << 20


def is_remote(name: str | Path) -> bool:
    """Does this name shards to fetch, or a pattern of shards, and not a folder?"""
    text = str(name)
    return bool(_SCHEME.match(text)) or (text.endswith(".tar") and "{" in text and not Path(text).exists())


def fetch_shards(pattern: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """The folder in `$XFER_HOME/cache/shards` that holds the shards of a pattern; what is there is not fetched again.

    Each shard appears whole or not at all: its size and hash must be those of the `shards.json` beside it, and without
    one it must have a tar's end. Delete the folder to fetch anew. `progress(done, of)` is told after each shard.
    Raises Unusable for a wrong pattern or a shard that comes damaged; FileNotThere where a shard cannot be had;
    NotThere without webdataset, or without the program that fetches; OSError.
    """
    # Path("https://host") has lost a slash on its way.
    pattern = re.sub(r"^(https?|s3|gs|ais):/(?=[^/])", r"\1://", pattern, flags=re.IGNORECASE)
    addresses = _expand(pattern)
    names = _names(addresses)
    folder = home() / "cache" / "shards" / _folder_name(pattern, names)
    if all((folder / name).is_file() for name in names):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(addresses)
    known = {entry.name: entry for entry in manifest.shards} if manifest else {}
    for done, (address, name) in enumerate(zip(addresses, names, strict=True), start=1):
        if not (folder / name).is_file():
            _fetch(address, folder / name, known.get(name))
        if progress:
            progress(done, len(names))
    if manifest is not None:
        base = addresses[0].rpartition("/")[0]
        for entry in manifest.background:
            (folder / "background").mkdir(exist_ok=True)
            if not (folder / entry.name).is_file():
                _fetch(f"{base}/{entry.name}", folder / entry.name, entry)
        manifest.only(set(names)).write(folder)
    return folder


def _expand(pattern: str) -> list[str]:
    try:
        from braceexpand import braceexpand  # webdataset's own
    except ImportError:
        raise need_extra("webdataset", "train") from None
    if pattern.lower().startswith("pipe:") and os.environ.get(ALLOW) != "1":
        raise Unusable(
            f"{pattern!r} runs a command: allow it with {ALLOW}=1 in front of xfer if the command is your own"
        )
    for first, last in re.findall(r"\{(\d{1,30})\.\.(\d{1,30})[.}]", pattern):
        if abs(int(first) - int(last)) >= MOST:
            raise Unusable(f"{pattern} names more than {MOST} shards: name fewer, or larger ones")
    addresses: list[str] = []
    try:
        for address in braceexpand(pattern):
            addresses.append(_gopen_name(address))
            if len(addresses) > MOST:
                raise Unusable(f"{pattern} names more than {MOST} shards: name fewer, or larger ones")
    except ValueError as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(f"{pattern} has a brace without its other half: write train-{{000000..000009}}.tar") from None
    return addresses


def _gopen_name(address: str) -> str:
    """gopen knows no s3: the program that does is asked."""
    if not address.lower().startswith("s3:"):
        return address
    if re.search(r"[^A-Za-z0-9_./:=+@-]", address):
        raise Unusable(f"{address!r} has characters that no shell should see: name it as pipe:aws s3 cp ... -")
    return f"pipe:aws s3 cp {address} -"


def _names(addresses: list[str]) -> list[str]:
    """File names for the cache; two folders' `000000.tar` become `train-000000.tar` and `test-000000.tar`."""
    words = [re.findall(r"[A-Za-z0-9_.{}-]+", address.split("?")[0]) for address in addresses]
    parts = [[word for word in each if word.strip(".-")] for each in words]
    tars = [max((at for at, word in enumerate(each) if word.endswith(".tar")), default=-1) for each in parts]
    for depth in (1, 2, 3):
        names = [
            "-".join(each[max(0, at + 1 - depth) : at + 1]) if at >= 0 else f"{number:06d}.tar"
            for number, (each, at) in enumerate(zip(parts, tars, strict=True))
        ]
        if len(set(names)) == len(names):
            return [name.lstrip(".") for name in names]
    return [f"{number:06d}.tar" for number in range(len(addresses))]


def _folder_name(pattern: str, names: list[str]) -> str:
    """Readable, and another one for each pattern."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(names[0]).stem)[:40]
    return f"{readable}-{hashlib.sha256(pattern.encode(errors='surrogateescape')).hexdigest()[:12]}"


def _manifest(addresses: list[str]) -> Manifest | None:
    """The list of the shards, where it lies beside the first one."""
    base, slash, _ = addresses[0].partition("?")[0].rpartition("/")
    if not slash or addresses[0].startswith("pipe:"):
        return None
    where = f"{base}/{MANIFEST}"
    try:
        content = b"".join(_blocks(where))
    except FileNotThere:
        return None
    # Some servers answer with a page for what they do not have.
    manifest = parse(content, where) if content.lstrip().startswith(b"{") else None
    if manifest is not None and not manifest.complete:
        raise Unusable(f"the shards at {base} were never finished: write them again")
    return manifest


def _fetch(address: str, path: Path, entry: Entry | None) -> None:
    """One file, atomically; what lies on a disk here is linked to."""
    if not _SCHEME.match(address):
        if not Path(address).is_file():
            raise FileNotThere(f"no shard at {address}: check the pattern")
        with contextlib.suppress(OSError):  # a file system without links
            path.symlink_to(Path(address).resolve())
            return
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    digest = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as file:
            for block in _blocks(address):
                file.write(block)
                digest.update(block)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if entry is not None and (size, digest.hexdigest()) != (entry.bytes, entry.sha256):
            told = f"{size} of {entry.bytes} bytes" if size != entry.bytes else "other bytes than were written"
            raise Unusable(f"{address} came damaged ({told}): try again, or write the shards anew")
        if entry is None and (damage := scan(Path(draft)).damage):
            raise Unusable(f"{address} came {damage}: try again, or write the shards anew")
        Path(draft).chmod(0o644)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _blocks(address: str) -> Iterator[bytes]:
    """The bytes behind an address, piece by piece. Raises FileNotThere where it cannot be had, NotThere without its
    program."""
    try:
        from webdataset.gopen import gopen  # brings torch along: only here
    except ImportError:
        raise need_extra("webdataset", "train") from None
    try:
        stream = gopen(address, "rb")
        try:
            while block := bytes(stream.read(_BLOCK)):
                yield block
        finally:
            stream.close()  # tells here what the program that fetched said at its end
    except (OSError, ValueError) as error:
        program = PROGRAMS.get(address.partition(":")[0].lower(), "")
        if program and isinstance(error, FileNotFoundError):
            raise NotThere(f"{address} cannot be fetched: the program {program!r} is not installed") from None
        raise FileNotThere(f"{address} cannot be had ({_said(error)}): check the address and the network") from None


def _said(error: Exception) -> str:
    """What the program that fetched said by its exit code."""
    found = re.search(r"exit (\d+)", str(error))
    if not found:
        return str(getattr(error, "strerror", None) or error)
    return _SAID.get(found[1], f"the program ended with {found[1]}")
