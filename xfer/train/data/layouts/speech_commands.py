"""Speech Commands v1 and v2: `<word>/<speaker hash>_nohash_<n>.wav`, the split by two published lists.

`_background_noise_` is no class (FACTS.md 8.53).
"""

from __future__ import annotations

from pathlib import Path

from xfer.train.data.clips import Clip, Split
from xfer.train.data.layouts import folders
from xfer.train.data.layouts.registry import Found, Layout, register

LISTS: dict[str, Split] = {"validation_list.txt": "validation", "testing_list.txt": "test"}


def recognise(root: Path) -> bool:
    """The two lists."""
    return all((root / name).is_file() for name in LISTS)


def read(root: Path) -> Found:
    """Label: the word. Group: the speaker's hash."""
    sides: dict[str, Split] = {
        line.strip(): side
        for name, side in LISTS.items()
        for line in (root / name).read_text(encoding="utf-8").splitlines()
    }
    return Found(
        [
            Clip(
                clip.path,
                clip.label,
                clip.path.name.split("_nohash_")[0],
                sides.get(clip.path.relative_to(root).as_posix(), "train"),
            )
            for clip in folders.read(root).clips
        ]
    )


register(Layout("speech_commands", "command", recognise, read))
