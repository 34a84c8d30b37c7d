"""Checkpoints: the trained net on the workshop side, safetensors + JSON. Nothing is ever unpickled.

One file is whole by itself: its metadata holds everything needed to build the net, and a digest over all tensors, so a
flipped bit is found before a weight is used. The `.json` beside it shows the same to people. The metadata holds no
times and no paths of the run, so that equal trainings give equal files, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from xfer.runtime.atomic import write_atomically
from xfer.runtime.errors import FileNotThere, Unusable, nearest
from xfer.train.nets import NETS, Net, create

SCHEMA = 1
NET = "net."
"""Prefix of the net's tensors; a run's `last.safetensors` also holds the optimizer's, under another."""


@dataclass(frozen=True)
class Checkpoint:
    """A net in evaluation mode on the CPU, with what it knows of itself."""

    net: Net
    task: str
    labels: tuple[str, ...]
    recipe: dict[str, Any]
    metrics: dict[str, Any]
    """As measured in training: epoch, validation, test."""
    data: dict[str, Any]
    """Name, layout, synthetic, classes, clips, hours, licence, attribution."""
    path: Path
    sha256: str
    """Of the file."""
    extra: dict[str, Tensor] = field(default_factory=dict)
    """Tensors beside the net's: the optimizer's, in `last.safetensors`."""
    progress: dict[str, Any] = field(default_factory=dict)
    """Where a run stood: in `last.safetensors`."""


def save_checkpoint(
    path: Path,
    net: Net,
    *,
    task: str,
    labels: tuple[str, ...],
    recipe: Mapping[str, Any],
    metrics: Mapping[str, Any],
    data: Mapping[str, Any],
    extra: Mapping[str, Tensor] | None = None,
    progress: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint atomically: a crash leaves the old file or the new one.

    Raises OSError where the disk is full; the old file stays.
    """
    tensors = {NET + name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    tensors |= {name: value.detach().cpu().contiguous() for name, value in (extra or {}).items()}
    about = {
        "schema": SCHEMA,
        "kind": "xfer checkpoint",
        "net": net.name,
        "options": net.options,
        "task": task,
        "labels": list(labels),
        "recipe": dict(recipe),
        "metrics": dict(metrics),
        "data": dict(data),
        "progress": dict(progress or {}),
        "digest": _digest(tensors),
    }
    # One metadata key: several would be written in an order that changes from run to run.
    content = save(tensors, metadata={"xfer": json.dumps(about, ensure_ascii=False, sort_keys=True)})
    shown = json.dumps(about | {"sha256": hashlib.sha256(content).hexdigest()}, ensure_ascii=False, indent=2)
    # The checkpoint last: where it is, the page for people is too.
    write_atomically(path.with_suffix(".json"), shown.encode())
    write_atomically(path, content)


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint; a run's folder stands for its best one.

    Raises FileNotThere; Unusable for what is no checkpoint of xfer, is cut off or damaged, or is of an unknown net.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "best.safetensors"
    if not path.exists():
        raise FileNotThere(f"no checkpoint at {path}: `xfer train` writes one into runs/")
    try:
        content = path.read_bytes()
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except SafetensorError as error:
        raise Unusable(f"{path} is no checkpoint, or cut off ({error}): take another, or train again") from None
    about = _about(path, metadata)
    if _digest(tensors) != about["digest"]:
        raise Unusable(f"{path} is damaged: its weights are not those that were written; take another copy")
    if about["net"] not in NETS:
        raise Unusable(f"{path} holds a net {about['net']!r} that is unknown here: {nearest(str(about['net']), NETS)}")
    net = create(about["net"], len(about["labels"]), **about["options"])
    weights = {name.removeprefix(NET): value for name, value in tensors.items() if name.startswith(NET)}
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise Unusable(
            f"{path} does not fit the net {about['net']} that it names: {str(error).splitlines()[-1].strip()}"
        ) from None
    net.eval()
    return Checkpoint(
        net=net,
        task=about["task"],
        labels=tuple(about["labels"]),
        recipe=about["recipe"],
        metrics=about["metrics"],
        data=about["data"],
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        extra={name: value for name, value in tensors.items() if not name.startswith(NET)},
        progress=about["progress"],
    )


def _about(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        about = json.loads(metadata["xfer"])
        if about["kind"] != "xfer checkpoint":
            raise KeyError("kind")
        if about["schema"] > SCHEMA:
            raise Unusable(
                f"{path} was written by a newer xfer (schema {about['schema']}): update with pip install -U xfer"
            )
        wanted = {
            "net": str,
            "options": dict,
            "task": str,
            "labels": list,
            "recipe": dict,
            "metrics": dict,
            "data": dict,
        }
        for key, kind in wanted.items():
            if not isinstance(about[key], kind):
                raise KeyError(key)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(f"{path} holds tensors but is no checkpoint of xfer: train one with `xfer train`") from None
    about.setdefault("progress", {})
    return dict(about)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and bytes of all tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
