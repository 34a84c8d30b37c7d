"""`xfer speakers`: enrol people, list and remove them, try a recording, calibrate the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xfer.cli.console import next_steps, result, result_json, say, talk, warn
from xfer.runtime.errors import Unusable, XferError

if TYPE_CHECKING:
    from xfer.runtime.models import Model
    from xfer.runtime.speakers import Calibration, Candidate, Store

_Model = Annotated[str | None, typer.Option(help="A model file. Default: the one found for task speaker.")]
_Json = Annotated[bool, typer.Option("--json", help="The result as one JSON document.")]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Nothing but warnings on stderr.")]


def add(
    name: Annotated[str, typer.Argument(help="Who speaks in the recordings.")],
    files: Annotated[list[str] | None, typer.Argument(help="Recordings of this person alone, 10 s or more.")] = None,
    mic: Annotated[
        str | None, typer.Option(help="Record from the microphone; NAME or index for another than the default.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=2, max=120, help="So long from the microphone.")] = 20.0,
    anyway: Annotated[bool, typer.Option("--anyway", help="Enrol also from what is found unfit.")] = False,
    model: _Model = None,
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> int:
    """Enrol a person from one recording or more: better three, made on different days."""
    from xfer.cli.speakers_shown import person_document, person_line
    from xfer.runtime.speakers import check_name, update

    talk.quiet = quiet
    name = check_name(name)
    if bool(files) == (mic is not None):
        raise Unusable(f"enrol {name} from what? name recordings, or record with --mic: xfer speakers add NAME FILE...")
    loaded = _load(model)
    found = [_record(mic or "", seconds, loaded)] if mic is not None else _examined(files or [], loaded)
    unfit = [candidate.recording.name for candidate in found if candidate.grave]
    for candidate in found:
        _tell(candidate)
    if unfit and not anyway:
        raise Unusable(
            f"nobody was enrolled, since {', '.join(unfit)} cannot be used, as named above: record again, leave "
            f"{'it' if len(unfit) == 1 else 'them'} out, or insist with --anyway"
        )
    store = update(loaded, lambda before: _placed(before, name, found))
    person = store.person(name)
    if as_json:
        result_json(person_document(person) | {"findings": [_findings(each) for each in found]})
    else:
        result(person_line(person))
    if len(person.recordings) < 3:
        say(f"{len(person.recordings)} of {name} so far: three made on different days know a voice much better")
    next_steps("xfer listen --task speaker", "xfer speakers calibrate")
    return 0


def list_(model: _Model = None, as_json: _Json = False, quiet: _Quiet = False) -> int:
    """List who is enrolled, and whether the threshold is calibrated."""
    from xfer.cli.speakers_shown import store_document, store_lines
    from xfer.runtime.speakers import enrolled_with, folder, others_enrolled

    talk.quiet = quiet
    loaded = _load(model)
    found = enrolled_with(loaded)
    others = others_enrolled(loaded)
    if as_json:
        result_json(store_document(loaded, found, others))
        return 0
    if found is None:
        say(f"nobody is enrolled with {loaded.card.name} (looked in {folder()})")
    else:
        for line in store_lines(found):
            result(line)
        for note in found.notes:
            say(note)
    for store in others:
        names = ", ".join(person.name for person in store.people)
        say(f"with another model ({store.binding.model}, {store.binding.key[:8]}): {names}")
    next_steps("xfer speakers add NAME FILE...")
    return 0


def remove(
    name: Annotated[str, typer.Argument(help="Whom to forget.")],
    recording: Annotated[
        str | None, typer.Option(help="Forget this recording alone, by its name in xfer speakers list --json.")
    ] = None,
    model: _Model = None,
    quiet: _Quiet = False,
) -> int:
    """Forget a person, or one recording of theirs."""
    from xfer.runtime.errors import nearest
    from xfer.runtime.speakers import Person, update

    talk.quiet = quiet

    def forget(before: Store) -> Store:
        person = before.person(name)
        if recording is None:
            return before.without(name)
        left = tuple(each for each in person.recordings if each.name != recording)
        if len(left) == len(person.recordings):
            known = [each.name for each in person.recordings]
            raise Unusable(f"{name} has no recording {recording!r}: {nearest(recording, known)}")
        return before.with_person(Person(name, left)) if left else before.without(name)

    store = update(_load(model), forget)
    result(f"{name} is forgotten" if recording is None else f"{recording} of {name} is forgotten")
    say(f"still enrolled: {', '.join(person.name for person in store.people) or 'nobody'}")
    return 0


def recognise(
    files: Annotated[list[str], typer.Argument(help="Recordings to recognise.")],
    model: _Model = None,
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> int:
    """Say who of the enrolled people a recording sounds like, how much, and how far the second is."""
    from xfer.cli.speakers_shown import heard_document, heard_line
    from xfer.runtime.speakers import enrolled_with, examine

    talk.quiet = quiet
    loaded = _load(model)
    found = enrolled_with(loaded)
    if found is None:
        raise Unusable(f"nobody is enrolled with {loaded.card.name}: xfer speakers add NAME FILE...")
    say(f"{loaded.card.name} names {found.words}")
    documents = []
    for path in files:
        candidate = examine(path, loaded)
        embeddings = candidate.recording.embeddings
        if as_json:
            documents.append(heard_document(path, found.gallery, embeddings) | _findings(candidate))
        else:
            result(heard_line(path, found.gallery, embeddings))
            _tell(candidate)
    if as_json:
        result_json({"model": loaded.card.name, "threshold": found.gallery.threshold, "files": documents})
    for note in found.notes:
        say(note)
    return 0


def calibrate(
    others: Annotated[
        list[str] | None,
        typer.Argument(help="Recordings of others, one person each, or a folder for each."),
    ] = None,
    false_accepts: Annotated[
        float, typer.Option("--false-accepts", help="So many of strangers' decisions may get a name: 0.01 is 1 %.")
    ] = 0.01,
    model: _Model = None,
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> int:
    """Find the threshold for a wanted rate of false accepts on the enrolled recordings, and say how sure it is."""
    from datetime import UTC, datetime

    from xfer.cli.speakers_shown import calibrated_document, calibrated_lines
    from xfer.cli.strangers import strangers
    from xfer.runtime import speakers as room

    talk.quiet = quiet
    loaded = _load(model)
    enrolled = room.enrolled_with(loaded)
    if enrolled is None:
        raise Unusable(f"nobody is enrolled with {loaded.card.name}: xfer speakers add NAME FILE...")
    people = enrolled.store.people
    found = room.calibrate(room.trials(people, strangers(others or [], loaded, enrolled.store)), false_accepts)
    kept = room.Calibration(
        threshold=found.threshold,
        wanted=found.wanted,
        found=found.false_accepts,
        interval=found.false_accepts_interval,
        people=tuple(person.name for person in people),
        voices=found.voices,
        time=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
    )
    room.update(loaded, lambda before: _with_calibration(before, enrolled.store, kept))
    if as_json:
        result_json(calibrated_document(found))
    else:
        for line in calibrated_lines(found):
            result(line)
    for note in found.notes:
        warn(note)
    next_steps("xfer listen --task speaker")
    return 0


speakers = {"add": add, "list": list_, "remove": remove, "test": recognise, "calibrate": calibrate}
"""The verbs of `xfer speakers`, in the order of its help."""


def _load(path: str | None) -> Model:
    from xfer.runtime.models import find_model, load_model

    loaded = load_model(find_model("speaker") if path is None else path)
    if loaded.card.task != "speaker":
        raise Unusable(
            f"{loaded.path} is a model for task {loaded.card.task!r}: people are enrolled with one for speaker"
        )
    return loaded


def _examined(files: list[str], model: Model) -> list[Candidate]:
    """Every file, heard. Raises for the first that is no recording."""
    from xfer.runtime.speakers import examine

    return [examine(path, model) for path in files]


def _record(wanted: str, seconds: float, model: Model) -> Candidate:
    """A recording from a microphone. Raises NotThere."""
    from datetime import datetime

    from xfer.cli.progress import StepBar
    from xfer.cli.taking import take
    from xfer.runtime.speakers import examine_samples

    say(f"speak for {seconds:g} s, as you would at home: whole sentences, nobody else, no music")
    with StepBar() as bar:
        samples, rate = take(wanted or None, seconds, bar)
    return examine_samples(samples, rate, f"microphone {datetime.now():%Y-%m-%d %H:%M:%S}", model)


def _placed(store: Store, name: str, found: list[Candidate]) -> Store:
    """The store with all recordings of a person; what comparing them finds is told."""
    from xfer.runtime.speakers import place

    for candidate in found:
        store, findings = place(candidate, name, store)
        for finding in findings:
            warn(f"{candidate.recording.name}: {finding.message}")
    return store


def _with_calibration(before: Store, used: Store, kept: Calibration) -> Store:
    import dataclasses

    if [person.name for person in before.people] != [person.name for person in used.people]:
        raise XferError("somebody was enrolled or forgotten meanwhile: calibrate again")
    return dataclasses.replace(before, calibration=kept)


def _tell(candidate: Candidate) -> None:
    for finding in candidate.findings:
        warn(f"{candidate.recording.name}: {finding.message}")


def _findings(candidate: Candidate) -> dict[str, object]:
    return {
        "recording": candidate.recording.name,
        "seconds": candidate.recording.seconds,
        "problems": [{"kind": each.kind, "grave": each.grave, "message": each.message} for each in candidate.findings],
    }
