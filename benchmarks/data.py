"""How fast recordings are looked at, decoded, kept and given back, against the plain ways, on the same files.

    python benchmarks/data.py --data ../shared/data [--clips 1000 10000 100000]

Writes its tables into docs/benchmarks.md. Every rival runs in the same call, file by file in turns with ours, so that
what else the machine does falls on both. Files are read once before, so that the disk's cache is warm for all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from xfer.train.data.cache import Store, fill
from xfer.train.data.decoding import Job, inspect
from xfer.train.data.layouts import read
from xfer.train.data.waves import Waves

RATE = 22_050
WINDOW = 66_150
FOLDERS = {"libri_vctk_layout": "FLAC", "music_fma_layout": "MP3", "esc10": "Ogg Vorbis", "wake_words": "WAV"}
REPORT = Path("docs/benchmarks.md")


def raw(path: Path) -> None:
    """libsndfile and soxr alone: decode, mix, resample."""
    frames, rate = soundfile.read(path, dtype="float32", always_2d=True)
    soxr.resample(frames.mean(axis=1), rate, RATE, quality="HQ")


def librosa_load(path: Path) -> None:
    """What most training scripts call."""
    import librosa

    librosa.load(path, sr=RATE)


def ours(path: Path) -> None:
    """Hash, decode, measure, fingerprint, resample, quantize."""
    inspect(Job(path, "", ((0.0, None),), (RATE,)))


def decoding(data: Path) -> Iterator[str]:
    """One core: what each way takes for the same files, in turns."""
    yield "| recordings | hours | libsndfile + soxr, files/s | `librosa.load` | xfer, one pass | of raw | of librosa |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, format_ in FOLDERS.items():
        paths = [clip.path for clip in read(data / name).clips][:200]
        for path in paths[:3]:
            for way in (raw, librosa_load, ours):
                way(path)
        spent = dict.fromkeys((raw, librosa_load, ours), 0.0)
        for path in paths:
            path.read_bytes()
            for way in spent:
                began = time.perf_counter()
                way(path)
                spent[way] += time.perf_counter() - began
        hours = sum(soundfile.info(path).duration for path in paths) / 3600
        pace = {way: len(paths) / each for way, each in spent.items()}
        yield (
            f"| {name} ({format_}, {len(paths)} files) | {hours:.2f} | {pace[raw]:.0f} | {pace[librosa_load]:.0f} | "
            f"{pace[ours]:.0f} | {pace[ours] / pace[raw]:.2f} | {pace[ours] / pace[librosa_load]:.2f} |"
        )


def filling(data: Path) -> Iterator[str]:
    """The whole way of `xfer data --cache`: list, look, decode, keep, compare; then again."""
    yield "| recordings | list, files/s | decode, keep: 1 process | 2 processes | hours/s | gain | again |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in FOLDERS:
        began = time.perf_counter()
        clips = read(data / name).clips
        listing = time.perf_counter() - began
        pace = []
        with tempfile.TemporaryDirectory() as folder:
            for workers in (1, 2):
                with Store(Path(folder) / str(workers)) as store:
                    began = time.perf_counter()
                    fill(store, clips, (RATE,), workers=workers)
                    spent = time.perf_counter() - began
                    pace.append(len(clips) / spent)
            with Store(Path(folder) / "1") as store:
                began = time.perf_counter()
                fill(store, clips, (RATE,))
                again = time.perf_counter() - began
                total = sum(Waves(RATE, store).length(clip) for clip in clips) / RATE / 3600
        yield (
            f"| {name} ({len(clips)}) | {len(clips) / listing:.0f} | {pace[0]:.0f} | {pace[1]:.0f} | "
            f"{total * pace[1] / len(clips):.2f} | {pace[1] / pace[0]:.2f} | {len(clips) / again:.0f} |"
        )


def windows(data: Path, count: int = 300) -> Iterator[str]:
    """Random 3 s windows of music: from the cache, and the paper's ways."""
    import librosa

    clips = read(data / "music_fma_layout").clips
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        arrays = []
        with Store(Path(folder) / "cache") as store:
            fill(store, clips, (RATE,))
            waves = Waves(RATE, store)
            for index, clip in enumerate(clips):
                arrays.append(Path(folder) / f"{index}.npy")
                np.save(arrays[-1], waves.samples(clip))

            def cached(which: int, start: int) -> None:
                waves.window(clips[which], start, WINDOW)

            def straight(which: int, start: int) -> None:
                Waves(RATE).window(clips[which], start, WINDOW)

            def array(which: int, start: int) -> None:
                librosa.stft(np.load(arrays[which])[start : start + WINDOW], n_fft=1024, hop_length=512)

            def mp3(which: int, start: int) -> None:
                samples, _ = librosa.load(clips[which].path, sr=RATE)
                librosa.stft(samples[start : start + WINDOW], n_fft=1024, hop_length=512)

            rows: dict[str, tuple[Callable[[int, int], None], int]] = {
                "cache of xfer (front-end in the net)": (cached, 20 * count),
                "arrays on disk, `librosa.stft` an item (the paper)": (array, count),
                "`librosa.load` of the MP3 an item, `librosa.stft`": (mp3, count // 10),
                "no cache: xfer straight from the MP3": (straight, count // 10),
            }
            pace = {}
            for name, (way, turns) in rows.items():
                places = [(int(rng.integers(len(clips))), int(rng.integers(5 * RATE))) for _ in range(turns)]
                way(*places[0])
                began = time.perf_counter()
                for place in places:
                    way(*place)
                pace[name] = turns / (time.perf_counter() - began)
    first = pace["cache of xfer (front-end in the net)"]
    yield "| way | windows/s | cache of xfer is faster by |"
    yield "| --- | --- | --- |"
    for name, each in pace.items():
        yield f"| {name} | {each:,.0f} | {first / each:.1f} |"


GROWTH = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from xfer.train.data.cache import Store, fill
from xfer.train.data.check import KnownFacts
from xfer.train.data.layouts import read
from xfer.train.data.recipe import DataRecipe
from xfer.train.data.splits import split
from xfer.train.data.waves import Waves
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
start, began = peak(), time.perf_counter()
data = read(Path(sys.argv[1]))
listed = time.perf_counter()
with Store(Path(sys.argv[2])) as store:
    faults = fill(store, data.clips, (22050,))
    good = sum(facts.fault is None for facts in KnownFacts(store, data.clips, faults))
    looked = time.perf_counter()
    data = split(data, DataRecipe())
    parted = time.perf_counter()
    waves, rng = Waves(22050, store), np.random.default_rng(0)
    for clip in data.clips:
        waves.length(clip)
    heard = time.perf_counter()
    for which in rng.integers(len(data.clips), size=2000):
        waves.window(data.clips[which], 0, 22050)
    end = time.perf_counter()
found = dict(list=listed - began, look=looked - listed, split=parted - looked, window=(end - heard) / 2000)
print(json.dumps(found | dict(start=start, end=peak(), good=good)))
"""


def growth(data: Path, sizes: list[int]) -> Iterator[str]:
    """Time and memory over the number of clips: stretches of real recordings under a synthetic manifest.

    Without the comparison of sounds, which `benchmarks/copies.py` measures.
    """
    yield "| clips | list, s | look, s | look again, s | split, s | a window, µs | memory, MB | a clip, kB |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    paths = [clip.path for name in FOLDERS for clip in read(data / name).clips]
    sources = [(path, soundfile.info(path).duration) for path in paths]
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            manifest = Path(folder) / "manifest.csv"
            with manifest.open("w") as lines:
                lines.write("path,label,group,offset,duration\n")
                for index in range(size):
                    path, seconds = sources[index % len(sources)]
                    turn = index // len(sources)
                    offset = round((0.37 * turn) % max(seconds - 1.0, 0.01), 3)
                    lines.write(f"{path},{path.parent.name},{path.name},{offset},1.0\n")
            command = [sys.executable, "-c", GROWTH, str(manifest), str(Path(folder) / "cache")]
            first, again = (json.loads(subprocess.check_output(command, text=True)) for _ in range(2))
        more = again["end"] - again["start"]
        yield (
            f"| {size:,} | {again['list']:.1f} | {first['look']:.1f} | {again['look']:.1f} | {again['split']:.1f} | "
            f"{1e6 * again['window']:.0f} | {more / 1e6:.0f} | {more / size / 1e3:.2f} |"
        )


def put(marker: str, lines: list[str]) -> None:
    """Replace what stands between two markers of the report, or add it at the end."""
    mark = f"<!-- {marker} -->"
    text = REPORT.read_text(encoding="utf-8")
    if text.count(mark) != 2:
        text += f"\n{mark}\n{mark}\n"
    before, _, after = text.split(mark)
    REPORT.write_text(f"{before}{mark}\n" + "\n".join(lines) + f"\n{mark}{after}", encoding="utf-8")


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--clips", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    options.add_argument("--only", choices=["decoding", "filling", "windows", "growth"], nargs="*")
    chosen = options.parse_args()
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "decoding": lambda: decoding(chosen.data),
        "filling": lambda: filling(chosen.data),
        "windows": lambda: windows(chosen.data),
        "growth": lambda: growth(chosen.data, chosen.clips),
    }
    for name in chosen.only or parts:
        lines = []
        for line in parts[name]():
            print(line, flush=True)
            lines.append(line)
        put(name, lines)


if __name__ == "__main__":
    main()
