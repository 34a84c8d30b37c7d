"""Which engine packages are installed. onnxruntime and onnxruntime-gpu overwrite each other, so both is neither."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from xfer.runtime.errors import NotThere

MEND_ONNXRUNTIME = ("pip uninstall -y onnxruntime onnxruntime-gpu", "pip install 'xfer[cpu]'")
"""The two lines that mend a double installation (with a CUDA device: 'xfer[gpu]' in the second)."""


def installed(package: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def refuse_double_onnxruntime() -> None:
    """Raise NotThere, with the lines that mend it, where both onnxruntime packages are installed."""
    plain, gpu = installed("onnxruntime"), installed("onnxruntime-gpu")
    if plain and gpu:
        lines = "\n".join(f"  {line}" for line in MEND_ONNXRUNTIME)
        raise NotThere(
            f"onnxruntime {plain} and onnxruntime-gpu {gpu} are both installed and have overwritten each other's "
            f"files; mend it with (for CUDA: 'xfer[gpu]'):\n{lines}"
        )
