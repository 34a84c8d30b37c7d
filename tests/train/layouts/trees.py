"""A small tree in the official form of every layout, and what reading it must give.

The expectations are written by hand from the publishers' descriptions, not computed by what is tested. Sounds are cut
from real recordings where they are at hand, else made: every one of a tree differs.
"""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.recordings import ROOT

RATE = 16000


@functools.cache
def _speech() -> np.ndarray:
    """Ten seconds of speech, or of noise where the recordings are not here."""
    files = sorted((ROOT / "spoken_digits").glob("*/*_0.wav"))[:10]
    if not files:
        return np.random.default_rng(0).normal(0, 0.1, 10 * RATE)
    return np.concatenate([soundfile.read(file)[0] for file in files])


def sound(path: Path, seconds: float = 0.25) -> Path:
    """A recording in the format that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    speech = _speech()
    start = hash_of(path.name) % (len(speech) - RATE)
    samples = np.resize(speech[start : start + RATE], int(seconds * RATE))
    soundfile.write(path, samples, RATE)
    return path


def hash_of(name: str) -> int:
    """A number that depends on the name alone."""
    return functools.reduce(lambda value, byte: (value * 31 + byte) % 2**31, name.encode(), 7)


def table(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    """A CSV table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows(rows)
    return path


@dataclass(frozen=True)
class Tree:
    """A layout's small tree."""

    layout: str
    task: str
    net: str
    build: Callable[[Path], None]
    labels: dict[str, int]
    """Clips by label."""
    groups: int
    sides: dict[str | None, int]
    table: str = ""
    """The table without which it cannot be read."""
    needed: tuple[str, ...] = ()
    """The columns without which the table cannot be read."""
    audio: tuple[str, ...] = ()
    """The folders that hold the audio."""
    variant: str = ""
    noted: tuple[str, ...] = ()
    """What its problems must say; nothing else may be wrong."""

    def __str__(self) -> str:
        return f"{self.layout}{'-' if self.variant else ''}{self.variant}"


FMA_HEADER = (
    ["", "album", "artist", "set", "set", "track", "track", "track"],
    ["", "title", "name", "split", "subset", "genre_top", "license", "title"],
    ["track_id", "", "", "", "", "", "", ""],
)
FMA_ROWS = (
    (2, "AWOL", "training", "small", "Hip-Hop"),
    (5, "AWOL", "training", "small", "Hip-Hop"),
    (10, "Kurt Vile", "validation", "medium", "Pop"),
    (140, "Nicky Cook", "test", "medium", "Folk"),
    (1001, "Alec K. Redfearn", "training", "large", "Jazz"),
    (1002, "No genre", "training", "medium", ""),
)


def fma(folder: str, tracks: tuple[int, ...]) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        rows = [
            [n, "album, and\nmore", who, side, subset, genre, "CC BY", "t"] for n, who, side, subset, genre in FMA_ROWS
        ]
        table(root / "fma_metadata/tracks.csv", [*FMA_HEADER, *rows])
        for n in tracks:
            sound(root / folder / f"{n:06}"[:3] / f"{n:06}.mp3")

    return build


def vctk_092(root: Path) -> None:
    for speaker in ("p225", "p280", "p315"):
        for n in (1, 2):
            for mic in (1, 2):
                if (speaker, mic) != ("p280", 2) and (speaker, n, mic) != ("p315", 2, 1):
                    sound(root / f"wav48_silence_trimmed/{speaker}/{speaker}_{n:03}_mic{mic}.flac")
            if speaker != "p315":
                text = root / f"txt/{speaker}/{speaker}_{n:03}.txt"
                text.parent.mkdir(parents=True, exist_ok=True)
                text.write_text("Please call Stella.")
    (root / "wav48_silence_trimmed/log.txt").write_text("log")
    (root / "speaker-info.txt").write_text(
        "ID  AGE  GENDER  ACCENTS  REGION COMMENTS \np225  23  F    English    Southern  England\n"
        "p280  25  F    French  France  (mic2 files unavailable)\np315  18  M  American  New England  (no text)\n"
    )


def vctk_080(root: Path) -> None:
    for speaker in ("p225", "p226"):
        for n in (1, 2, 3):
            sound(root / f"wav48/{speaker}/{speaker}_{n:03}.wav")
    (root / "speaker-info.txt").write_text(
        "ID  AGE  GENDER  ACCENTS  REGION\n225  23  F  English\n226  22  M  English\n"
    )


URBAN_HEADER = ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]


def urbansound8k(root: Path) -> None:
    rows = []
    for fold in range(1, 11):
        for number, (class_id, label) in enumerate(((3, "dog_bark"), (8, "siren"))):
            name = f"{100000 + fold}-{class_id}-0-{number}.wav"
            rows.append([name, 100000 + fold, 0.0, 4.0, 1, fold, class_id, label])
            sound(root / f"audio/fold{fold}" / name)
    (root / "audio/fold1/.DS_Store").touch()
    table(root / "metadata/UrbanSound8K.csv", [URBAN_HEADER, *rows])


ESC_HEADER = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]


def esc(*labels: tuple[int, str, bool], audio_of: Iterable[str] | None = None) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        rows = []
        for fold in range(1, 6):
            for target, label, ten in labels:
                name = f"{fold}-{1000 + 10 * fold + target}-A-{target}.wav"
                rows.append([name, fold, target, label, ten, 1000 + 10 * fold + target, "A"])
                if audio_of is None or label in audio_of:
                    sound(root / "audio" / name)
        table(root / "meta/esc50.csv", [ESC_HEADER, *rows])

    return build


TEN = ((0, "dog", True), (1, "rooster", True))
FIFTY = (*TEN, (2, "pig", False), (3, "cow", False))


def esc10_first(root: Path) -> None:
    for folder in ("001 - Dog bark", "009 - Rooster"):
        for fold in range(1, 6):
            sound(root / folder / f"{fold}-{1000 * len(folder) + fold}-A.ogg")
    (root / "README.md").write_text("ESC-10")


def speech_commands(version: int) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        words = ("yes", "no", "bed") if version == 1 else ("yes", "no", "bed", "backward")
        for word in words:
            for speaker in ("0a7c2a8d", "0b09edd3", "0c40e715", "0c5027de"):
                for n in (0, 1):
                    sound(root / word / f"{speaker}_nohash_{n}.wav")
        sound(root / "_background_noise_/running_tap.wav", 2)
        (root / "_background_noise_/README.md").write_text("noise")
        for name, speaker in (("validation_list.txt", "0b09edd3"), ("testing_list.txt", "0c40e715")):
            (root / name).write_text("".join(f"{w}/{speaker}_nohash_{n}.wav\n" for w in words for n in (0, 1)))

    return build


def gtzan(place: str, suffix: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        for genre, numbers in (("blues", (0, 1, 2)), ("disco", (50, 51, 70)), ("metal", (58, 59)), ("rock", (16,))):
            for n in numbers:
                sound(root / place / genre / f"{genre}.{n:05}.{suffix}")

    return build


def gtzan_speechmusic(root: Path) -> None:
    for name in ("bagpipe", "ballad", "echo"):
        sound(root / f"music_speech/music_wav/{name}.wav")
    for name in ("acomic", "echo"):
        sound(root / f"music_speech/speech_wav/{name}.wav")


def ballroom(root: Path) -> None:
    for label, count in (("Chacha", 3), ("Viennesewaltz", 2), ("Wcswing", 1)):
        for n in range(count):
            sound(root / label / f"{100000 + 10 * len(label) + n}.mp3")
    (root / "extendedballroom_v1.1.xml").write_text("<ExtendedBallroom/>")


def emomusic(songs: bool) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        header = ["song_id", "mean_arousal", "std_arousal", "mean_valence", "std_valence"]
        rows = [[2, 3.1, 0.94, 3.0, 0.67], [3, 3.5, 1.75, 6.3, 1.8], [4, 5.7, 1.42, 5.0, 1.05], [5, 4.4, 2.0, 5.3, 1.9]]
        table(root / "annotations/static_annotations.csv", [header, *rows])
        for row in rows:
            sound(root / f"clips_45seconds/{row[0]}.mp3")
        if songs:
            who = [["song_id", "file_name", "Artist", "Song title", "Genre", "Mediaeval 2013 set"]]
            who += [[2, "2.mp3", "The New Mystikal Troubadours", "Hi", "Blues", "development"]]
            who += [[3, "3.mp3", "\tthe new Mystikal Troubadours", "Ho", "Blues", "development"]]
            who += [
                [4, "4.mp3", "Kevin Spears", "He", "Blues", "evaluation"],
                [5, "5.mp3", "", "Ha", "Jazz", "development"],
            ]
            table(root / "annotations/songs_info.csv", who)

    return build


def jamendo_songs(place: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        for side, song in (("train", "03 - Say me Good Bye"), ("train", "05 - Été"), ("valid", "mix"), ("test", "go")):
            folder = root / side if place == "folders" else root / "audio"
            sound(folder / f"{song}.ogg", 1.0)
            lab = (folder if place == "folders" else root / "labels") / f"{song}.lab"
            lab.parent.mkdir(exist_ok=True)
            lab.write_text("0.000 0.250 nosing\n0.25 0.75 sing\n0.75 1.000000 nosing\n")
            if place == "lists":
                (root / "filelists").mkdir(exist_ok=True)
                with (root / "filelists" / side).open("a") as names:
                    names.write(f"{song}.ogg\n")

    return build


def jamendo_cut(root: Path) -> None:
    for side, song in (("train", "a_song"), ("train", "other"), ("valid", "mix"), ("test", "go")):
        for label, segments in (("sing", (1, 3)), ("nosing", (0,))):
            for n in segments:
                sound(root / side / label / f"{song}_{n}.wav")


def librispeech(place: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        people = (
            ("train-clean-100", 19, 198),
            ("train-clean-100", 19, 227),
            ("dev-clean", 84, 121123),
            ("dev-clean", 84, 7),
        )
        for subset, speaker, chapter in people:
            for n in (0, 1):
                sound(root / place / subset / f"{speaker}/{chapter}/{speaker}-{chapter}-{n:04}.flac")
            (root / place / subset / f"{speaker}/{chapter}/{speaker}-{chapter}.trans.txt").write_text("19-198-0000 NO")
        (root / place / "SPEAKERS.TXT").write_text(
            ";ID  |SEX| SUBSET           |MINUTES| NAME\n14   | F | train-clean-360  | 25.03 | Kristin LeMoine\n"
            "19   | F | train-clean-100  | 25.19 | Kara Shallenberg\n84 | F | dev-clean | 8.0 | Christie Nowak\n"
        )

    return build


def audiomnist(root: Path) -> None:
    for speaker in ("01", "02", "60"):
        for digit in (0, 9):
            for n in (0, 49):
                sound(root / f"data/{speaker}/{digit}_{speaker}_{n}.wav")
    meta = {"01": {"accent": "german", "age": "30", "gender": "male", "native speaker": "no"}}
    (root / "data/audioMNIST_meta.txt").write_text(json.dumps(meta))


def free_spoken_digits(root: Path) -> None:
    for digit in (0, 7):
        for speaker in ("jackson", "theo"):
            for n in (0, 4, 5, 49):
                sound(root / f"recordings/{digit}_{speaker}_{n}.wav")


def class_folders(root: Path) -> None:
    for label in ("früh", "spät 晚"):
        for n in range(3):
            sound(root / label / f"day {n % 2}" / f"é {n}.wav")
            (root / label / f"._é {n}.wav").write_bytes(b"\0\5\x16\7")
    (root / ".git").mkdir()
    sound(root / ".git/x.wav")


def manifest(kind: str) -> Callable[[Path], None]:
    columns = ("path", "label", "group", "split", "fold", "offset", "duration", "task", "value:height")
    cells = (
        ("a/1.wav", "tall", "x", "train", 1, 0.5, 0.25, "trees", 3.5),
        ("a/1.wav", "tall", "x", "train", 2, 1.0, 0.25, "trees", 3),
        ("a/2.wav", "short", "y", "valid", 3, "", "", "trees", 1),
        ("ü.wav", "short", "z", "test", 4, 0, "", "trees", 0.25),
    )

    def build(root: Path) -> None:
        for name in ("a/1.wav", "a/2.wav", "ü.wav"):
            sound(root / name, 2.0)
        if kind == "csv":
            table(root / "manifest.csv", [columns, *cells])
        else:
            rows = [{key: cell for key, cell in zip(columns, row, strict=True) if cell != ""} for row in cells]
            (root / "manifest.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))

    return build


TREES = (
    Tree(
        "fma",
        "genre",
        "convnet",
        fma("fma_medium", (2, 5, 10, 140, 1002)),
        {"Hip-Hop": 2, "Pop": 1, "Folk": 1},
        3,
        {"train": 2, "validation": 1, "test": 1},
        "fma_metadata/tracks.csv",
        ("track.genre_top", "set.split", "artist.name"),
        ("fma_medium",),
        "medium",
    ),
    Tree("fma", "genre", "convnet", fma("fma_small", (2, 5)), {"Hip-Hop": 2}, 1, {"train": 2}, variant="small"),
    Tree(
        "fma",
        "genre",
        "convnet",
        fma("fma_full", (2, 5, 10, 140, 1001, 1002)),
        {"Hip-Hop": 2, "Pop": 1, "Folk": 1, "Jazz": 1},
        4,
        {"train": 3, "validation": 1, "test": 1},
        variant="full",
    ),
    Tree("vctk", "speaker", "rawnet2", vctk_092, {"p225": 2, "p280": 2, "p315": 2}, 6, {None: 6}, variant="0.92"),
    Tree("vctk", "speaker", "rawnet2", vctk_080, {"p225": 3, "p226": 3}, 6, {None: 6}, variant="0.80"),
    Tree(
        "urbansound8k",
        "sound",
        "convnet",
        urbansound8k,
        {"dog_bark": 10, "siren": 10},
        10,
        {"train": 16, "validation": 2, "test": 2},
        "metadata/UrbanSound8K.csv",
        ("slice_file_name", "fsID", "fold", "class"),
        ("audio",),
    ),
    Tree(
        "esc50",
        "sound",
        "convnet",
        esc(*FIFTY),
        {"dog": 5, "rooster": 5, "pig": 5, "cow": 5},
        20,
        {"train": 12, "validation": 4, "test": 4},
        "meta/esc50.csv",
        ("filename", "fold", "category", "src_file"),
        ("audio",),
    ),
    Tree(
        "esc10",
        "sound",
        "convnet",
        esc(*TEN),
        {"dog": 5, "rooster": 5},
        10,
        {"train": 6, "validation": 2, "test": 2},
        variant="table",
    ),
    Tree(
        "esc10",
        "sound",
        "convnet",
        esc(*FIFTY, audio_of=("dog", "rooster")),
        {"dog": 5, "rooster": 5},
        10,
        {"train": 6, "validation": 2, "test": 2},
        variant="audio",
    ),
    Tree(
        "esc10",
        "sound",
        "convnet",
        esc10_first,
        {"dog": 5, "rooster": 5},
        10,
        {"train": 6, "validation": 2, "test": 2},
        variant="first",
    ),
    Tree(
        "speech_commands",
        "command",
        "convnet",
        speech_commands(1),
        dict.fromkeys(("yes", "no", "bed"), 8),
        4,
        {"train": 12, "validation": 6, "test": 6},
        variant="v1",
    ),
    Tree(
        "speech_commands",
        "command",
        "convnet",
        speech_commands(2),
        dict.fromkeys(("yes", "no", "bed", "backward"), 8),
        4,
        {"train": 16, "validation": 8, "test": 8},
        variant="v2",
    ),
    *(
        Tree(
            "gtzan",
            "genre",
            "convnet",
            gtzan(place, suffix),
            {"blues": 3, "disco": 3, "metal": 2, "rock": 1},
            6,  # the three of disco are one recording; so are metal.00058 and rock.00016
            {None: 9},
            variant=suffix,
            noted=("are one recording under two genres", "991 of GTZAN's 1000"),
        )
        for place, suffix in (("genres", "au"), ("genres_original", "wav"))
    ),
    Tree("gtzan_speechmusic", "music_speech", "convnet", gtzan_speechmusic, {"music": 3, "speech": 2}, 5, {None: 5}),
    Tree("ballroom", "genre", "convnet", ballroom, {"Chacha": 3, "Viennesewaltz": 2, "Wcswing": 1}, 6, {None: 6}),
    *(
        Tree(
            "emomusic",
            "emotion",
            "convnet",
            emomusic(songs),
            {
                "low arousal, low valence": 1,
                "low arousal, high valence": 2,
                "high arousal, high valence": 1,
            },
            3 if songs else 4,
            {None: 3, "test": 1} if songs else {None: 4},
            "annotations/static_annotations.csv",
            ("song_id", "mean_arousal", "mean_valence"),
            ("clips_45seconds",),
            "songs" if songs else "plain",
        )
        for songs in (True, False)
    ),
    *(
        Tree(
            "jamendo",
            "singing",
            "convnet",
            jamendo_songs(place),
            {"sing": 4, "nosing": 8},
            4,
            {"train": 6, "validation": 3, "test": 3},
            variant=place,
        )
        for place in ("folders", "lists")
    ),
    Tree(
        "jamendo",
        "singing",
        "convnet",
        jamendo_cut,
        {"sing": 8, "nosing": 4},
        4,
        {"train": 6, "validation": 3, "test": 3},
        variant="cut",
    ),
    *(
        Tree("librispeech", "speaker", "rawnet2", librispeech(place), {"19": 4, "84": 4}, 4, {None: 8}, variant=name)
        for place, name in (("", "inside"), ("LibriSpeech", "above"))
    ),
    Tree("audiomnist", "command", "convnet", audiomnist, {"0": 6, "9": 6}, 3, {None: 12}),
    Tree("free_spoken_digits", "command", "convnet", free_spoken_digits, {"0": 8, "7": 8}, 16, {None: 8, "test": 8}),
    Tree("folders", "sound", "convnet", class_folders, {"früh": 3, "spät 晚": 3}, 6, {None: 6}),
    *(
        Tree(
            "manifest",
            "trees",
            "convnet",
            manifest(kind),
            {"tall": 2, "short": 2},
            3,
            {"train": 2, "validation": 1, "test": 1},
            variant=kind,
        )
        for kind in ("csv", "jsonl")
    ),
)
