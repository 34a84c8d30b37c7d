"""What `xfer speakers` says: lines for people, documents for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from xfer.runtime.speakers import AVERAGED, form_of, key_of

if TYPE_CHECKING:
    from xfer.runtime.engines import Array
    from xfer.runtime.models import Model
    from xfer.runtime.speakers import Calibrated, Enrolled, Gallery, Match, Person, Store

_COLUMNS = ("name", "recordings", "seconds", "windows", "added")


def person_line(person: Person) -> str:
    """One line about a person who is enrolled."""
    count = len(person.recordings)
    heard = f"{person.seconds:.1f} s, {len(person.embeddings)} windows"
    return f"{person.name}: {count} recording{'s' * (count > 1)}, {heard}"


def person_document(person: Person) -> dict[str, Any]:
    """A person as plain values; embeddings stay in the store."""
    return {
        "name": person.name,
        "seconds": round(person.seconds, 3),
        "windows": len(person.embeddings),
        "recordings": [
            {"name": each.name, "seconds": each.seconds, "windows": len(each.embeddings), "added": each.added}
            for each in person.recordings
        ],
    }


def store_lines(enrolled: Enrolled) -> Iterator[str]:
    """A table of everybody, and the threshold."""
    rows = [
        (
            person.name,
            str(len(person.recordings)),
            f"{person.seconds:.1f}",
            str(len(person.embeddings)),
            max(each.added for each in person.recordings)[:10],
        )
        for person in enrolled.store.people
    ]
    widths = [max(len(row[i]) for row in [_COLUMNS, *rows]) for i in range(len(_COLUMNS))]
    for row in [_COLUMNS, *rows]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield f"threshold {enrolled.gallery.threshold:.3f} ({enrolled.gallery.origin})"


def store_document(model: Model, enrolled: Enrolled | None, others: Sequence[Store]) -> dict[str, Any]:
    """Everybody as plain values."""
    document: dict[str, Any] = {
        "model": model.card.name,
        "key": key_of(model),
        "form": form_of(model),
        "path": None if enrolled is None else str(enrolled.path),
        "people": [] if enrolled is None else [person_document(person) for person in enrolled.store.people],
    }
    if enrolled is not None:
        kept = enrolled.store.calibration
        document |= {
            "threshold": enrolled.gallery.threshold,
            "threshold_origin": enrolled.gallery.origin,
            "calibration": None if kept is None else dict(vars(kept)),
            "notes": list(enrolled.notes),
        }
    document["with_other_models"] = [
        {"model": store.binding.model, "key": store.binding.key, "people": [person.name for person in store.people]}
        for store in others
    ]
    return document


def heard_line(path: str, gallery: Gallery, embeddings: Array) -> str:
    """Whom a recording sounds like, as a whole and decision by decision."""
    whole, each = gallery.match(embeddings), _decisions(gallery, embeddings)
    name = whole.label if whole.known else f"unknown (nearest: {whole.label})"
    second = f", {whole.top[1][0]} {whole.top[1][1]:.3f}, margin {whole.margin:.3f}" if whole.margin is not None else ""
    known = sum(one.known and one.label == whole.label for one in each)
    return f"{path}  {name}  cosine {whole.score:.3f}{second}  {known} of {len(each)} decisions name {whole.label}"


def heard_document(path: str, gallery: Gallery, embeddings: Array) -> dict[str, Any]:
    """The same as plain values, with every decision."""
    return {
        "path": path,
        **_match(gallery.match(embeddings)),
        "decisions": [_match(one) for one in _decisions(gallery, embeddings)],
    }


def calibrated_lines(found: Calibrated) -> Iterator[str]:
    """What a calibration found, for people."""
    yield f"threshold     {found.threshold:.3f}"
    let_in = _share(found.false_accepts, found.false_accepts_interval)
    yield f"false accepts {let_in} (wanted: {found.wanted:.2%} at most)"
    if found.misses is not None and found.misnamed is not None:
        missed = _share(found.misses, found.misses_interval)
        yield f"missed        {missed} (of it named as another: {found.misnamed:.1%})"
    if found.eer is not None:
        yield f"EER           {_share(found.eer, found.eer_interval)}"
    own = f"{found.own_decisions} decisions of {found.people} enrolled people, no recording against a centroid it is in"
    yield f"counted on    {own};"
    yield f"              {found.strangers_decisions} decisions of {found.voices} voices as strangers"


def calibrated_document(found: Calibrated) -> dict[str, Any]:
    """The same as plain values."""
    return dict(vars(found)) | {"notes": list(found.notes)}


def _decisions(gallery: Gallery, embeddings: Array) -> list[Match]:
    """As `listen` would decide after each window."""
    return [gallery.match(embeddings[max(0, k + 1 - AVERAGED) : k + 1]) for k in range(len(embeddings))]


def _match(match: Match) -> dict[str, Any]:
    return {
        "label": match.label,
        "known": match.known,
        "score": round(match.score, 6),
        "margin": None if match.margin is None else round(match.margin, 6),
        "top": [{"label": label, "score": round(score, 6)} for label, score in match.top],
    }


def _share(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return f"{value:.1%} (no interval: too few people)"
    return f"{value:.1%} (95 %: {interval[0]:.1%} to {interval[1]:.1%})"
