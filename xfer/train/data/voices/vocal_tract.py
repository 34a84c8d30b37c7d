"""Source-filter synthesis: control tracks -> the sound of one voice.

One grain a glottal cycle: its spectrum is the glottal pulse times the tract's resonances at that moment, its place in
time a phase. So pulses fall between samples, nothing aliases, and all grains are computed at once (a pulse train
through time-varying filters needs oversampling for the first two, and a call a frame). Noise is grains too: breath
inside every cycle, aspiration and frication every 5 ms.
Glottal pulse: the causal-anticausal linear model (Doval, d'Alessandro, Henrich 2003): the open phase is a resonance
that runs backwards from the moment of closure. Tract: a cascade of resonances (Fant 1960), of which F1 to F3 move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .articulation import CONTROL_RATE, Floats, Tracks

if TYPE_CHECKING:
    from .dataset import Voice

Singles = NDArray[np.float32]
Complexes = NDArray[np.complex64]

GRAIN_SECONDS = 0.042
"""Length of a grain: 14 ms before the closure, 28 ms after; a resonance 80 Hz wide has died by 60 dB then."""
NOISE_HOP_SECONDS = 0.005
"""Step between grains of aspiration and frication."""
BREATH_SECONDS = 0.006
"""Length of the burst of breath in a glottal cycle."""
DELAYS = 64
"""Places of a pulse between two samples."""
PULSE, BREATH, ASPIRATION, FRICATION = 500.0, 6.3, 0.13, 1.33
"""Factors that bring the sources at amplitude 1 to 0 (both of the vowel), -10 and -4 dB RMS of an open vowel."""


def sound(voice: Voice, score: Tracks, samples: int, rate: int, rng: np.random.Generator) -> Singles:
    """The dry sound (no room) of the control tracks: float32 (samples,), level arbitrary."""
    throat = Throat(voice, rate)
    before = throat.before
    out = np.zeros(samples + 2 * throat.size, np.float32)
    at, gains = pulses(voice, score, rng)
    if len(at):
        position = at * rate
        whole = np.floor(position).astype(int)
        overlap_add(out, throat.voiced(score, at, gains, position - whole, rng), whole)
    at = np.arange(0.0, samples / rate, NOISE_HOP_SECONDS)
    at = at[np.maximum(at_times(score.aspiration, at), at_times(score.frication, at)) > 1e-3]
    if len(at):
        overlap_add(out, throat.unvoiced(score, at, rng), (at * rate).astype(int))
    return out[before : before + samples]


def pulses(voice: Voice, score: Tracks, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Moments of glottal closure in seconds and their amplitudes, (pulses,) each: jittered turns of the pitch."""
    turns = np.concatenate([[0.0], np.cumsum(score.f0_hz / CONTROL_RATE)])
    count = int(turns[-1])
    at = np.interp(np.arange(count) + 0.5, turns, np.arange(len(turns)) / CONTROL_RATE)
    # Jitter is the mean difference of neighbouring periods over the period: a shift of s at every pulse makes
    # differences of shift1 - 2 shift2 + shift3, whose mean size is 1.95 s.
    at = at + rng.normal(0, voice.jitter / 1.95, count) / np.maximum(at_times(score.f0_hz, at), 1.0)
    gains = at_times(score.voicing, at) * np.exp(rng.normal(0, voice.shimmer, count))
    heard = (gains > 1e-3) & (at > 0)
    return at[heard], gains[heard]


def at_times(track: Floats, seconds: Floats) -> Floats:
    """The track's values at these moments."""
    return np.interp(seconds, np.arange(len(track)) / CONTROL_RATE, track)


def overlap_add(out: Singles, grains: Singles, starts: NDArray[np.int_]) -> None:
    """Add grains (g, size) into `out` at `starts` (g,); what stands beyond the end is dropped."""
    size = grains.shape[1]
    for grain, start in zip(grains, starts.tolist(), strict=True):
        if start + size <= len(out):
            out[start : start + size] += grain


class Throat:
    """What of a voice does not change within a sentence, as spectra over the `bins` frequencies of a grain."""

    def __init__(self, voice: Voice, rate: int) -> None:
        self.voice = voice
        self.rate = rate
        self.size = 6 * round(GRAIN_SECONDS * rate / 6)
        self.before = self.size // 3
        hertz = np.fft.rfftfreq(self.size, 1 / rate)
        self.hertz = hertz.astype(np.float32)
        self.octaves = np.log2(np.maximum(hertz, 50.0)).astype(np.float32)
        # The upper resonances of a tube closed at one end, as far up as they still shape what is heard.
        upper = np.ones(len(hertz), complex)
        for number in range(4, 25):
            centre = (2 * number - 1) * 500.0 * voice.formant_scale
            centre *= voice.upper_ratios[number - 4] if number - 4 < len(voice.upper_ratios) else 1.0
            upper *= 1 - (hertz / centre) ** 2 + 1j * hertz * (60 + 0.045 * centre) / centre**2
        high_pass = 1 / (1 + (60.0 / np.maximum(hertz, 1.0)) ** 4)
        self.high_pass = high_pass.astype(np.float32)
        self.upper = (high_pass / upper).astype(np.complex64)
        # Folds that close softly are a low-pass of first order; jw makes the flow's derivative, which leaves the lips.
        self.glottis = (2j * np.pi * hertz / (1 + 1j * hertz / voice.tilt_hz)).astype(np.complex64)
        delay = self.before + np.arange(DELAYS)[:, None] / DELAYS
        self.delays = np.exp(-2j * np.pi * hertz / rate * delay).astype(np.complex64)

    def poles(self, centre: Floats, width: Floats) -> Complexes:
        """1 over a resonance at `centre` Hz, `width` Hz wide (g,), of gain 1 at 0 Hz: (g, bins)."""
        out = np.empty((len(centre), len(self.hertz)), np.complex64)
        square = -1.0 / centre**2
        np.multiply(square.astype(np.float32)[:, None], self.hertz**2, out=out.real)
        out.real += np.float32(1.0)
        np.multiply((-square * width).astype(np.float32)[:, None], self.hertz, out=out.imag)
        return out

    def tract(self, score: Tracks, at: Floats, open_hz: float = 0.0) -> Complexes:
        """1 over F1 F2 F3 and the nose at these moments: (g, bins). An open glottis widens F1 by `open_hz`.

        One division at the end instead of one a resonance: it is the dearest operation here.
        """
        closed = np.ones(1, np.complex64)
        for k, width in enumerate((65.0, 80.0, 120.0)):
            centre = at_times(score.formants[:, k], at)
            spread = width * self.voice.bandwidth_ratio * np.maximum(centre / (500, 1500, 2500)[k], 0.8) ** 0.5
            found = self.poles(centre, spread + (open_hz if k == 0 else 0.0))
            closed = found if k == 0 else np.multiply(closed, found, out=closed)
        nasal = at_times(score.nasal, at)
        some = np.flatnonzero(nasal > 0.01)
        if len(some):  # a pole and a zero that cancel while the nose is shut and part as it opens
            scale = self.voice.formant_scale**0.5
            wide = np.full(len(some), 100.0)
            pole = self.poles(np.full(len(some), 270.0 * scale), wide)
            zero = self.poles((270.0 + 330.0 * nasal[some]) * scale, wide)
            closed[some] *= pole / zero * (1 + nasal[some]).astype(np.float32)[:, None]
        return closed

    def voiced(self, score: Tracks, at: Floats, gains: Floats, fraction: Floats, rng: np.random.Generator) -> Singles:
        """Grains (g, size) of glottal cycles that close at `at`, `fraction` of a sample after the grain's place."""
        period = 1 / at_times(score.f0_hz, at)
        opened = self.voice.open_quotient * period
        # The flow while open is sin(pi t / opened) under a growing exponential, cut off at the closure: two poles
        # run backwards (conjugated). 0.7: the flow rises for 0.7 of the open phase.
        growth = -1 / (opened * np.tan(np.pi * 0.7))
        centre = 0.5 / opened
        flow = np.conj(self.poles(centre, growth))
        # Divided by the square of its own centre: the slope at closure is then the same at any pitch.
        source = self.glottis * (gains * PULSE / centre**2).astype(np.float32)[:, None]
        # Noise adds by power: one burst a cycle must weigh as the root of the period for the same loudness.
        loudness = BREATH * gains * 10 ** (self.voice.breath_db / 20) * np.sqrt(period)
        source += self.noise(len(at), BREATH_SECONDS, rng) * flow * loudness.astype(np.float32)[:, None]
        source *= self.upper
        flow *= self.tract(score, at)
        source /= flow
        source *= self.delays[(fraction * DELAYS).astype(int)]
        return self.grains(source)

    def unvoiced(self, score: Tracks, at: Floats, rng: np.random.Generator) -> Singles:
        """Grains (g, size) of aspiration and frication at these moments."""
        aspirated = at_times(score.aspiration, at).astype(np.float32)[:, None]
        hissed = at_times(score.frication, at).astype(np.float32)[:, None]
        frame = np.minimum((at * CONTROL_RATE).astype(int), len(score.centre_hz) - 1)
        centre = np.log2(score.centre_hz[frame]).astype(np.float32)[:, None]
        width = score.width_octaves[frame].astype(np.float32)[:, None]
        shape = np.exp(np.float32(-0.5) * ((self.octaves - centre) / width) ** 2) + np.float32(0.03)
        through = self.upper * (ASPIRATION * aspirated) / self.tract(score, at, open_hz=150.0)
        through += shape * (FRICATION * self.high_pass * hissed)
        through *= self.noise(len(at), 2 * NOISE_HOP_SECONDS, rng)
        through *= self.delays[0]
        return self.grains(through)

    def noise(self, count: int, seconds: float, rng: np.random.Generator) -> Complexes:
        """Spectra of short bursts of white noise under a Hann window that starts at 0: (count, bins)."""
        length = max(round(seconds * self.rate), 4)
        burst = rng.standard_normal((count, length), np.float32)
        burst *= np.hanning(length + 2)[1:-1].astype(np.float32)
        return np.asarray(scipy.fft.rfft(burst, self.size, axis=1), np.complex64)

    def grains(self, spectra: Complexes) -> Singles:
        """Spectra (g, bins) -> samples (g, size)."""
        return np.asarray(scipy.fft.irfft(spectra, self.size, axis=1, overwrite_x=True), np.float32)
