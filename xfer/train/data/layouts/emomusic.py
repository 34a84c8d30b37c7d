"""emoMusic (1000 songs): `clips_45seconds/{id}.mp3` and `static_annotations.csv`, arousal and valence from 1 to 9.

`Clip.values` are both divided by 9, as Choi et al. do (FACTS.md section 7). So that classifiers can train too, the
label is the quadrant: both scales cut at their middle, 5. Where `songs_info.csv` is there, it gives the artist, and
its column "Mediaeval ... set" the published test side.
"""

from __future__ import annotations

from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Clip, Split
from xfer.train.data.layouts.registry import Found, Layout, register
from xfer.train.data.layouts.tables import absent, rows_of, unlisted
from xfer.train.data.layouts.tree import recordings_under

AUDIO = "clips_45seconds"
TABLES = ("annotations/static_annotations.csv", "static_annotations.csv")
SONGS = "songs_info.csv"
LOW, MIDDLE, HIGH = 1, 5, 9


def recognise(root: Path) -> bool:
    """The table, or the folder of clips."""
    return any((root / table).is_file() for table in TABLES) or (root / AUDIO).is_dir()


def read(root: Path) -> Found:
    """Label: the quadrant. Values: arousal and valence, 0.11 to 1. Group: the artist, else the song."""
    table = next((root / table for table in TABLES if (root / table).is_file()), None)
    if table is None:
        raise Unusable(f"{root} has {AUDIO} without {TABLES[0]}, which has arousal and valence: put it there")
    audio = root / AUDIO
    walk = recordings_under(audio) if audio.is_dir() else None
    there = {path.stem: path for path in walk.paths} if walk else {}
    artists, tested = _songs(root)
    clips: list[Clip] = []
    missing: list[str] = []
    listed: set[str] = set()
    for row in rows_of(table, ("song_id", "mean_arousal", "mean_valence")):
        song = str(row.whole("song_id"))
        listed.add(song)
        arousal, valence = row.number("mean_arousal"), row.number("mean_valence")
        for name, value in (("mean_arousal", arousal), ("mean_valence", valence)):
            if not LOW <= value <= HIGH:
                raise row.wrong(f"{name} {value:g} is not between {LOW} and {HIGH}")
        if song in there:
            label = f"{_half(arousal)} arousal, {_half(valence)} valence"
            side: Split | None = "test" if song in tested else None
            values = (arousal / HIGH, valence / HIGH)
            clips.append(Clip(there[song], label, artists.get(song, f"song {song}"), side, values=values))
        else:
            missing.append(str(audio / f"{song}.mp3"))
    problems = (*(walk.problems if walk else ()), *absent(table, missing, len(listed), audio))
    problems += unlisted(table, [path for song, path in there.items() if song not in listed])
    notes = (
        f"values: arousal and valence, divided by {HIGH}; the label is the quadrant, both scales cut at {MIDDLE}",
        "the published test side is kept" if tested else "no split is given: one is drawn",
    )
    return Found(clips, value_names=("arousal", "valence"), problems=problems, notes=notes)


def _half(value: float) -> str:
    return "high" if value >= MIDDLE else "low"


def _songs(root: Path) -> tuple[dict[str, str], set[str]]:
    """Artists by song, and the songs of the published evaluation set; empty without songs_info.csv."""
    table = next((path for path in (root / "annotations" / SONGS, root / SONGS) if path.is_file()), None)
    if table is None:
        return {}, set()
    artists, tested = {}, set()
    for row in rows_of(table, ("song_id", "Artist")):
        song = str(row.whole("song_id"))
        if row["Artist"]:
            artists[song] = row["Artist"].casefold()
        column = next((name for name in row.columns if name.casefold().startswith("mediaeval")), None)
        if column and row[column].casefold() == "evaluation":
            tested.add(song)
    return artists, tested


register(
    Layout("emomusic", "emotion", recognise, read, marks=f"{AUDIO}/<id>.mp3 and annotations/static_annotations.csv")
)
