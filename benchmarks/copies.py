"""Copies of one sound: how many are found after which change, what else is called a copy, and what it costs.

    python benchmarks/copies.py --data DIR [--only NAME...]      writes docs/benchmarks.md between its markers

`DIR` holds folders of recordings. The limits of `xfer.train.data.copies` were chosen on `CHOSEN_ON`; of the others the
table says what was seen of them. The rival that judges what is found among untouched recordings is brute force: every
pair of a folder is correlated at every lag, at 4 kHz, by code that shares nothing with xfer's.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from xfer.runtime.audio import SUFFIXES, Samples, decode
from xfer.train.data.copies import find_copies, fingerprint
from xfer.train.data.copies.candidates import candidates
from xfer.train.data.copies.prints import Print

REPORT = Path("docs/benchmarks.md")
MARKER = "<!-- copies -->"
CHOSEN_ON = ("debian_voices", "esc10", "tts_vctk_layout")
MEASURED_ON = ("spoken_digits", "libri_vctk_layout", "music_fma_layout", "wake_words")
CLIPS = 50
"""Clips of a folder that are changed."""
BESIDE = 200
"""Clips of the folder, these among them, beside which the copies are put."""
SHOWN = 20
"""Pairs that only brute force calls alike, the likest, that are printed."""
ALIKE = 0.5
"""Correlation over the overlap from which brute force calls two clips one sound."""
OVERLAP = 0.8
"""Energy of the clip of which more lies within the other that brute force asks of a lag."""

Sound = tuple[Samples, int]


def in_16_bits(samples: Samples) -> Samples:
    """Samples as a 16-bit file holds them."""
    return (np.round(np.clip(samples, -1, 32767 / 32768) * 32768) / 32768).astype(np.float32)


def gain(decibels: float) -> Callable[[Sound], Sound]:
    """Louder or quieter, in 16 bits."""
    return lambda sound: (in_16_bits(sound[0] * np.float32(10 ** (decibels / 20))), sound[1])


def clip_peaks(sound: Sound) -> Sound:
    """Twice as loud as full scale, cut off there."""
    return in_16_bits(sound[0] / max(float(np.abs(sound[0]).max()), 1e-9) * 2), sound[1]


def shift(seconds: float) -> Callable[[Sound], Sound]:
    """Digital silence first; the end is lost."""

    def shifted(sound: Sound) -> Sound:
        samples, rate = sound
        late = np.concatenate([np.zeros(round(seconds * rate), np.float32), samples])
        return late[: len(samples)], rate

    return shifted


def cut(share: float, seconds: float) -> Callable[[Sound], Sound]:
    """A share of the length and some seconds cut off both ends."""

    def shorter(sound: Sound) -> Sound:
        samples, rate = sound
        off = round(share * len(samples) + seconds * rate)
        return samples[off : len(samples) - off], rate

    return shorter


def coded(form: str, subtype: str, level: float | None = None) -> Callable[[Sound], Sound]:
    """Through a lossy codec."""

    def through(sound: Sound) -> Sound:
        samples, rate = sound
        if subtype == "OPUS" and rate not in (8000, 16000, 48000):
            samples, rate = soxr.resample(samples, rate, 48000), 48000
        file = io.BytesIO()
        with soundfile.SoundFile(file, "w", rate, 1, subtype, format=form, compression_level=level) as written:
            for first in range(0, len(samples), 4096):
                written.write(np.clip(samples[first : first + 4096], -1, 1))
        file.seek(0)
        decoded, rate = soundfile.read(file, dtype="float32")
        return np.asarray(decoded, dtype=np.float32), rate

    return through


def resampled(rate: int) -> Callable[[Sound], Sound]:
    """At another rate."""
    return lambda sound: (soxr.resample(sound[0], sound[1], rate), rate)


def noisy(decibels: float) -> Callable[[Sound], Sound]:
    """White noise this much below the clip's level."""

    def noise(sound: Sound) -> Sound:
        level = float(np.sqrt(np.mean(sound[0] ** 2))) * 10 ** (-decibels / 20)
        return sound[0] + np.random.default_rng(0).normal(0, level, len(sound[0])).astype(np.float32), sound[1]

    return noise


CHANGES: dict[str, Callable[[Sound], Sound]] = {
    "none": lambda sound: sound,
    "-6 dB": gain(-6),
    "-20 dB": gain(-20),
    "6 dB over full scale, clipped": clip_peaks,
    "40 ms later": shift(0.04),
    "300 ms later": shift(0.3),
    "100 ms cut off both ends": cut(0, 0.1),
    "the middle 70 %": cut(0.15, 0),
    "MP3": coded("MP3", "MPEG_LAYER_III"),
    "MP3, small": coded("MP3", "MPEG_LAYER_III", 0.9),
    "Vorbis": coded("OGG", "VORBIS"),
    "Opus": coded("OGG", "OPUS"),
    "at 8 kHz": resampled(8000),
    "at 22.05 kHz": resampled(22050),
    "white noise at 30 dB": noisy(30),
    "upside down": lambda sound: (-sound[0], sound[1]),
    "-10 dB, 70 ms cut, MP3": lambda sound: coded("MP3", "MPEG_LAYER_III")(cut(0, 0.07)(gain(-10)(sound))),
}


def clips_of(folder: Path) -> list[tuple[str, Sound]]:
    """Name and sound of every recording of a folder."""
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix in SUFFIXES and "_background_noise_" not in str(path)
    )
    read = ((path, decode(path)) for path in paths)
    return [(str(path.relative_to(folder)), (recording.samples, recording.rate)) for path, recording in read]


def recall(clips: list[tuple[str, Sound]]) -> dict[str, float]:
    """Share of `CLIPS` clips whose changed copy is found among `BESIDE` clips of the folder, for each change."""
    clips = [clips[index] for index in np.random.default_rng(1).permutation(len(clips))[:BESIDE]]
    chosen = range(min(CLIPS, len(clips)))
    prints = [fingerprint(*sound) for _, sound in clips]
    found = {}
    for name, change in CHANGES.items():
        copies = [change(clips[index][1]) for index in chosen]
        sounds = [sound for _, sound in clips] + copies
        groups = find_copies(prints + [fingerprint(*sound) for sound in copies], sounds.__getitem__)
        together = {index: number for number, group in enumerate(groups) for index in group}
        hit = [together.get(index, -1) == together.get(len(clips) + n, -2) for n, index in enumerate(chosen)]
        found[name] = float(np.mean(hit))
    return found


def brute_force(clips: list[tuple[str, Sound]]) -> list[tuple[int, int, float]]:
    """Pairs whose correlation over the overlap, at the lag where it is largest, is at least ALIKE; and that value."""
    rate = 4000
    waves = [
        np.diff(soxr.resample(samples, from_rate, rate)).astype(np.float32)
        for samples, from_rate in (s for _, s in clips)
    ]
    spectra: dict[tuple[int, int], npt.NDArray[np.complex64]] = {}

    def spectrum(index: int, size: int) -> npt.NDArray[np.complex64]:
        if (index, size) not in spectra:
            spectra[index, size] = np.fft.rfft(waves[index], size).astype(np.complex64)
        return spectra[index, size]

    energy = [np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))]) for wave in waves]
    found = []
    for one in range(len(waves)):
        for other in range(one + 1, len(waves)):
            whole = np.sqrt(energy[one][-1] * energy[other][-1])
            size = 1 << (len(waves[one]) + len(waves[other]) - 1).bit_length()
            product = np.abs(np.fft.irfft(np.conj(spectrum(one, size)) * spectrum(other, size), size))
            least = min(energy[one][-1], energy[other][-1])
            # Most pairs are settled by the largest product: no overlap can lift it over the limit.
            if least <= 0 or product.max() < ALIKE * OVERLAP * least:
                continue
            best = 0.0
            for lag in np.argpartition(-product, 20)[:20]:
                late = int(lag) if lag < len(waves[other]) else int(lag) - size
                first, second = (
                    _within(energy[one], -late, len(waves[other])),
                    _within(energy[other], late, len(waves[one])),
                )
                held = max(first / energy[one][-1], second / energy[other][-1])
                if held >= OVERLAP and whole:
                    best = max(best, float(product[lag] / np.sqrt(first * second)))
            if best >= ALIKE:
                found.append((one, other, best))
    return found


def _within(energy: npt.NDArray[np.float64], begin: int, length: int) -> float:
    end = len(energy) - 1
    return float(energy[np.clip(begin + length, 0, end)] - energy[np.clip(begin, 0, end)])


def untouched(clips: list[tuple[str, Sound]]) -> tuple[list[tuple[int, ...]], list[tuple[int, int, float]], int, float]:
    """Groups that are found among the recordings as they are, what brute force finds, candidates, and x real time."""
    seconds = sum(len(samples) / rate for _, (samples, rate) in clips)
    began = time.process_time()
    prints = [fingerprint(*sound) for _, sound in clips]
    speed = seconds / (time.process_time() - began)
    groups = find_copies(prints, [sound for _, sound in clips].__getitem__)
    return groups, brute_force(clips), len(candidates(prints)), speed


def scale(prints: list[bytes], counts: tuple[int, ...] = (1_000, 10_000, 100_000)) -> list[str]:
    """Time and memory of the candidates of many clips: real prints whose codes have each a few signs turned."""
    lines = ["| clips | codes | candidates | s | memory beside the prints, MB |", "| --- | --- | --- | --- | --- |"]
    rng = np.random.default_rng(0)
    for count in counts:
        many = []
        for _ in range(count):
            held = Print.from_bytes(prints[int(rng.integers(len(prints)))])
            turned = np.zeros(len(held.codes), np.uint32)
            for _ in range(3):
                turned ^= np.uint32(1) << rng.integers(0, 32, len(turned), dtype=np.uint32)
            many.append(Print(held.codes ^ turned, held.at).to_bytes())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        found = len(candidates(many))
        spent = time.process_time() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        codes = sum(map(len, many)) // 6
        lines.append(f"| {count:,} | {codes:,} | {found:,} | {spent:.1f} | {grown:.0f} |")
    return lines


def measure(name: str, clips: list[tuple[str, Sound]]) -> dict[str, Any]:
    """All that is reported of one folder, as JSON holds it; what xfer and brute force see differently is printed."""
    prints = [fingerprint(*sound) for _, sound in clips]
    groups, oracle, compared, speed = untouched(clips)
    ours = {(a, b) for group in groups for a in group for b in group if a < b}
    theirs = {(a, b): value for a, b, value in oracle}
    for one, other in sorted(ours - set(theirs)):
        print(f"{name}: only xfer: {clips[one][0]} {clips[other][0]}", flush=True)
    others = sorted(((value, pair) for pair, value in theirs.items() if pair not in ours), reverse=True)
    for value, (one, other) in others[:SHOWN]:
        print(f"{name}: only brute force ({value:.2f}): {clips[one][0]} {clips[other][0]}", flush=True)
    for group in groups:
        print(f"{name}: copies: {' '.join(clips[index][0] for index in group)}", flush=True)
    return {
        "clips": len(clips),
        "bytes": float(np.mean([len(data) for data in prints])),
        "speed": speed,
        "compared": compared,
        "groups": len(groups),
        "pairs": len(ours),
        "brute_force": len(theirs),
        "both": len(ours & set(theirs)),
        "least": f"{min((theirs[pair] for pair in ours & set(theirs)), default=0):.2f}",
        "most": f"{max((value for value, _ in others), default=0):.2f}",
        "recall": recall(clips),
        "prints": [data.hex() for data in prints],
    }


def main() -> None:
    """Measure, write the table, print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--keep", type=Path, help="JSON of folders measured so far, to go on after a break")
    options = parser.parse_args()
    names = [name for name in (*CHOSEN_ON, *MEASURED_ON) if not options.only or name in options.only]
    measured: dict[str, Any] = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    for name in names:
        if name not in measured:
            measured[name] = measure(name, clips_of(options.data / name))
        if options.keep:
            options.keep.write_text(json.dumps(measured))
    lines = [
        f"Share of copies found: one changed copy of each of {CLIPS} clips, put beside {BESIDE} clips of the folder.",
        f"The limits were chosen on {', '.join(CHOSEN_ON)}. The other folders were measured; a first measurement, with",
        "mostly other clips of them changed, showed misses of small MP3 and of noise in spoken_digits and wake_words:",
        "`APART` and `SOUND_RANGE_DB` were then chosen again, on the former folders. So no folder is wholly unseen.",
        "",
        "| change | " + " | ".join(names) + " |",
        "| --- |" + " --- |" * len(names),
    ]
    lines += [
        f"| {change} | " + " | ".join(f"{measured[name]['recall'][change]:.2f}" for name in names) + " |"
        for change in CHANGES
    ]
    lines += [
        "",
        f"The recordings as they are: pairs that are one sound, and pairs of which brute force says so (correlation of "
        f"{ALIKE} over an overlap of {OVERLAP:.0%}).",
        "",
        "| folder | clips | bytes a print | print, x real time | compared | groups | pairs | brute force | both "
        "| least of both | most of brute force alone |",
        "| --- |" + " --- |" * 10,
    ]
    for name in names:
        seen = measured[name]
        counts = " | ".join(
            str(seen[key]) for key in ("compared", "groups", "pairs", "brute_force", "both", "least", "most")
        )
        lines.append(f"| {name} | {seen['clips']} | {seen['bytes']:.0f} | {seen['speed']:.0f} | {counts} |")
    prints = [bytes.fromhex(data) for name in names for data in measured[name]["prints"]]
    if not options.only:
        lines += ["", "Candidates among many clips: real prints, three signs of each code turned; one core.", ""]
        lines += scale(prints)
        before, _, after = REPORT.read_text().split(MARKER)
        REPORT.write_text(f"{before}{MARKER}\n" + "\n".join(lines) + f"\n{MARKER}{after}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
