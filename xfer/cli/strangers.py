"""Recordings of people who are not enrolled, for `xfer speakers calibrate`: whose each is, told by its folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from xfer.cli.console import warn
from xfer.cli.progress import StepBar
from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable, XferError
from xfer.runtime.models import Model
from xfer.runtime.speakers import Store, examine


def strangers(words: Sequence[str], model: Model, store: Store) -> list[tuple[str, list[Array]]]:
    """Embeddings of every recording, by person. Raises FileNotThere; Unusable where none is left, or one is enrolled.

    A recording that is named is a person, and so is a folder; where folders lie in it, each of those is one instead.
    What cannot be used is told and left out.
    """
    found = [pair for word in words for pair in _files(Path(word))]
    enrolled = {each.sha256: person.name for person in store.people for each in person.recordings}
    voices: dict[str, list[Array]] = defaultdict(list)
    with StepBar() as bar:
        for done, (voice, path) in enumerate(found, start=1):
            try:
                candidate = examine(path, model)
            except XferError as error:
                warn(f"left out: {error}")
                continue
            if candidate.recording.sha256 in enrolled:
                who = enrolled[candidate.recording.sha256]
                raise Unusable(f"{path} is a recording of {who}, who is enrolled: others must be other people")
            if any(each.kind == "level" and each.grave for each in candidate.findings):
                warn(f"left out: {path} is silent")
                continue
            voices[voice].append(candidate.recording.embeddings)
            bar.tell("other voices", done, len(found))
    if words and not voices:
        raise Unusable(f"none of the {len(found)} recordings of others can be used, as named above")
    return list(voices.items())


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    """Recordings, each with whose it is."""
    from xfer.runtime.sources import recordings_in

    if not place.is_dir():
        yield str(place), place
        return
    for path in recordings_in(place):
        inner = path.relative_to(place).parts
        yield (str(place / inner[0]) if len(inner) > 1 else str(place)), path
