"""Embedded audio: SYNTHETIC voices, so that `xfer train` needs no download and the tests no recordings.

What makes a voice is what makes one in people: pitch and how it moves, length of the vocal tract, the upper resonances
that no vowel moves, how the glottis opens and leaks, accent, pace. What does not make a voice is drawn anew for every
clip: the words, the level, the room, the noise behind, the tilt of the microphone. So a net can tell the voices apart
only by the voice. These are no people: `README_TEXT` says what they cannot show.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from xfer.runtime.errors import NotThere, Unusable

from .articulation import VOWELS, tracks
from .room import recorded
from .vocal_tract import Singles, sound

VERSION = 1
"""Raised whenever the same seed gives other samples, so that a cache of older voices is made anew."""
MARKER = "voices.json"
NEUTRAL_CM = 17.5
"""The tract whose neutral resonances are 500, 1500, 2500 ... Hz."""
GOLDEN, ROOT = (5**0.5 - 1) / 2, 3**0.5 - 1
SPLITS = ("train", "validation", "test")
README_TEXT = """SYNTHETIC voices, made by xfer from formulas (source-filter synthesis). No person speaks here.

One folder a voice; files.csv lists path, speaker, split. A sentence occurs once: no voice shares one with another
voice, no split with another split. Every clip has its own words, level, room, noise and microphone tilt.

What they can show: that training, export, parity, verification and listening work from end to end.
What they cannot show: how well any net recognises people. The syllables are no language; a voice never has a cold,
ages, shouts, or speaks on another day; the clips hold no other talkers, music or traffic; the voices lie further
apart than people do. An accuracy on them is no accuracy on speech.
"""


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker."""

    name: str
    """Folder and label: voice01, voice02, ..."""
    seed: int
    """With the number of the sentence, decides what is said and where."""
    f0_hz: float
    """Median pitch."""
    intonation_semitones: float
    """How far the pitch goes up and down from the median, at most."""
    final_semitones: float
    """How far the pitch falls (or rises) on the last syllable of a phrase."""
    tract_cm: float
    """Length of the vocal tract: all resonances scale with 17.5 / tract_cm."""
    upper_ratios: tuple[float, ...]
    """F4, F5, ... as ratios to those of an even tube of this length: what is fixed in a throat."""
    bandwidth_ratio: float
    """Width of the lower resonances; 1 is an average male voice."""
    vowel_space: float
    """How far the vowels lie from the neutral one (exponent; 1 is Peterson and Barney's men)."""
    accent: tuple[tuple[float, float], ...]
    """A ratio for F1 and F2 of each vowel."""
    nasality: float
    """0 to 1: how open the nose stays in vowels."""
    sibilant_ratio: float
    """Where s and sh hiss, as a ratio."""
    open_quotient: float
    """Share of the glottal cycle during which the glottis is open: pressed 0.4, lax 0.8."""
    tilt_hz: float
    """Corner of the glottal low-pass: soft 600, bright 4000."""
    breath_db: float
    """Level of the breath in voiced sounds, -36 clear to -15 husky, of an open vowel."""
    jitter: float
    """Mean difference between neighbouring periods over the period; 0.01 is hoarse."""
    shimmer: float
    """Spread of the logarithm of the pulses' amplitudes."""
    syllables_per_second: float
    """Pace within a phrase."""
    pause_seconds: float
    """Mean pause between phrases."""

    @property
    def formant_scale(self) -> float:
        """Ratio of this tract's resonances to those of 17.5 cm."""
        return NEUTRAL_CM / self.tract_cm

    @property
    def f0_range_hz(self) -> tuple[float, float]:
        """Lowest and highest pitch in Hz, jitter aside."""
        factor = 2 ** (self.intonation_semitones / 12)
        return self.f0_hz / factor, self.f0_hz * factor


def voices(count: int = 16, seed: int = 0) -> list[Voice]:
    """`count` voices, far from each other in pitch and tract; the first n of more voices are the same n.

    Pitch and tract follow an additive recurrence (golden ratio, root of 3), which keeps any number of first points
    spread; everything else is drawn. The tract shortens as the pitch rises, as in people, but not strictly.

    >>> [voice.name for voice in voices(2)]
    ['voice01', 'voice02']
    """
    if not 1 <= count <= 999:
        raise Unusable(f"{count} synthetic voices cannot be made: ask for 1 to 999")
    if seed < 0:
        raise Unusable(f"seed {seed} cannot be used: take 0 or more")
    start = np.random.default_rng([seed, VERSION]).random(2)
    return [_voice(index, seed, (start + (index + 1) * np.array([GOLDEN, ROOT])) % 1) for index in range(count)]


def _voice(index: int, seed: int, place: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Voice:
    rng = np.random.default_rng([seed, VERSION, index])

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    pitch, size = float(place[0]), float(place[1])
    rough = rng.random()
    soft = rng.random()
    return Voice(
        name=f"voice{index + 1:02d}",
        seed=seed * 1000 + index,
        f0_hz=78.0 * (290.0 / 78.0) ** pitch,
        intonation_semitones=between(2.5, 6.0),
        final_semitones=between(-3.5, 1.5),
        tract_cm=18.4 - 2.6 * pitch + 3.6 * (size - 0.5),
        upper_ratios=tuple(float(x) for x in rng.uniform(0.93, 1.07, 6)),
        bandwidth_ratio=between(0.8, 1.6),
        vowel_space=between(0.75, 1.15),
        accent=tuple((float(a), float(b)) for a, b in np.exp(rng.normal(0, 0.07, (len(VOWELS), 2)))),
        nasality=between(0.0, 0.5) if rng.random() < 0.5 else 0.0,
        sibilant_ratio=between(0.8, 1.2),
        open_quotient=0.45 + 0.35 * soft,
        tilt_hz=4000.0 * (700.0 / 4000.0) ** (0.7 * soft + 0.3 * rng.random()),
        breath_db=-36.0 + 21.0 * rng.random() ** 1.5,
        jitter=0.002 + 0.010 * rough**2,
        shimmer=0.02 + 0.10 * rough**2,
        syllables_per_second=between(3.4, 6.2),
        pause_seconds=between(0.12, 0.4),
    )


def utter(voice: Voice, sentence: int, seconds: float = 4.0, rate: int = 16000) -> Singles:
    """Sentence number `sentence` (0, 1, ...) of a voice, recorded somewhere; peak at most 0.9.

    The same arguments give the same samples on the same processor and packages.
    Shape: float32 (round(seconds * rate),). Raises Unusable for a length or rate that holds no speech.
    """
    if not 0.25 <= seconds <= 600 or not 8000 <= rate <= 96000:
        raise Unusable(f"no synthetic speech of {seconds} s at {rate} Hz: ask for 0.25 to 600 s at 8000 to 96000 Hz")
    if sentence < 0:
        raise Unusable(f"sentence {sentence} does not exist: they are numbered 0, 1, ...")
    words, breath, place = (np.random.default_rng([VERSION, voice.seed, sentence, stream]) for stream in range(3))
    samples = round(seconds * rate)
    return recorded(sound(voice, tracks(voice, seconds, words), samples, rate, breath), rate, place)


def split_of(sentence: int, sentences: int) -> str:
    """train, validation or test; of 14 sentences 10, 2 and 2, of any three or more at least one each."""
    held = max(1, round(sentences / 7))
    return SPLITS[0 if sentence < sentences - 2 * held else 1 if sentence < sentences - held else 2]


def write_voices(
    folder: Path | str, count: int = 16, sentences: int = 14, seconds: float = 4.0, rate: int = 16000, seed: int = 0
) -> Path:
    """The voices as a data set: voice01/voice01_001.wav (PCM 16 bit), files.csv (path, speaker, split), README.txt.

    Clips are `seconds` long, give or take 0.2 s. A folder that already holds exactly this is left as it is; one made by
    another version or with other numbers is replaced; one that holds something else is refused. It appears whole or not
    at all: the clips are written to a folder beside it, which is then renamed. Returns `folder`.
    Raises Unusable (numbers, foreign folder), NotThere (no space, no right to write).
    """
    folder = Path(folder)
    if sentences < 3:
        raise Unusable(f"{sentences} sentences a voice cannot be split: ask for 3 or more")
    numbers = {"voices": count, "sentences": sentences, "seconds": seconds, "rate": rate, "seed": seed}
    wanted = {"version": VERSION, **numbers}
    if is_complete(folder, wanted):
        return folder
    if folder.exists() and not (folder / MARKER).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise Unusable(f"{folder} holds something else than synthetic voices: name another folder, or remove it")
    speakers = voices(count, seed)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _fill(draft, speakers, wanted)
            _put_in_place(draft, folder, wanted)
        finally:  # also after Ctrl-C: nothing half-made stays
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            need = count * sentences * seconds * rate * 2 / 1e6
            raise NotThere(f"no space for the synthetic voices in {folder.parent}: free {need:.0f} MB") from error
        raise NotThere(f"cannot write the synthetic voices to {folder}: {error.strerror or error}") from error
    return folder


def is_complete(folder: Path, wanted: dict[str, float]) -> bool:
    """Does the folder hold these voices, every file at its full size?"""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        sizes = marker.pop("bytes")
        return marker == wanted and all((folder / path).stat().st_size == size for path, size in sizes.items())
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return False  # not there, or not as we write it: made anew


def _fill(draft: Path, speakers: list[Voice], wanted: dict[str, float]) -> None:
    """Write all clips and the lists; the marker last."""
    sentences, seconds, rate = int(wanted["sentences"]), wanted["seconds"], int(wanted["rate"])
    rows = []
    for voice in speakers:
        (draft / voice.name).mkdir()
        for sentence in range(sentences):
            length = seconds + np.random.default_rng([voice.seed, sentence]).uniform(-0.2, 0.2) * min(1.0, seconds / 4)
            clip = io.BytesIO()  # through memory: a full disk is then an OSError with its number
            soundfile.write(clip, utter(voice, sentence, length, rate), rate, format="WAV", subtype="PCM_16")
            path = f"{voice.name}/{voice.name}_{sentence + 1:03d}.wav"
            (draft / path).write_bytes(clip.getvalue())
            rows.append((path, voice.name, split_of(sentence, sentences)))
    with open(draft / "files.csv", "w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("path", "speaker", "split"))
        writer.writerows(rows)
    (draft / "README.txt").write_text(README_TEXT, encoding="utf-8")
    sizes = {path: (draft / path).stat().st_size for path in ("files.csv", "README.txt", *(row[0] for row in rows))}
    (draft / MARKER).write_text(json.dumps({**wanted, "bytes": sizes}) + "\n", encoding="utf-8")


def _put_in_place(draft: Path, folder: Path, wanted: dict[str, float]) -> None:
    """Rename the finished draft; where another process was faster with the same voices, keep those."""
    draft.chmod(0o755)  # mkdtemp makes it private
    if folder.exists() and not is_complete(folder, wanted):
        old = draft.with_name(f"{draft.name}-old")
        with contextlib.suppress(FileNotFoundError):  # another process took it away first
            folder.replace(old)
        shutil.rmtree(old, ignore_errors=True)
    try:
        draft.replace(folder)
    except OSError:
        if not is_complete(folder, wanted):
            raise


def _remove_leftovers(folder: Path) -> None:
    """Drafts of runs that were killed outright, an hour old or more."""
    for draft in folder.parent.glob(f".{folder.name}-*"):
        if draft.is_dir() and time.time() - draft.stat().st_mtime > 3600:
            shutil.rmtree(draft, ignore_errors=True)
