"""How well unseen people are told apart after enrolment, and how often the checks of recordings are right.

    python benchmarks/speakers.py --data ../shared/data --model speaker.onnx --leave-out people.txt --write PAGE

Of the folders below only people are used that `--leave-out` names, one a line: those whom the model was not trained on.
Each draw takes recordings to enrol from at random; the rest of each person's are heard. Numbers are means over draws;
intervals draw people anew in each.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xfer.runtime.audio import decode
from xfer.runtime.models import Model, load_model
from xfer.runtime.speakers import Person, Recording, calibrate, examine_samples, measure, trials
from xfer.runtime.speakers.checks import check_sound
from xfer.runtime.speakers.rates import equal_error
from xfer.runtime.speakers.scoring import decided, heard
from xfer.runtime.speakers.voices import check_voices

DRAWS = 20
WANTED = 0.05
SPEECH_SECONDS = 2.0


@dataclass(frozen=True)
class Corpus:
    """Recordings of people, heard once."""

    name: str
    people: dict[str, list[Recording]]


@dataclass(frozen=True)
class Row:
    """One line of the table; shares of one."""

    corpus: str
    people: int
    enrolled: int
    eer: float
    eer_recording: float
    named: float
    """Recordings whose nearest person is the right one, of so many people."""
    chance: float
    missed: float
    misnamed: float
    let_in: float
    """Strangers' decisions that got a name at the threshold that `calibrate` found for 5 % on the enrolled ones."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--leave-out", type=Path, required=True)
    parser.add_argument("--checks", action="store_true", help="the checks of recordings too")
    parser.add_argument("--write", type=Path, help="a page with a <!-- NAME --> pair to fill; default: print")
    parser.add_argument("--name", default="enrolment")
    options = parser.parse_args()
    model = load_model(options.model)
    unseen = set(options.leave_out.read_text().split())
    corpora = [hear(name, files, model) for name, files in corpora_of(options.data, unseen).items()]
    rows = [row for corpus in corpora for count in (1, 3, 5) if (row := measured(corpus, count)) is not None]
    put(options.write, options.name, table(rows))
    if options.checks:
        put(options.write, "checks", checks_table(options.data))
        put(options.write, "two voices", voices_table(options.data, unseen, model))


def corpora_of(data: Path, unseen: set[str]) -> dict[str, dict[str, list[Path]]]:
    """Files of each unseen person, by the kind of recordings."""
    found: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted((data / "libri_vctk_layout").rglob("*.flac")):
        who = path.parent.name
        kind = "readers, separate utterances" if who <= "p307" else "readers, parts of one utterance"
        if who in unseen:
            found[kind][who].append(path)
    for path in sorted((data / "debian_voices").rglob("*.flac")):
        if path.parent.name in unseen:
            found["prompts, a microphone each"][path.parent.name].append(path)
    return found


def hear(name: str, files: dict[str, list[Path]], model: Model) -> Corpus:
    """Every recording of at least two seconds of speech."""
    people = defaultdict(list)
    for who, paths in files.items():
        for path in paths:
            found = decode(path)
            candidate = examine_samples(found.samples, found.rate, path.name, model)
            if candidate.sound.active_seconds >= SPEECH_SECONDS:
                people[who].append(candidate.recording)
    return Corpus(name, dict(people))


def measured(corpus: Corpus, count: int) -> Row | None:
    """Enrol everybody with `count` recordings, again and again; None where fewer than five people have enough."""
    people = {who: each for who, each in corpus.people.items() if len(each) > count}
    if len(people) < 5:
        return None
    rng = np.random.default_rng(0)
    draws = [draw(people, count, rng) for _ in range(DRAWS)]
    means = np.array(draws).mean(axis=0)
    return Row(corpus.name, len(people), count, *means[:3], 1 / len(people), *means[3:])


def draw(people: dict[str, list[Recording]], count: int, rng: np.random.Generator) -> tuple[float, ...]:
    """EER by decision and by recording, recordings named right; missed, misnamed, let in."""
    enrolled, rest = [], []
    for who, recordings in people.items():
        order = rng.permutation(len(recordings))
        enrolled.append(Person(who, tuple(recordings[k] for k in order[:count])))
        rest.append([recordings[k].embeddings for k in order[count : count + 5]])
    centroids = np.array([heard(person.embeddings) for person in enrolled])
    by_decision = [np.concatenate([decided(each) @ centroids.T for each in mine]) for mine in rest]
    by_recording = [np.array([centroids @ heard(each) for each in mine]) for mine in rest]
    named = np.concatenate([scores.argmax(axis=1) == k for k, scores in enumerate(by_recording)]).mean()
    rates = (eer(by_decision), eer(by_recording), float(named))
    if count < 2:
        return (*rates, np.nan, np.nan, np.nan)
    threshold = calibrate(trials(enrolled), WANTED).threshold
    own = np.concatenate([scores[:, k] for k, scores in enumerate(by_decision)])
    other = np.concatenate([np.delete(scores, k, axis=1).max(axis=1) for k, scores in enumerate(by_decision)])
    right = (own >= threshold) & (own > other)
    return (
        *rates,
        float(1 - right.mean()),
        float(((other >= threshold) & ~right).mean()),
        float((other >= threshold).mean()),
    )


def eer(scores: Sequence[np.ndarray]) -> float:
    """Over pairs of something heard and a person."""
    own = np.concatenate([each[:, k] for k, each in enumerate(scores)])
    other = np.concatenate([np.delete(each, k, axis=1).ravel() for k, each in enumerate(scores)])
    return equal_error(own, other, np.ones(len(own)), np.ones(len(other)))


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [
        "| recordings of | people | enrolled with | EER, decisions | EER, recordings | nearest is right (chance) "
        "| at 5 %: missed | misnamed | strangers let in |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        known = [f"{value:.1%}" if np.isfinite(value) else "-" for value in (row.missed, row.misnamed, row.let_in)]
        lines.append(
            f"| {row.corpus} | {row.people} | {row.enrolled} | {row.eer:.1%} | {row.eer_recording:.1%} "
            f"| {row.named:.1%} ({row.chance:.1%}) | {known[0]} | {known[1]} | {known[2]} |"
        )
    return "\n".join(lines)


def checks_table(data: Path) -> str:
    """How many recordings of each folder are kept out, and why."""
    folders = {
        "libri_vctk_layout": ("speech", "*.flac"),
        "debian_voices": ("speech", "*.flac"),
        "tts_vctk_layout": ("speech, synthetic", "*.wav"),
        "music_fma_layout": ("music", "*.mp3"),
        "esc10": ("sounds", "*.ogg"),
    }
    lines = [
        "| folder | what | recordings over 2 s | kept out | as no speech | as noisy |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (what, pattern) in folders.items():
        found = [decode(path) for path in sorted((data / name).rglob(pattern))]
        sounds = [measure(each.samples, each.rate) for each in found]
        findings = [check_sound(sound) for sound in sounds if sound.seconds >= SPEECH_SECONDS]
        out = np.mean([any(each.grave for each in some) for some in findings])
        speech, noise = (
            np.mean([any(e.kind == kind and e.grave for e in some) for some in findings])
            for kind in ("speech", "noise")
        )
        lines.append(f"| {name} | {what} | {len(findings)} | {out:.1%} | {speech:.1%} | {noise:.1%} |")
    return "\n".join(lines)


def voices_table(data: Path, unseen: set[str], model: Model) -> str:
    """How many recordings with two voices are found, and how many with one are suspected."""
    readers: dict[str, list[Path]] = {}
    for name, files in corpora_of(data, unseen).items():
        readers |= files if name.startswith("readers") else {}
    digits = defaultdict(list)
    with open(data / "spoken_digits" / "speakers.csv", newline="") as file:
        for row in csv.DictReader(file):
            digits[row["speaker"]].append(data / "spoken_digits" / row["path"])
    lines = [
        "| recordings | seconds | one voice: suspected | kept out | two voices: suspected | kept out |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, files, seconds, times in (*(("readers", readers, k, 1) for k in (8, 12, 20)), ("digits", digits, 14, 10)):
        found = suspected(files, seconds, times, model)
        shares = [f"{suspects / count:.0%} of {count} | {out / count:.0%}" for count, suspects, out in found]
        lines.append(f"| {name} | {seconds} | {shares[0]} | {shares[1]} |")
    return "\n".join(lines)


def suspected(files: dict[str, list[Path]], seconds: int, times: int, model: Model) -> list[tuple[int, int, int]]:
    """Of recordings of one voice and of two: how many there were, were suspected, and kept out."""
    sounds = {who: [decode(path).samples for path in paths] for who, paths in files.items()}
    rng = np.random.default_rng(0)

    def some(who: str, share: float) -> np.ndarray:
        parts = [sounds[who][k] for k in rng.permutation(len(sounds[who]))]
        return np.concatenate(parts)[: round(share * seconds * 16_000)]

    counts = {False: [0, 0, 0], True: [0, 0, 0]}
    for who, two in [(each, both) for each in sounds for both in (False, True) for _ in range(times * (1 + both))]:
        other = str(rng.choice([each for each in sounds if each != who]))
        joined = np.concatenate([some(who, 0.5), some(other, 0.5)]) if two else some(who, 1.0)
        if len(joined) < 0.98 * seconds * 16_000:
            continue
        findings = check_voices(examine_samples(joined, 16_000, "", model).recording.embeddings, seconds)
        counts[two][0] += 1
        counts[two][1] += bool(findings)
        counts[two][2] += any(each.grave for each in findings)
    return [tuple(counts[False]), tuple(counts[True])]


def put(page: Path | None, name: str, text: str) -> None:
    """Between the page's two marks of this name, else on stdout."""
    if page is None:
        print(f"{name}\n{text}\n")
        return
    mark = f"<!-- {name} -->"
    before, _, after = page.read_text().split(mark)
    page.write_text(f"{before}{mark}\n{text}\n{mark}{after}")


if __name__ == "__main__":
    main()
