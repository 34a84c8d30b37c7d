"""Speech Commands v1 and v2: `<word>/<speaker hash>_nohash_<n>.wav`, the split by two published lists.

`_background_noise_` is no class (FACTS.md 8.53): it is the data set's background.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xfer.train.data.clips import Split
from xfer.train.data.layouts import folders
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tables import absent, text_of
from xfer.train.data.layouts.tree import folders_in, names_in, problem

LISTS: dict[str, Split] = {"validation_list.txt": "validation", "testing_list.txt": "test"}
_MARK = "_nohash_"


def recognise(root: Path) -> bool:
    """The two lists; or one of them or the background, with recordings named as theirs."""
    parts = [(root / name).exists() for name in (*LISTS, folders.BACKGROUND)]
    return all(parts[:2]) or (
        any(parts) and any(_MARK in name for folder in folders_in(root)[:3] for name in names_in(folder))
    )


def read(root: Path) -> Found:
    """Label: the word. Group: the speaker's hash."""
    found = folders.read(root)
    problems = list(found.problems)
    sides: dict[str, Split] = {}
    there = {clip.group for clip in found.clips}  # each file's path below the root
    lists = [name for name in LISTS if (root / name).is_file()]
    for name in lists:
        listed = [line.strip() for line in text_of(root / name) if line.strip()]
        problems += absent(root / name, [path for path in listed if path not in there], len(listed), root)
        sides |= dict.fromkeys(listed, LISTS[name])
    rest: Split | None = "train" if len(lists) == len(LISTS) else None
    if rest is None:
        missing = " and ".join(sorted(LISTS.keys() - set(lists)))
        problems.append(
            problem(f"{root} lacks {missing}: that side is drawn by speaker, and is not the published one", [])
        )
    return Found(
        [
            replace(clip, group=clip.path.name.split(_MARK)[0], split=sides.get(clip.group, rest))
            if _MARK in clip.path.name
            else replace(clip, split=sides.get(clip.group, rest))
            for clip in found.clips
        ],
        background=found.background,
        problems=tuple(problems),
    )


register(
    Layout(
        "speech_commands",
        "command",
        recognise,
        read,
        marks=f"{' and '.join(LISTS)}, and a folder per word with <speaker>{_MARK}<n>.wav",
    )
)
