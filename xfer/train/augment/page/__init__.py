"""`xfer data DATA --augment DIR`: what augmentation does to a few clips, to be seen and heard."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from xfer.runtime.atomic import write_atomically
from xfer.runtime.audio import Samples
from xfer.runtime.errors import Unusable
from xfer.train.augment.page.document import document
from xfer.train.augment.page.sheet import sheet
from xfer.train.augment.page.showing import Showing, show
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.data.clips import Clip
from xfer.train.data.page.examples import choose
from xfer.train.data.summary import HasFacts
from xfer.train.data.waves import Waves

CLIPS = 4
"""So many classes are shown, a clip of each."""

__all__ = ["Written", "write_augmented"]


@dataclass(frozen=True)
class Written:
    """What was written."""

    page: Path
    sheets: tuple[Path, ...]
    sounds: tuple[Path, ...]


def write_augmented(
    checked: HasFacts,
    waves: Waves,
    how: AugmentRecipe,
    gain_db: tuple[float, float],
    seed: int,
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Written:
    """Write `index.html` into the folder and, for each shown clip, its sounds (WAV) and a contact sheet (PNG).

    The page comes last. Raises FileNotThere or Unusable where no clip can be read, or one not any more; OSError.
    """
    clips = _spread(list(choose(checked.data.clips, checked.facts).values()))
    if not clips:
        raise Unusable(f"{checked.data.name} has no clip that can be heard: see what xfer data says of it")
    showings: list[Showing] = []
    sheets: list[Path] = []
    sounds: list[Path] = []
    for index, showing in enumerate(show(clips, waves, how, gain_db, seed)):
        inside = folder / showing.folder
        for each in showing.sounds:
            sounds.append(inside / f"{each.file}.wav")
            write_atomically(sounds[-1], _wav(each.samples, showing.rate))
        sheets.append(inside / "sheet.png")
        write_atomically(sheets[-1], sheet(showing))
        showings.append(showing)
        progress("augmenting clips", index + 1, len(clips))
    page = folder / "index.html"
    write_atomically(page, document(checked.data, showings, how, gain_db).encode())
    return Written(page, tuple(sheets), tuple(sounds))


def _spread(clips: Sequence[Clip]) -> list[Clip]:
    """At most CLIPS of them, from first to last."""
    count = min(CLIPS, len(clips))
    return [clips[round(i * (len(clips) - 1) / max(count - 1, 1))] for i in range(count)]


def _wav(samples: Samples, rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples.clip(-1, 1), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
