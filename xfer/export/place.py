"""Where a model file goes: written beside its place under a hidden name, then put there in one step, or not at all."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xfer.runtime.errors import Unusable

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """A hidden folder beside the target, on the same disk, made and removed: what lies in it when this ends is gone.

    Raises Unusable where the target's folder is a file. An OSError on its way out (a full disk) names the target, not
    the hidden name.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise Unusable(f"{target.parent} is a file, not a folder: name another with --out") from error
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        yield folder
    except OSError as error:
        if error.errno and (error.filename is None or str(folder) in str(error.filename)):
            error.filename = str(target)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(draft: Path, target: Path) -> None:
    """Put a finished file or folder at its place; a crash leaves the old one or the new one.

    Raises Unusable where a folder lies where a file should go, or the other way round.
    """
    check_place(draft, target)
    if draft.is_dir() and target.exists():
        if not _exchange(draft, target):
            # Without an exchange in one step, a crash between these two lines leaves the old one under the hidden name.
            target.rename(draft.with_name(f"{draft.name}.old"))
            draft.rename(target)
    else:
        draft.replace(target)
    _flush_folder(target.parent)


def check_place(draft: Path, target: Path) -> None:
    """Raise Unusable where a folder lies where a file should go, or the other way round."""
    if target.exists() and target.is_dir() != draft.is_dir():
        kind = "folder" if target.is_dir() else "file"
        raise Unusable(f"{target} is a {kind} that is no model of this format: move it away, or take another --name")


def write_file(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it. Raises OSError; a half-written file is removed."""
    try:
        with open(path, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def reserve(path: Path, size: int) -> None:
    """Raise OSError now where `size` bytes do not fit at `path`, whose writer would not say so. Leaves nothing."""
    write_file(path, bytes(size))
    path.unlink()


def older(target: Path) -> str:
    """What to say of a model that lies at the target and stays: its name and date; empty where there is none."""
    if not target.exists():
        return ""
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(target.stat().st_mtime))
    return f"the older {target}, of {date}, stays as it was"


def older_in(out: Path, suffix: str, name: str = "") -> str:
    """The same where the target is not known yet: of `name`, else of all models in `out`, the newest by name."""
    if name:
        return older(out / f"{name}{suffix}")
    found = [path for path in out.glob(f"*{suffix}") if not path.name.startswith(".")] if out.is_dir() else []
    if len(found) < 2:
        return older(found[0]) if found else ""
    newest = max(found, key=lambda path: path.stat().st_mtime)
    return f"{older(newest)}, and so do the other {len(found) - 1} in {out}"


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step (Linux, renameat2); False where the system or the disk has no such call."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _flush_folder(folder: Path) -> None:
    """Make the new name itself last, where folders can be flushed."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
