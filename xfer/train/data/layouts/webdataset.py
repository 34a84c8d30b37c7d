"""WebDataset: tar shards of samples, each a recording and what is told of it under one key.

`key.wav` (flac, ogg, mp3, opus, ...) with `key.json` (label, group, split, fold, values), or `key.cls` (the class's
number, its name in `classes.txt`), or `key.txt` (the label). `xfer data DATA --shards DIR` writes such shards. Without
a split in the JSON the shard's name tells it: `train-000000.tar`, `test/0001.tar`. Nothing is unpacked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from xfer.runtime.audio import SUFFIXES
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.data.clips import Clip, Split
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tree import folders_in, shown
from xfer.train.data.problems import Problem
from xfer.train.data.shards.index import Member, Shard, scan
from xfer.train.data.shards.manifest import NAME as MANIFEST
from xfer.train.data.shards.manifest import Entry, Manifest, numbers, read_manifest
from xfer.train.data.splits import WORDS

CLASSES = ("classes.txt", "labels.txt")
"""A class's name a line, the first is number 0."""
TELLING = ("json", "cls", "txt")
"""What tells the label, the best first."""
LARGEST_TEXT = 1_000_000
"""Bytes; what is longer is no label."""
LONGEST_LABEL = 200
_KEY = re.compile(r"((?:.*/|)[^./][^.]*)\.([^/]*)")
"""webdataset's rule: the key ends at the first dot of the name proper."""


def recognise(root: Path) -> bool:
    """A list of shards that xfer wrote, or *.tar in the folder or in one below, and no recordings beside them."""
    if root.is_file():
        return root.suffix == ".tar"
    if (root / MANIFEST).is_file():
        return True
    places = [root, *folders_in(root)]
    files = [entry for place in places for entry in _files(place)]
    return any(path.suffix == ".tar" for path in files) and not any(path.suffix.lower() in SUFFIXES for path in files)


def read(root: Path) -> Found:
    """Label, group, split, fold and values as told. Without a group each recording is its own.

    Raises Unusable for shards whose writing was never finished.
    """
    manifest = None if root.is_file() else read_manifest(root / MANIFEST)
    if manifest is not None and not manifest.complete:
        raise Unusable(f"the shards in {root} were never finished: write them again (xfer data DATA --shards {root})")
    problems: list[Problem] = []
    clips: list[Clip] = []
    for path in _shards(root, manifest, problems):
        try:
            shard = scan(path)
        except (Unusable, FileNotThere) as error:
            problems.append(Problem("unreadable", "error", (path,), str(error)))
            continue
        clips += _Reading(root, shard, _names(root), len(manifest.value_names) if manifest else None).clips(problems)
    known = manifest or Manifest()
    return Found(
        clips,
        background=tuple(root / entry.name for entry in known.background if (root / entry.name).is_file()),
        value_names=known.value_names,
        problems=tuple(problems),
        licence=known.licence,
        attribution=known.attribution,
        notes=known.notes,
        task=known.task,
    )


@dataclass
class _Reading:
    """Clips from one shard."""

    root: Path
    shard: Shard
    names: Sequence[str]
    """Of classes that are told by number."""
    values: int | None
    """How many numbers each clip has; None: not known."""
    unlabelled: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def clips(self, problems: list[Problem]) -> list[Clip]:
        """All clips of the shard, and what is wrong with it."""
        shard, path = self.shard, self.shard.path
        samples: dict[str, dict[str, Member]] = {}
        for member in shard.members:
            if match := _KEY.fullmatch(member.name):
                samples.setdefault(match[1], {})[match[2].lower()] = member
        if shard.damage and samples:
            self._drop_half_sample(samples)
        with open(path, "rb") as file:
            found = [clip for key, parts in samples.items() for clip in self._sample(file, key, parts)]
        if shard.damage:
            problems.append(
                Problem(
                    "truncated",
                    "error",
                    (path,),
                    f"{path} is {shard.damage}: {len(found)} clips before that are used, the rest is missing; fetch "
                    "or write it again",
                )
            )
        for names, what in (
            (self.unlabelled, "recordings without a label (json, cls, txt) are left out"),
            (self.broken, "members that tell of a recording cannot be read"),
            (shard.repeated, "members have the name of an earlier one and are left out"),
        ):
            if names:
                message = f"{path}: {len(names)} {what}, the first is {shown(names[0])}"
                problems.append(Problem("metadata", "error", (path,), message))
        return found

    def _drop_half_sample(self, samples: dict[str, dict[str, Member]]) -> None:
        """The last sample before the cut may lack what came after it: it must be like the one before it."""
        last = list(samples)[-1]
        others = [_telling(parts) for key, parts in samples.items() if key != last]
        if _telling(samples[last]) != (others[-1] if others else _telling(samples[last]) or None):
            del samples[last]

    def _sample(self, file: BinaryIO, key: str, parts: Mapping[str, Member]) -> Iterator[Clip]:
        recordings = [member for kind, member in parts.items() if f".{kind.rpartition('.')[2]}" in SUFFIXES]
        if not recordings:
            return
        told = self._told(file, parts)
        label = self._label(told, key)
        if label is None:
            self.unlabelled += [member.name for member in recordings]
            return
        path = self.shard.path
        group = told.get("group")
        fold = told.get("fold")
        try:
            values = numbers(told.get("values", []))
        except ValueError:
            values = ()
        if self.values is not None and len(values) != self.values:
            self.broken.append(parts["json"].name if "json" in parts else recordings[0].name)
            return
        for member in recordings:
            yield Clip(
                path,
                label,
                group if isinstance(group, str) and group else f"{_stem(self.root, path)}/{key}",
                _side(told.get("split")) or (None if "split" in told else _side_of_name(self.root, path)),
                fold=fold if type(fold) is int else None,
                values=values,
                member=member.name,
            )

    def _told(self, file: BinaryIO, parts: Mapping[str, Member]) -> dict[str, Any]:
        """What the members beside a recording tell, as the JSON would."""
        told: dict[str, Any] = {}
        for kind in reversed(TELLING):
            member = parts.get(kind)
            if member is None:
                continue
            file.seek(member.at)
            try:
                if member.size > LARGEST_TEXT:
                    raise ValueError("too long")
                text = file.read(member.size).decode("utf-8-sig").strip()
                told |= _document(text) if kind == "json" else {"label": int(text) if kind == "cls" else text}
            except (ValueError, RecursionError):  # no UTF-8, no JSON, no number
                self.broken.append(member.name)
        return told

    def _label(self, told: Mapping[str, Any], key: str) -> str | None:
        label = told.get("label")
        if type(label) is int:  # a number: its name, or itself where no list of names is there
            return self.names[label] if 0 <= label < len(self.names) else None if self.names else str(label)
        if isinstance(label, str) and label and len(label) <= LONGEST_LABEL and label.isprintable():
            return label
        # A tar of class folders tells it by the folder.
        return key.split("/")[-2] if label is None and "/" in key else None


def _document(text: str) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    for name in ("class", "category"):  # as others call it
        if name in document:
            document.setdefault("label", document[name])
    return document


def _shards(root: Path, manifest: Manifest | None, problems: list[Problem]) -> list[Path]:
    """The shards to read; what the manifest misses is told."""
    if root.is_file():
        return [root]
    there = sorted(path for place in (root, *folders_in(root)) for path in _files(place) if path.suffix == ".tar")
    if manifest is None:
        return there
    listed = {root / entry.name: entry for entry in manifest.shards}
    missing = [entry for path, entry in listed.items() if not path.is_file()]
    if missing:
        lost = sum(entry.clips for entry in missing)
        message = (
            f"{len(missing)} of {len(listed)} shards are not there, and with them {lost} clips, the first is "
            f"{root / missing[0].name}: fetch or write them again"
        )
        problems.append(Problem("truncated", "error", tuple(root / entry.name for entry in missing), message))
    for path, entry in listed.items():
        problems += _other_size(path, entry)
    extra = tuple(path for path in there if path not in listed)
    if extra:
        message = f"{len(extra)} shards are not in {MANIFEST} and are left out, the first is {extra[0]}"
        problems.append(Problem("metadata", "warning", extra, message))
    return [path for path in listed if path.is_file()]


def _other_size(path: Path, entry: Entry) -> Iterator[Problem]:
    size = path.stat().st_size if path.is_file() else entry.bytes
    if size != entry.bytes:
        message = f"{path} has {size} bytes, {entry.bytes} were written: fetch or write it again"
        yield Problem("truncated", "error", (path,), message)


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError:
        return []


def _names(root: Path) -> list[str]:
    """Names of classes by number; none where no list is there."""
    folder = root.parent if root.is_file() else root
    for name in CLASSES:
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8", errors="replace").split("\n")[:LARGEST_TEXT]
    return []


def _telling(parts: Mapping[str, Member]) -> frozenset[str]:
    return frozenset(parts) & frozenset(TELLING)


def _side(told: Any) -> Split | None:
    return WORDS.get(told.lower()) if isinstance(told, str) else None


def _side_of_name(root: Path, path: Path) -> Split | None:
    """`train-000000.tar`, `test/0001.tar`."""
    words = [re.split(r"[^a-z]", path.stem.lower())[0], *([path.parent.name.lower()] if path.parent != root else [])]
    return next((WORDS[word] for word in words if word in WORDS), None)


def _stem(root: Path, path: Path) -> str:
    return path.stem if root in (path, path.parent) else f"{path.parent.name}/{path.stem}"


register(
    Layout(
        "webdataset",
        "sound",
        recognise,
        read,
        marks="tar shards (*.tar) of recordings, each with a .json, .cls or .txt that tells its label",
        files=True,
    )
)
