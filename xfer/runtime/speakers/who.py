"""Who is enrolled with a model: the one question that `listen` and the verbs ask."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xfer.runtime.card import Card
from xfer.runtime.decide import Decision
from xfer.runtime.engines import Outputs
from xfer.runtime.errors import Unusable
from xfer.runtime.models import Model
from xfer.runtime.speakers.binding import binding_of, check_agreement, form_of, key_of
from xfer.runtime.speakers.calibrate import provisional
from xfer.runtime.speakers.people import Store
from xfer.runtime.speakers.scoring import Gallery, gallery
from xfer.runtime.speakers.store import folder, locked, path_of, read_store, write_store

TASK = "speaker"


@dataclass
class Enrolled:
    """The people who are enrolled with a model that is loaded: who decides in the place of its own labels."""

    store: Store
    gallery: Gallery
    path: Path
    notes: tuple[str, ...]
    """What a listener should know: an uncalibrated threshold, one that is older than the people."""
    words: str
    """Whom it can name, and from what on."""

    def decide(self, heard: Outputs) -> Decision:
        """Who speaks in the last windows together: their outputs, (n, ...) each."""
        found = self.gallery.match(heard.embedding)
        return Decision(found.label, found.known, found.score, found.top, self.gallery.threshold)


def enrolled_with(model: Model, threshold: float | None = None) -> Enrolled | None:
    """Who is enrolled with this model, whichever of its forms it is; None: nobody, or it is for another task.

    threshold: a cosine, in place of what was calibrated or found.
    Raises Unusable for a store that is damaged, newer or another model's.
    """
    if model.card.task != TASK:
        return None
    path = path_of(key_of(model))
    store = read_store(path)
    if store is None:
        return None
    check_agreement(model, store.binding, path)
    people = [(person.name, person.embeddings) for person in store.people]
    found = store.calibration
    notes: list[str] = []
    if threshold is not None:
        origin = "as told"
    elif found is None:
        threshold, origin = provisional(store.people, overlap_of(model.card))
        notes = [f"its threshold for people is {origin}; strangers: find out with xfer speakers calibrate"]
    else:
        threshold, origin = found.threshold, f"calibrated for a false-accept rate of {found.wanted:g}, {found.time}"
        now = {person.name for person in store.people}
        changed = sorted(now.symmetric_difference(found.people))
        notes = [f"calibrated before {', '.join(changed)} came or went: xfer speakers calibrate"] if changed else []
    if store.binding.form != form_of(model):
        notes.append(f"enrolled with {store.binding.form} and heard with {form_of(model)}: cosines differ a little")
    names = ", ".join(person.name for person in store.people)
    words = f"the enrolled people ({names}) from a cosine of {threshold:.3f} on, or nobody"
    return Enrolled(store, gallery(people, threshold, origin), path, tuple(notes), words)


def others_enrolled(model: Model) -> list[Store]:
    """What is enrolled with other models; files that cannot be read are left out, since nothing depends on them."""
    if model.card.task != TASK or not folder().is_dir():
        return []
    own, found = path_of(key_of(model)), []
    for path in sorted(folder().glob("*.json")):
        if path == own:
            continue
        try:
            store = read_store(path)
        except Unusable:
            continue
        if store is not None:
            found.append(store)
    return found


def update(model: Model, change: Callable[[Store], Store]) -> Store:
    """Change who is enrolled with a model, one process at a time, whole or not at all; the new store.

    Raises what `change` raises, then nothing is written; Unusable for a model of another task or a store that cannot
    be used; OSError.
    """
    if model.card.task != TASK:
        raise Unusable(
            f"{model.path} is a model for task {model.card.task!r}: people are enrolled with one for {TASK!r}"
        )
    path = path_of(key_of(model))
    with locked():
        store = read_store(path)
        if store is None:
            store = Store(binding_of(model))
        else:
            check_agreement(model, store.binding, path)
        changed = change(store)
        write_store(path, changed)
        return changed


def overlap_of(card: Card) -> int:
    """How many windows on either side of one share samples with it."""
    return math.ceil(card.window / card.hop) - 1
