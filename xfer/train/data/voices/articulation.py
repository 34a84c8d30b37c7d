"""What a synthetic voice says: a random sentence as control tracks (formants, pitch, voicing, noise).

A sentence is a chain of parts (closure, burst, vowel, ...) with one target each. The tracks are the targets held for
the length of their part and smoothed: formants slowly, amplitudes fast. That alone gives the transitions into and out
of consonants by which speech is told from a row of tones: a formant is already moving while the lips are still closed.
Vowels: Peterson and Barney 1952, table II (men). Loci of consonants: Klatt 1980, table III, rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .dataset import Voice

Floats = NDArray[np.float64]

CONTROL_RATE = 400
"""Control values a second; a burst of 8 ms is three of them."""
VOWELS = (
    (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
    (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690),
)  # fmt: skip
"""F1, F2, F3 in Hz of a tract of 17.5 cm: heed hid head had hod hawed hood who'd hud heard."""
DIPHTHONGS = ((4, 1), (4, 6), (2, 1), (5, 1), (8, 6))
"""Glides between two of VOWELS: high, how, hay, boy, hoe."""


@dataclass(frozen=True)
class Part:
    """One stretch of a sentence with constant targets, before smoothing."""

    seconds: float
    formants: tuple[float, float, float]
    """F1, F2, F3 in Hz of a tract of 17.5 cm."""
    voicing: float = 0.0
    """Amplitude of the glottal pulses, 1 in a vowel."""
    aspiration: float = 0.0
    """Amplitude of noise made at the glottis (it passes the tract)."""
    frication: float = 0.0
    """Amplitude of noise made at a narrow place (it has its own spectrum)."""
    centre_hz: float = 4000.0
    """Middle of the frication's spectrum, of a tract of 17.5 cm."""
    width_octaves: float = 0.5
    """Spread (standard deviation) of the frication's spectrum."""
    nasal: float = 0.0
    """0 mouth only, 1 nose only."""
    pitch: float = 0.0
    """Semitones above the voice's median pitch."""


class Tracks(NamedTuple):
    """A sentence at CONTROL_RATE. Units as in `Part`, but formants and centre are those of the voice's own tract.

    Shapes: formants (n, 3), all others (n,).
    """

    formants: Floats
    voicing: Floats
    aspiration: Floats
    frication: Floats
    centre_hz: Floats
    width_octaves: Floats
    nasal: Floats
    f0_hz: Floats


class Place(NamedTuple):
    """Where the mouth narrows: targets of F1..F3 in Hz, the vowel's share in F2, the noise that is made there."""

    locus: tuple[float, float, float]
    yields: float
    centre_hz: float
    width_octaves: float


LIPS = Place((230, 900, 2150), 0.5, 900, 1.1)
RIDGE = Place((230, 1750, 2650), 0.25, 4300, 0.5)
VELUM = Place((230, 2000, 2250), 0.6, 2000, 0.35)
SIBILANT = Place((320, 1650, 2600), 0.25, 6000, 0.3)
HUSHING = Place((300, 1900, 2450), 0.25, 3200, 0.35)
LIP_TEETH = Place((330, 1150, 2100), 0.4, 5500, 1.2)
GLIDES = ((290, 610, 2150), (260, 2070, 3020), (310, 1050, 2880), (310, 1060, 1380))
"""w y l r"""


def plosive(place: Place, vowel: tuple[float, ...], voiced: bool, stretch: float) -> list[Part]:
    """p t k b d g: closure, burst, and without voice a breath before the vowel."""
    locus = toward(place, vowel)
    closure = Part((0.045 if voiced else 0.065) * stretch, locus, voicing=0.12 if voiced else 0.0)
    burst = Part(0.009, locus, 0.15 if voiced else 0.0, 0.1, 0.75, place.centre_hz, place.width_octaves)
    breath = Part(0.04 * stretch, midway(locus, vowel), aspiration=0.5, frication=0.06, centre_hz=place.centre_hz)
    return [closure, burst] if voiced else [closure, burst, breath]


def fricative(place: Place, vowel: tuple[float, ...], voiced: bool, stretch: float) -> list[Part]:
    """s sh f z zh v."""
    loudness = 0.12 if place is LIP_TEETH else 0.5
    seconds, voicing = (0.07, 0.35) if voiced else (0.105, 0.0)
    noise = loudness * (0.5 if voiced else 1.0)
    locus = toward(place, vowel)
    return [Part(seconds * stretch, locus, voicing, 0.03, noise, place.centre_hz, place.width_octaves)]


def nasal(place: Place, vowel: tuple[float, ...], stretch: float) -> list[Part]:
    """M n ng: voice through the nose."""
    return [Part(0.065 * stretch, toward(place, vowel), voicing=0.55, nasal=1.0)]


def toward(place: Place, vowel: tuple[float, ...]) -> tuple[float, float, float]:
    """The consonant's targets beside this vowel: coarticulation, the tongue is already on its way."""
    f1, f2, f3 = place.locus
    return f1, f2 + place.yields * (vowel[1] - f2), f3 + 0.3 * (vowel[2] - f3)


def midway(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, float, float]:
    """The targets half-way between two."""
    return (first[0] + second[0]) / 2, (first[1] + second[1]) / 2, (first[2] + second[2]) / 2


def consonant(vowel: tuple[float, ...], stretch: float, rng: np.random.Generator) -> list[Part]:
    """One random consonant beside `vowel`; `stretch` is the voice's slowness (1 is 4.5 syllables a second)."""
    kind = rng.random()
    voiced = bool(rng.random() < 0.5)
    pick = int(rng.integers(3))
    if kind < 0.42:
        return plosive((LIPS, RIDGE, VELUM)[pick], vowel, voiced, stretch)
    if kind < 0.62:
        return fricative((SIBILANT, HUSHING, LIP_TEETH)[pick], vowel, voiced, stretch)
    if kind < 0.80:
        return nasal((LIPS, RIDGE, VELUM)[pick], vowel, stretch)
    if kind < 0.95:
        return [Part(0.06 * stretch, GLIDES[int(rng.integers(4))], voicing=0.65)]
    return [Part(0.06 * stretch, midway(vowel, vowel), aspiration=0.4)]  # h: the breath already has the vowel's shape


def syllable(voice: Voice, stress: float, last: bool, rng: np.random.Generator) -> list[Part]:
    """Consonant, vowel or diphthong, sometimes a consonant after it; `stress` 0 to 1, the last of a phrase longer."""
    stretch = 4.5 / voice.syllables_per_second
    gliding = rng.random() < 0.25
    way = DIPHTHONGS[int(rng.integers(len(DIPHTHONGS)))] if gliding else (int(rng.integers(len(VOWELS))),)
    targets = [accented(voice, vowel) for vowel in way]
    parts = consonant(targets[0], stretch, rng) if rng.random() < 0.9 else []
    after = consonant(targets[-1], stretch, rng) if rng.random() < 0.3 else []
    spent = sum(part.seconds for part in parts + after)
    length = max(1 / voice.syllables_per_second - spent, 0.055) * (0.75 + 0.5 * stress) * (1.5 if last else 1.0)
    loudness = 10 ** ((-7.0 + 7.0 * stress + rng.normal(0, 1.0)) / 20)
    vowel = [Part(length / len(targets), target, voicing=loudness, nasal=voice.nasality) for target in targets]
    return parts + vowel + after


def accented(voice: Voice, vowel: int) -> tuple[float, float, float]:
    """This voice's own targets of a vowel: how wide it opens its vowel space, and its accent."""
    f1, f2, f3 = VOWELS[vowel]
    own1, own2 = voice.accent[vowel]
    # 500 and 1500 Hz are the neutral tube's; a small vowel space lies close around them.
    return 500 * (f1 / 500) ** voice.vowel_space * own1, 1500 * (f2 / 1500) ** voice.vowel_space * own2, float(f3)


def sentence(voice: Voice, seconds: float, rng: np.random.Generator) -> list[Part]:
    """Random phrases of random syllables with pauses between, about `seconds` long."""
    neutral = (500.0, 1500.0, 2500.0)
    parts = [Part(min(rng.uniform(0.04, 0.15), 0.05 * seconds), neutral)]
    total = parts[0].seconds
    while True:
        fitting = int((seconds - 0.05 - total) * voice.syllables_per_second - 0.8)
        count = min(int(rng.integers(4, 11)), fitting)
        if count < 2 and len(parts) > 1:
            return parts
        count = max(count, 1)
        fall = rng.normal(voice.final_semitones, 0.7)
        for index in range(count):
            along = index / max(count - 1, 1)
            stress = float(rng.beta(0.8, 0.8))
            last = index == count - 1
            # The phrase sinks from above to below the median; stress lifts the pitch; the end falls or rises.
            pitch = voice.intonation_semitones * (0.35 - 0.8 * along + 0.75 * (stress - 0.3) + rng.normal(0, 0.12))
            pitch += fall if last else 0.0
            for part in syllable(voice, stress, last, rng):
                parts.append(Part(**{**part.__dict__, "pitch": pitch}))
                total += part.seconds
        pause = Part(voice.pause_seconds * rng.uniform(0.5, 1.5), neutral)
        parts.append(pause)
        total += pause.seconds


def tracks(voice: Voice, seconds: float, rng: np.random.Generator) -> Tracks:
    """The control tracks of one random sentence, n = ceil(seconds * CONTROL_RATE) values long."""
    frames = int(np.ceil(seconds * CONTROL_RATE))
    parts = sentence(voice, seconds, rng)
    ends = np.minimum(np.round(np.cumsum([part.seconds for part in parts]) * CONTROL_RATE).astype(int), frames)
    ends[-1] = frames  # silence to the end; a sentence that is longer is cut
    which = np.searchsorted(ends, np.arange(frames), side="right")

    def hold(values: list[float], smooth_seconds: float) -> Floats:
        return smooth(np.array(values)[which], smooth_seconds)

    scale = voice.formant_scale
    formants = [hold([part.formants[k] for part in parts], 0.07) * scale for k in range(3)]
    # A constriction is small against the whole mouth: its noise follows the tract's length only in part.
    centre = np.array([part.centre_hz for part in parts])[which] * voice.sibilant_ratio * scale**0.5
    spoken = hold([part.pitch for part in parts], 0.16) + smooth(rng.normal(0, 2.0, frames), 0.12)
    limit = voice.intonation_semitones
    return Tracks(
        np.stack(formants, axis=1),
        hold([part.voicing for part in parts], 0.025),
        hold([part.aspiration for part in parts], 0.02),
        hold([part.frication for part in parts], 0.0125),
        centre,
        np.array([part.width_octaves for part in parts])[which],
        hold([part.nasal for part in parts], 0.03),
        voice.f0_hz * 2 ** (np.clip(spoken, -limit, limit) / 12),
    )


def smooth(values: Floats, seconds: float) -> Floats:
    """Moving mean under a Hann window of `seconds`; the edges are held, the length kept."""
    half = max(int(seconds * CONTROL_RATE / 2), 1)
    kernel = np.hanning(2 * half + 3)[1:-1]
    return np.convolve(np.pad(values, half, mode="edge"), kernel / kernel.sum(), mode="valid")
