"""What the gate lets in: words at some ratio to the noise of a room, and how much of the room itself.

    python benchmarks/gate.py DATA      a data set in the layout of Speech Commands, with _background_noise_

Words stand six seconds apart in a room whose noise has been there for half a minute: generated, white to brown, and the
data set's own recordings, looped. No net is asked. `let in`: words of which at least three frames (60 ms) are
sound; `open`: share of the frames without a word that are sound. Only words of the validation list are taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xfer.runtime.audio import Samples, load
from xfer.runtime.listening import Rules
from xfer.runtime.listening.gate import Gate

RATE = 16_000
APART, BEFORE = 6, 30
"""Seconds."""
LEVEL_DBFS = -30.0
"""Of the words, where they sound."""
RATIOS = (15, 10, 5)


def coloured(slope: float, count: int) -> Samples:
    """Noise whose power falls with frequency ** slope, from 20 Hz on."""
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(0, 1, count))
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20)
    return np.fft.irfft(spectrum / hertz ** (slope / 2), count).astype(np.float32)


def rooms(data: Path, count: int) -> Iterator[tuple[str, Samples]]:
    """Name and noise of each room."""
    for name, slope in (("white noise", 0), ("pink noise", 1), ("brown noise", 2)):
        yield name, coloured(slope, count)
    for path in sorted((data / "_background_noise_").glob("*.wav")):
        if "noise" not in path.stem:
            yield path.stem.replace("_", " "), np.resize(load(path, RATE).samples, count)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    data = options.parse_args().data
    listed = (data / "validation_list.txt").read_text().split()
    words = [load(data / name, RATE).samples for name in listed]
    count = RATE * (BEFORE + APART * len(words))
    print(f"{len(words)} words\n")
    print("| room | " + " | ".join(f"{ratio} dB: let in | open" for ratio in RATIOS) + " |")
    print("| --- |" + " --- |" * 2 * len(RATIOS))
    for name, noise in rooms(data, count):
        cells = []
        for ratio in RATIOS:
            heard = noise * np.float32(10 ** ((LEVEL_DBFS - ratio) / 20) / np.sqrt(np.mean(np.square(noise))))
            spans = []
            for number, word in enumerate(words):
                loud = word[np.abs(word) > 0.1 * np.abs(word).max()]
                at = RATE * (BEFORE + APART * number)
                gain = 10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(np.square(loud)))
                heard[at : at + len(word)] += word * np.float32(gain)
                spans.append((at, at + len(word)))
            gate = Gate(RATE, Rules())
            gate.push(heard)
            frame = gate.frame
            share = [gate.share(start, end) * (end - start) / frame for start, end in spans]
            let_in = np.mean([frames >= 3 for frames in share])
            room = gate.share(BEFORE * RATE, count) * (count - BEFORE * RATE) / frame - sum(share)
            silent = (count - BEFORE * RATE - sum(end - start for start, end in spans)) / frame
            cells.append(f"{let_in:.0%} | {max(0.0, room) / silent:.1%}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
