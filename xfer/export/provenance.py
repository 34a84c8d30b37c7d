"""Where a model file comes from: which checkpoint, which data, which code, which versions."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import xfer
from xfer.train.checkpoint import Checkpoint
from xfer.train.data.clips import DataSet
from xfer.train.data.digest import manifest_sha256

_PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "numpy")
_GIT_SECONDS = 10


def provenance_of(checkpoint: Checkpoint, data: DataSet | None = None) -> dict[str, Any]:
    """For the card. `data`: the run's data set, each clip on its side, for a checkpoint that does not know its hash.

    Of this machine only the run's name goes in.
    """
    data_sha256 = checkpoint.data.get("manifest_sha256") or (manifest_sha256(data) if data else None)
    return {
        "checkpoint_sha256": checkpoint.sha256,
        **({"data_sha256": data_sha256} if data_sha256 else {}),
        "code_sha256": code_sha256(),
        **commit(),
        "run": checkpoint.path.resolve().parent.name,
        "options": dict(checkpoint.net.options),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "xfer": xfer.__version__,
        "python": platform.python_version(),
        **{package: found for package in _PACKAGES if (found := _version(package))},
    }


def changed_since(checkpoint: Checkpoint, data: DataSet) -> bool:
    """Is the run's data not what it was trained on any more? False for a checkpoint that does not know."""
    then = checkpoint.data.get("manifest_sha256")
    return then is not None and then != manifest_sha256(data)


def code_sha256(package: Path | None = None) -> str:
    """SHA-256 over the package's own Python files, names and contents; ends of lines are those of Unix everywhere."""
    root = package or package_folder()
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).parts):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(root).as_posix()}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def commit(package: Path | None = None) -> dict[str, Any]:
    """The git commit of the package's files and whether any of them differs from it; empty where git does not have
    them, as in an installed wheel, or is not there.

    A wheel may lie inside a repository of the user's own, so git is asked whether it keeps these very files.
    """
    root = package or package_folder()
    if _git(root, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {}
    name, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--", ".")
    return {"commit": name, "commit_changed": bool(changed)} if name else {}


def package_folder() -> Path:
    """Where xfer's own files lie."""
    return Path(xfer.__file__).resolve().parent


def _git(folder: Path, *words: str) -> str | None:
    """What git says, without its last line end; None where it says no or is not there."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        said = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            errors="replace",
            env=clean,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() if said.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
