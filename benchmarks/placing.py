"""Does placing short clips over background help? A net taught by repeated clips against one taught by placed ones.

    python benchmarks/placing.py WAKE_WORDS ESC10 [--epochs 8] [--limit 40]

Both nets learn the words of a data set in the form of Speech Commands; then both hear the test words alone and amid
noise that neither was taught on (clips of ESC-10, 10 dB below the words), and the noise without words.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from xfer.runtime.audio import fill
from xfer.train.checkpoint import load
from xfer.train.data import layouts
from xfer.train.data.background import under
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.waves import Waves
from xfer.train.fit import fit
from xfer.train.framing import settle_windows
from xfer.train.nets import NETS, Net, create
from xfer.train.recipe import default_recipe, with_settings
from xfer.train.runs import start
from xfer.train.transfer import Job, WholeNet

TAUGHT = ("rain", "sea_waves", "helicopter")
"""Classes of ESC-10 that the wake words' own background was made of."""
SNR_DB = 10.0
ARMS = {
    "repeated": ["windows.short=tile", "windows.background=no"],
    "placed": ["windows.short=place", "windows.background=no"],
    "placed, with background": [],
}


def learn(data: DataSet, settings: list[str], folder: Path) -> tuple[Net, tuple[str, ...]]:
    """Train one arm: the best net and its labels."""
    recipe = with_settings(default_recipe("command", "convnet"), settings)
    waves = Waves(NETS["convnet"].sample_rate)
    recipe, data, _ = settle_windows(recipe, data, waves)
    torch.manual_seed(recipe.seed)
    net = create("convnet", len(data.labels), **recipe.options)
    run = start(recipe, folder)
    problem = WholeNet(Job(net, data, waves, recipe, {}, torch.device("cpu"), print))
    fit(problem, recipe, run, lambda told: None)
    return load(run.best).net, data.labels


def scores_of(net: Net, windows: list[np.ndarray]) -> np.ndarray:
    """Scores of windows, (n, labels)."""
    parts = []
    with torch.no_grad():
        for at in range(0, len(windows), 8):
            parts.append(net(torch.from_numpy(np.stack(windows[at : at + 8]))).logits.softmax(1).numpy())
    return np.concatenate(parts)


def main() -> None:
    """Train, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", type=Path)
    parser.add_argument("noise", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--limit", type=int, default=40, help="training clips a word")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = limited(layouts.read(options.words), options.limit)
    rate, window = NETS["convnet"].sample_rate, NETS["convnet"].window
    waves = Waves(rate)
    tests = data.of("test")
    noises = [clip for clip in layouts.read(options.noise).clips if clip.label not in TAUGHT]
    rng = np.random.default_rng(0)
    alone, amid, empty = [], [], []
    for clip in tests:
        word = waves.samples(clip)
        noise = waves.samples(noises[int(rng.integers(len(noises)))])
        noise = np.resize(noise, max(len(noise), window))
        start_at = int(rng.integers(len(noise) - window + 1))
        floor = under(noise[start_at : start_at + window], word, SNR_DB, rate)
        offset = int(rng.integers(window - len(word) + 1))
        mixed = floor.copy()
        mixed[offset : offset + len(word)] += word
        alone.append(word)
        amid.append(mixed)
        empty.append(floor)
    print(f"{len(tests)} test words, {len(data.of('train'))} training clips, {options.epochs} epochs, {SNR_DB:g} dB")
    print("| taught by | alone | amid noise | noise named a word (score over one half) | training |")
    print("| --- | --- | --- | --- | --- |")
    for name, settings in ARMS.items():
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            more = [f"fit.epochs={options.epochs}", "fit.crops_per_clip=1", "fit.batch=16", *settings]
            net, labels = learn(data, more, Path(folder) / "run")
        spent = time.monotonic() - began
        truth = np.array([labels.index(clip.label) for clip in tests])
        short = "tile" if name == "repeated" else "place"
        hits = [
            float((scores_of(net, windows).argmax(1) == truth).mean())
            for windows in ([fill(word, window, short) for word in alone], amid)
        ]
        heard = scores_of(net, empty)
        words = [k for k, label in enumerate(labels) if label != "background"]
        named = float((heard[:, words].max(1) > 0.5).mean())
        print(f"| {name} | {hits[0]:.1%} | {hits[1]:.1%} | {named:.1%} | {spent:.0f} s |")
        sys.stdout.flush()


def limited(data: DataSet, limit: int) -> DataSet:
    """At most so many training clips a word, by name."""
    kept: dict[str, list[Clip]] = defaultdict(list)
    for clip in data.clips:
        side = clip.split or "train"
        if side != "train" or sum(other.split == "train" for other in kept[clip.label]) < limit:
            kept[clip.label].append(replace(clip, split=side))
    return data.with_clips(tuple(clip for clips in kept.values() for clip in clips))


if __name__ == "__main__":
    main()
