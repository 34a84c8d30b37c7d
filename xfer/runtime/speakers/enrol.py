"""From a recording to what is kept of it: decode, check, run the model over its windows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from xfer.runtime.audio import LARGEST_SOUND, AudioFile, Samples, fill, no_sound, resample, window_starts
from xfer.runtime.engines import Array
from xfer.runtime.errors import Unusable
from xfer.runtime.models import Model
from xfer.runtime.speakers.checks import Finding, check_sound
from xfer.runtime.speakers.people import Person, Recording, Store
from xfer.runtime.speakers.sound import Sound, measure
from xfer.runtime.speakers.voices import check_likeness, check_voices

MOST_SECONDS = 120.0
"""Of a longer recording the first two minutes are heard: more of one session says little more about a voice."""
_SILENT_DB = 30.0
"""A window so far below the loudest one is a pause, and says nothing about a voice."""


@dataclass(frozen=True)
class Candidate:
    """A recording that might be enrolled."""

    recording: Recording
    sound: Sound
    findings: tuple[Finding, ...]

    @property
    def grave(self) -> tuple[Finding, ...]:
        """What keeps it out."""
        return tuple(each for each in self.findings if each.grave)


def examine(path: str | Path, model: Model) -> Candidate:
    """Check a file and hear it. Raises FileNotThere or Unusable for what is no recording."""
    with AudioFile(path) as file:
        blocks, count, wanted = [], 0, MOST_SECONDS * file.rate
        for block in file.blocks():
            blocks.append(block)
            count += len(block)
            if count > wanted:  # hours are not decoded for two minutes; what the end is like does not matter then
                break
        notes = file.notes if count <= wanted else ()
    return examine_samples(np.concatenate(blocks), file.rate, Path(path).name, model, notes)


def examine_samples(samples: Samples, rate: int, name: str, model: Model, notes: tuple[str, ...] = ()) -> Candidate:
    """Check mono samples (n,), n > 0, at `rate` Hz and hear them; `notes` say what decoding found.

    Raises Unusable where they are no sound.
    """
    if no_sound(samples).any():
        raise Unusable(
            f"{name} holds values that are no sound (NaN, infinite or beyond +-{LARGEST_SOUND:g}): record it again"
        )
    long = len(samples) > MOST_SECONDS * rate
    samples = samples[: round(MOST_SECONDS * rate)]
    sound = measure(samples, rate)
    findings = [Finding("file", False, f"{note}") for note in notes]
    if long:
        findings.append(Finding("length", False, f"only its first {MOST_SECONDS:.0f} s are used"))
    findings += check_sound(sound)
    at_rate = resample(samples, rate, model.card.sample_rate)
    embeddings = hear(at_rate, model)
    if not any(each.kind == "level" and each.grave for each in findings):
        findings += check_voices(embeddings, sound.seconds)
    kept = Recording(
        name,
        hashlib.sha256(np.ascontiguousarray(at_rate, dtype="<f4").tobytes()).hexdigest(),
        round(sound.seconds, 3),
        datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        embeddings,
    )
    return Candidate(kept, sound, tuple(findings))


def hear(samples: Samples, model: Model) -> Array:
    """Embeddings of the windows of samples (n,) at the model's rate that are no pauses, each run alone: (windows, d).

    Raises Unusable where the model answers with what is no number.
    """
    card = model.card
    starts = window_starts(len(samples), card.window, card.hop)
    windows = [fill(samples[start : start + card.window], card.window, card.short) for start in starts]
    powers = np.array([float(np.mean(np.square(window, dtype=np.float64))) for window in windows])
    loud = powers >= powers.max() * 10 ** (-_SILENT_DB / 10)
    embeddings = np.concatenate(
        [model.run(window[None, :]).embedding for window, kept in zip(windows, loud, strict=True) if kept]
    )
    if not np.isfinite(embeddings).all():
        raise Unusable(f"{card.name}: its embedding is not made of finite numbers: check it with xfer verify")
    return embeddings


def place(candidate: Candidate, name: str, store: Store) -> tuple[Store, tuple[Finding, ...]]:
    """The store with a recording for a person, and what comparing it with the others found.

    Raises Unusable where the same sound is enrolled already.
    """
    for person in store.people:
        for each in person.recordings:
            if each.sha256 == candidate.recording.sha256:
                raise Unusable(f"{candidate.recording.name} is enrolled already, for {person.name} as {each.name}")
    mine = next((person for person in store.people if person.name == name), None)
    others = [person for person in store.people if person.name != name]
    own = None if mine is None else mine.embeddings
    findings = check_likeness(candidate.recording.embeddings, own, others)
    before = () if mine is None else mine.recordings
    return store.with_person(Person(name, (*before, candidate.recording))), tuple(findings)
