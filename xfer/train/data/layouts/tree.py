"""Walking a data set's folders: recordings found once each, whatever the tree is like.

Links are followed, but a folder is read once, under its own name where it has one below the root: a link that leads
back up, or to a folder that was read already, is named and left. So a loop ends, and no clip counts twice.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xfer.runtime.audio import SUFFIXES
from xfer.train.data.problems import Problem

SHOWN = 20
"""So many paths a problem carries at most; its message has the count."""


@dataclass(frozen=True)
class Recordings:
    """What a walk found."""

    paths: list[Path]
    """Sorted by their parts."""
    problems: tuple[Problem, ...]
    """Folders that could not be read, links that were not followed, names that are no text."""


def recordings_under(folder: Path, suffixes: Collection[str] = SUFFIXES) -> Recordings:
    """All files with one of `suffixes` in a folder and below it.

    Left out: hidden files and folders, and so macOS's `._x.wav`. 100,000 files take about a second.
    """
    walk = _Walk(frozenset(suffixes))
    walk.seen |= set(_identities([folder.absolute(), *folder.absolute().parents]))
    walk.scan([str(folder)])
    walk.follow()
    walk.files.sort(key=lambda path: path.split(os.sep))  # noqa: PTH206  a Path is ten times slower
    return Recordings([Path(path) for path in walk.files], walk.problems())


def folders_in(folder: Path) -> list[Path]:
    """The folders and links to folders in a folder, sorted, without hidden ones; none where it cannot be read."""
    return sorted(Path(entry.path) for entry in _entries(folder) if _is_folder(entry))


def names_in(folder: Path) -> Iterator[str]:
    """The names in a folder, in no order, without hidden ones; none where it cannot be read."""
    return (entry.name for entry in _entries(folder))


def first_with(folder: Path, suffix: str, depth: int) -> Path | None:
    """Some file with this suffix, at most `depth` folders below `folder`."""
    below: list[Path] = []
    for entry in _entries(folder):
        if _is_folder(entry):
            below.append(Path(entry.path))
        elif entry.name.endswith(suffix):
            return Path(entry.path)
    found = (first_with(each, suffix, depth - 1) for each in sorted(below) if depth)
    return next((path for path in found if path), None)


def shown(text: str | Path) -> str:
    """A name as it can be printed, also where it is no text."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def problem(message: str, paths: Iterable[Path]) -> Problem:
    """A warning about the metadata, with the first of its paths."""
    return Problem("metadata", "warning", tuple(path for path, _ in zip(paths, range(SHOWN), strict=False)), message)


def first_few(paths: Collection[str]) -> str:
    """The first three of some paths, in words."""
    few = ", ".join(shown(path) for path, _ in zip(paths, range(3), strict=False))
    return few if len(paths) <= 3 else f"{few}, ..."


@dataclass
class _Walk:
    """One walk: what it has found so far."""

    suffixes: frozenset[str]
    files: list[str] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)
    """Device and inode of the folders that were read."""
    links: list[str] = field(default_factory=list)
    """Links to folders, still to be followed."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Folders that could not be read, and why."""
    circles: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    """Links to recordings that are not there."""
    unnamed: list[str] = field(default_factory=list)
    """What has a name that is no UTF-8: it could be neither printed nor written down."""

    def scan(self, folders: list[str]) -> None:
        """Read folders and all that are really in them; links to folders wait."""
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        self._take(entry, folders)
            except OSError as error:
                self.refused.append((folder, error.strerror or str(error)))

    def follow(self) -> None:
        """Read what links lead to, unless it was read already."""
        while self.links:
            links, self.links = sorted(self.links), []
            for link in links:
                if new := set(_identities([Path(link)])) - self.seen:
                    self.seen |= new
                    self.scan([link])
                else:
                    self.circles.append(link)

    def problems(self) -> tuple[Problem, ...]:
        """What a user must know of this walk."""
        found = [
            problem(
                f"{shown(folder)} cannot be read ({why}), so its recordings are left out: "
                f"mend it with chmod -R u+rX, or as its owner",
                [Path(folder)],
            )
            for folder, why in sorted(self.refused)
        ]
        if self.circles:
            found.append(
                problem(
                    f"{len(self.circles)} links lead to folders that are read already, and are not followed: "
                    f"{first_few(self.circles)}",
                    map(Path, self.circles),
                )
            )
        if self.dead:
            self.dead.sort()
            found.append(
                problem(
                    f"{len(self.dead)} links lead to recordings that are not there: {first_few(self.dead)}: "
                    "fetch them (git annex get, git lfs pull) or remove the links",
                    map(Path, self.dead),
                )
            )
        if self.unnamed:
            self.unnamed.sort()
            found.append(
                problem(
                    f"{len(self.unnamed)} names are not UTF-8 and are left out: {first_few(self.unnamed)}: rename them",
                    [],
                )
            )
        return tuple(found)

    def _take(self, entry: os.DirEntry[str], folders: list[str]) -> None:
        name = entry.name
        if name[0] == ".":
            return
        if not name.isascii() and not is_text(name):
            self.unnamed.append(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            identity = set(_identities([Path(entry.path)]))
            if not identity <= self.seen or not identity:
                self.seen |= identity
                folders.append(entry.path)
        elif entry.is_symlink() and _is_folder(entry):
            self.links.append(entry.path)
        elif name[name.rfind(".") :].lower() in self.suffixes:
            if _is_file(entry):
                self.files.append(entry.path)
            elif entry.is_symlink():
                self.dead.append(entry.path)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, without what is hidden; nothing where it cannot be read: the walk that follows tells."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if entry.name[0] != ".")
    except OSError:
        return


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Is it, or does it link to, a folder? A link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Is it, or does it link to, a file?"""
    try:
        return entry.is_file()
    except OSError:
        return False


def _identities(folders: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """Device and inode of each folder that can be asked."""
    for folder in folders:
        try:
            status = folder.stat()
        except OSError:  # a folder that cannot be asked cannot be read: scanning it tells why
            continue
        yield status.st_dev, status.st_ino


def is_text(name: str) -> bool:
    """Can it be written as UTF-8?"""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
