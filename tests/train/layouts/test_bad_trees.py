"""What comes wrong: tables, trees and names. One clear sentence each, never a traceback, nothing silently left out."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.train.layouts.trees import TREES, Tree, sound
from xfer.runtime.errors import Unusable, XferError
from xfer.train.data.layouts import read
from xfer.train.data.layouts.tree import recordings_under

WITH_TABLES = [tree for tree in TREES if tree.table]
NOBODY = 65534


@pytest.fixture
def grown(tmp_path):
    def grow(tree: Tree) -> Path:
        root = tmp_path / "data"
        root.mkdir()
        tree.build(root)
        return root

    return grow


def rewritten(path: Path, change) -> None:
    """The table with its rows, header rows included, changed."""
    with path.open(newline="", encoding="utf-8") as lines:
        rows = change(list(csv.reader(lines)))
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def headers(tree: Tree) -> int:
    return 3 if tree.layout == "fma" else 1


@pytest.mark.parametrize("tree", WITH_TABLES, ids=str)
def test_a_missing_column_is_named_with_its_file(tree, grown):
    root = grown(tree)
    whole = (root / tree.table).read_text()
    for column in tree.needed:
        (root / tree.table).write_text(whole)

        def without(rows, column=column):
            names = [".".join(parts) for parts in zip(*rows[:2], strict=False)] if headers(tree) == 3 else rows[0]
            gone = names.index(column)
            return [row[:gone] + row[gone + 1 :] for row in rows]

        rewritten(root / tree.table, without)
        with pytest.raises(Unusable) as error:
            read(root)
        assert repr(column) in str(error.value)
        assert str(root / tree.table) in str(error.value)


@pytest.mark.parametrize("tree", WITH_TABLES, ids=str)
def test_a_byte_order_mark_changes_nothing(tree, grown):
    root = grown(tree)
    before = read(root).clips
    table = root / tree.table
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert read(root).clips == before


BROKEN = {
    "latin-1": ("UTF-8", lambda data: data + "é".encode("latin-1") + b"\n"),
    "utf-16": ("UTF-8", lambda data: data.decode().encode("utf-16")),
    "zeros": ("zero bytes", lambda data: data[:40] + b"\0" * 100),
    "empty": ("empty", lambda data: b""),
    "spaces": ("empty", lambda data: b"\n\n"),
    "garbage": ("UTF-8", lambda data: bytes(range(128, 256)) * 50),
    "huge field": ("CSV", lambda data: data + b'"' + b"x" * 200_000 + b'",1\n'),
    "sound": ("zero bytes|UTF-8", lambda data: sound_bytes()),
}


def sound_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return sound(Path(folder) / "x.wav").read_bytes()


@pytest.mark.parametrize("tree", WITH_TABLES, ids=str)
@pytest.mark.parametrize("what", BROKEN)
def test_a_table_that_is_none_is_refused_in_a_sentence(tree, what, grown):
    root = grown(tree)
    table = root / tree.table
    said, change = BROKEN[what]
    table.write_bytes(change(table.read_bytes()))
    with pytest.raises(Unusable, match=said) as error:
        read(root)
    assert str(table) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("tree", WITH_TABLES, ids=str)
def test_a_table_without_rows_is_refused(tree, grown):
    root = grown(tree)
    rewritten(root / tree.table, lambda rows: rows[: headers(tree)])
    with pytest.raises(Unusable, match="no rows"):
        read(root)


@pytest.mark.parametrize("tree", WITH_TABLES, ids=str)
def test_a_broken_number_names_file_and_line(tree, grown):
    root = grown(tree)
    table = root / tree.table
    column = {"fma": 0, "urbansound8k": 5, "esc50": 1, "emomusic": 1}[tree.layout]

    def spoil(rows):
        rows[headers(tree) + 1][column] = "many"
        return rows

    rewritten(table, spoil)
    # FMA's rows have a line break in a cell: each takes two lines.
    line = {"fma": 3 + 4}.get(tree.layout, 1 + 2)
    with pytest.raises(Unusable, match=f"line {line}: .*'many'"):
        read(root)


@pytest.mark.parametrize("tree", WITH_TABLES, ids=str)
def test_metadata_without_audio_says_where_it_should_be(tree, grown):
    root = grown(tree)
    for folder in tree.audio:
        shutil.rmtree(root / folder)
    with pytest.raises(Unusable, match="put the audio there") as error:
        read(root)
    assert str(root / ("fma_small" if tree.layout == "fma" else tree.audio[0])) in str(error.value)


@pytest.mark.parametrize("tree", WITH_TABLES, ids=str)
def test_audio_without_metadata_names_the_table_and_trains_no_nonsense(tree, grown):
    root = grown(tree)
    (root / tree.table).unlink()
    with pytest.raises(Unusable) as error:
        read(root)
    assert tree.table in str(error.value)


@pytest.mark.parametrize("tree", WITH_TABLES, ids=str)
def test_missing_and_unlisted_recordings_are_counted(tree, grown):
    root = grown(tree)
    files = recordings_under(root).paths
    whole = read(root).clips
    files[0].rename(files[0].with_stem("999999"))
    data = read(root)
    assert len(data.clips) == len(whole) - 1
    missing, extra = data.problems
    assert (missing.kind, missing.severity) == (extra.kind, extra.severity) == ("metadata", "warning")
    assert "1 of" in missing.message
    assert files[0].name in missing.message
    assert extra.paths == (files[0].with_stem("999999"),)


@pytest.mark.parametrize("folder", ["fma_medium", "fma_medium/000"])
def test_the_audio_folder_alone_points_to_the_one_above(folder, grown):
    root = grown(TREES[0])
    if folder.endswith("000"):
        with pytest.raises(Unusable, match="no data set"):
            read(root / folder)
    else:
        with pytest.raises(Unusable, match=f"give the folder that holds both, {root}"):
            read(root / folder)


def test_fma_counts_what_only_its_own_subset_lacks(grown):
    root = grown(TREES[0])  # medium: 1001, of large, is not expected
    (root / "fma_medium/000/000140.mp3").unlink()
    (problem,) = read(root).problems
    assert "1 of 5" in problem.message
    assert "000140" in problem.message
    assert any("1 tracks without a top genre" in note for note in read(root).notes)


def test_fma_refuses_a_split_that_is_none(grown):
    root = grown(TREES[0])
    table = root / TREES[0].table
    table.write_text(table.read_text().replace("validation", "perhaps"))
    with pytest.raises(Unusable, match=r"line 9: set\.split 'perhaps'"):
        read(root)


def test_speech_commands_without_a_list_draw_that_side(grown):
    root = grown(next(tree for tree in TREES if tree.variant == "v1"))
    (root / "validation_list.txt").unlink()
    data = read(root)
    assert {clip.split for clip in data.clips} == {None, "test"}
    assert "validation_list.txt" in data.problems[0].message
    with (root / "testing_list.txt").open("a") as lines:
        lines.write("yes/ffffffff_nohash_9.wav\n")
    assert any("1 of 7" in problem.message for problem in read(root).problems)


def test_gtzan_speechmusic_with_half_of_it(grown):
    root = grown(next(tree for tree in TREES if tree.layout == "gtzan_speechmusic"))
    shutil.rmtree(root / "music_speech/speech_wav")
    with pytest.raises(Unusable, match="speech_wav"):
        read(root)


def test_jamendo_names_the_line(grown):
    root = grown(next(tree for tree in TREES if str(tree) == "jamendo-lists"))
    lab = root / "labels/mix.lab"
    for line in ("1.0 0.5 sing", "0 1 hum", "0 sing", "nan 1 sing", "0 inf sing", "0 1 sing loud"):
        lab.write_text(f"0 0.2 sing\n{line}\n")
        with pytest.raises(Unusable, match=r"mix\.lab, line 2"):
            read(root)
    (root / "audio/mix.ogg").unlink()
    lab.write_text("0 0.2 sing\n")
    assert "1 of 4" in read(root).problems[0].message


def test_emomusic_beyond_its_scale(grown):
    tree = next(tree for tree in TREES if str(tree) == "emomusic-plain")
    root = grown(tree)
    for value in ("0.5", "9.1", "nan", "inf"):
        table = root / tree.table
        table.write_text(table.read_text().replace("5.7", value))
        with pytest.raises(Unusable, match="line 4: mean_arousal"):
            read(root)
        table.write_text(table.read_text().replace(value, "5.7"))


def test_vctk_names_who_is_on_one_side_only(grown):
    root = grown(next(tree for tree in TREES if tree.variant == "0.80"))
    shutil.rmtree(root / "wav48/p226")
    sound(root / "wav48/p227/p227_001.wav")
    assert ["p226" in problem.message for problem in read(root).problems] == [True, False]
    assert "p227" in read(root).problems[1].message
    shutil.rmtree(root / "wav48")
    (root / "txt").mkdir()
    with pytest.raises(Unusable, match="wav48"):
        read(root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path\nx.wav\n", "lacks the column 'label'"),
        ("label,file\na,x.wav\n", "lacks the column 'path'"),
        ("path,label\nx.wav\n", "line 2: .*'label'"),
        ("path,label\nx.wav,\n", "line 2: label is empty"),
        ("path,label\n,a\n", "line 2: path is empty"),
        ("path,label,offset\nx.wav,a,-1\n", "line 2: offset"),
        ("path,label,offset\nx.wav,a,nan\n", "line 2: offset"),
        ("path,label,duration\nx.wav,a,0\n", "line 2: .*duration"),
        ("path,label,fold\nx.wav,a,1.5\n", "line 2: fold"),
        ("path,label,split\nx.wav,a,perhaps\n", "line 2: split"),
        ("path,label,value:v\nx.wav,a,\n", "line 2: value:v"),
        ("path,label,task\nx.wav,a,one\nx.wav,a,two\n", "line 3: task 'two'"),
        ("path,label\ny.wav,a\n", "none is under"),
        ("path,label\n", "no rows"),
        ('path,label\n"x.wav,a\n', "line 2"),
    ],
)
def test_a_wrong_manifest_names_the_line(text, said, tmp_path):
    sound(tmp_path / "x.wav")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(Unusable, match=said):
        read(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ('{"path": "x.wav"}', "line 1: lacks 'label'"),
        ('{"path": "x.wav", "label": "a"}\n["x.wav"]', "line 2: is no JSON object"),
        ('{"path": "x.wav", "label": "a"', "line 1: is no JSON"),
        ('{"path": "x.wav", "label": ["a"]}', "line 1: is no JSON object of plain"),
        ('{"path": "x.wav", "label": "\\ud800"}', "line 1: .*surrogate"),
        ('{"path":"x.wav","label":"a","value:v":1}\n{"path":"x.wav","label":"a"}', "line 2: values none differ"),
        ('{"path":"x.wav","label":"a"}\n{"path":"x.wav","label":"a","value:v":1}', "line 2: values v differ"),
        ("[" * 100_000, "line 1: is no JSON"),
        ('{"path": "x.wav", "label": "a", "fold": ' + "9" * 10_000 + "}", "line 1: is no JSON"),
        ('{"path": "x.wav", "label": "a", "offset": NaN}', "line 1: offset"),
    ],
)
def test_a_wrong_jsonl_manifest_names_the_line(text, said, tmp_path):
    sound(tmp_path / "x.wav")
    (tmp_path / "list.jsonl").write_text(text)
    with pytest.raises(Unusable, match=said):
        read(tmp_path / "list.jsonl")


@given(st.binary(max_size=300), st.sampled_from(["list.csv", "list.jsonl"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_as_a_manifest_are_read_or_refused(tmp_path, data, name):
    (tmp_path / name).write_bytes(b"path,label\n" + data if name.endswith("csv") else data)
    try:
        read(tmp_path / name)
    except XferError as error:
        str(error).encode()  # can be printed


def test_manifest_paths(tmp_path):
    away = sound(tmp_path / "away/x.wav")
    here = tmp_path / "here"
    here.mkdir()
    (here / "manifest.csv").write_text(
        f"path,label\n{away},absolute\n../away/x.wav,above\n{'n' * 300}.wav,long\nno.wav,missing\na\\b.wav,missing\n"
    )
    data = read(here)
    assert [clip.label for clip in data.clips] == ["absolute", "above"]
    assert all(clip.path.samefile(away) for clip in data.clips)
    assert "3 of 5" in data.problems[0].message


def test_a_manifest_of_100_000_rows(tmp_path):
    sound(tmp_path / "x.wav")
    rows = [f"x.wav,label {n % 50},group {n % 1000},train,{n},1.5" for n in range(100_000)]
    (tmp_path / "m.csv").write_text("path,label,group,split,offset,duration\n" + "\n".join(rows))
    begin = time.process_time()
    data = read(tmp_path / "m.csv")
    seconds = time.process_time() - begin
    assert len(data.clips) == 100_000
    assert seconds < 10
    assert len({id(clip.label) for clip in data.clips}) == 50
    assert len({id(clip.group) for clip in data.clips}) == 1000
    assert len({id(clip.path) for clip in data.clips}) == 1


def test_memory_of_a_manifest_is_its_rows(tmp_path):
    sound(tmp_path / "x.wav")

    def peak(rows: int) -> int:
        lines = (f"x.wav,label {n % 50},group {n % 1000},{n},1.5" for n in range(rows))
        (tmp_path / "m.csv").write_text("path,label,group,offset,duration\n" + "\n".join(lines))
        tracemalloc.start()
        try:
            data = read(tmp_path / "m.csv")
            assert len(data.clips) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert (peak(10_000) - peak(2_000)) / 8_000 < 400  # bytes a row: a Clip and its two numbers


def test_many_files_take_the_time_of_their_number(tmp_path):
    def grow(labels: range) -> float:
        for label in labels:
            folder = tmp_path / f"class {label}"
            folder.mkdir()
            for n in range(100):
                os.close(os.open(folder / f"{n}.wav", os.O_CREAT))
        begin = time.process_time()
        data = read(tmp_path)
        assert (len(data.clips), len(data.labels)) == (labels.stop * 100, labels.stop)
        return time.process_time() - begin

    few = grow(range(10))
    assert grow(range(10, 50)) < 5 * max(few, 0.05) * 3


def test_loops_end_and_nothing_counts_twice(tmp_path):
    for label in ("a", "b"):
        sound(tmp_path / label / "1.wav")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/self").symlink_to("self")
    (tmp_path / "a/here").symlink_to(".")
    (tmp_path / "b/other").symlink_to(tmp_path / "a")
    (tmp_path / "0-first").symlink_to(tmp_path / "b")
    data = read(tmp_path)
    assert [clip.path.relative_to(tmp_path).as_posix() for clip in data.clips] == ["a/1.wav", "b/1.wav"]
    (problem,) = data.problems
    assert "4 links" in problem.message


def test_a_link_upwards_brings_in_nothing_from_beside_the_data(tmp_path):
    sound(tmp_path / "beside/1.wav")
    sound(tmp_path / "data/loose.wav")
    sound(tmp_path / "data/a/1.wav")
    (tmp_path / "data/a/up").symlink_to(tmp_path / "data")
    (tmp_path / "data/a/above").symlink_to(tmp_path)
    assert len(recordings_under(tmp_path / "data").paths) == 2
    assert read(tmp_path / "data").counts() == {"a": 1}


def test_links_to_elsewhere_are_followed_once(tmp_path):
    away = tmp_path / "away"
    sound(away / "deep/1.wav")
    sound(away / "2.wav")
    root = tmp_path / "data"
    sound(root / "a/1.wav")
    (root / "b").symlink_to(away)
    (root / "c").mkdir()
    (root / "c/linked.wav").symlink_to(away / "2.wav")
    (root / "c/gone.wav").symlink_to(away / "3.wav")
    data = read(root)
    assert data.counts() == {"a": 1, "b": 2, "c": 1}
    (problem,) = data.problems
    assert "gone.wav" in problem.message


@pytest.mark.parametrize("seed", range(5))
def test_any_links_among_folders_end_and_count_once(tmp_path, seed):
    import random

    rng = random.Random(seed)
    folders = [tmp_path / "root"]
    folders[0].mkdir()
    for n in range(12):
        folders.append(rng.choice(folders) / f"f{n}")
        folders[-1].mkdir()
        sound(folders[-1] / f"{n}.wav")
    for n in range(20):
        (rng.choice(folders) / f"l{n}").symlink_to(rng.choice(folders))
    found = recordings_under(folders[0])
    assert sorted(path.name for path in found.paths) == sorted(f"{n}.wav" for n in range(12))
    assert not any(part.startswith("l") for path in found.paths for part in path.relative_to(folders[0]).parts)


def test_long_and_foreign_names(tmp_path):
    long = "ö" * 120
    for label in (long, "晚", "a b", "x'\"&;"):
        sound(tmp_path / label / f"{long}.wav")
    deep = tmp_path / "deep"
    for _ in range(12):
        deep = deep / ("d" * 200)
    deep.mkdir(parents=True)
    (deep / "x.wav").write_bytes(sound(tmp_path / "a b/x.wav").read_bytes())
    (tmp_path / "a b/x.wav").unlink()
    data = read(tmp_path)
    assert data.counts() == dict.fromkeys((long, "晚", "a b", "x'\"&;", "deep"), 1)
    assert not data.problems


def test_names_that_are_no_text_are_left_out_and_named(tmp_path):
    sound(tmp_path / "a/1.wav")
    source = sound(tmp_path / "a/2.wav")
    try:
        os.rename(source, os.fsencode(tmp_path) + b"/a/\xff.wav")  # noqa: PTH104  a Path is text
    except OSError:
        pytest.skip("this file system takes no such name")
    (problem,) = read(tmp_path).problems
    assert r"\udcff.wav" in problem.message
    problem.message.encode()


def test_hidden_files_are_no_recordings(tmp_path):
    sound(tmp_path / "a/1.wav")
    for name in ("._1.wav", ".hidden.wav", "1.WAV.txt", "notes.md", "wav"):
        (tmp_path / "a" / name).write_bytes(b"\0")
    (tmp_path / "a/folder.wav").mkdir()
    (tmp_path / "a" / "LOUD.WAV").write_bytes(b"")
    assert [clip.path.name for clip in read(tmp_path).clips] == ["1.wav", "LOUD.WAV"]


@contextmanager
def as_nobody():
    """Root reads what no one may: be someone else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that every user can reach; pytest's own is its owner's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def closed(folder: Path) -> Path:
    folder.chmod(0)
    return folder


def test_an_unreadable_folder_is_named_and_the_rest_read(open_folder):
    for label in ("a", "b", "c"):
        sound(open_folder / label / "1.wav")
    locked = closed(open_folder / "b")
    with as_nobody():
        data = read(open_folder)
    assert data.labels == ("a", "c")
    (problem,) = data.problems
    assert (problem.kind, problem.severity, problem.paths) == ("metadata", "warning", (locked,))
    assert "chmod" in problem.message


@pytest.mark.parametrize("what", [".", "meta", "meta/esc50.csv"])
def test_unreadable_root_and_table_are_refused(what, open_folder):
    root = open_folder / "data"
    root.mkdir()
    next(tree for tree in TREES if tree.layout == "esc50").build(root)
    locked = closed(root / what)
    with as_nobody(), pytest.raises(Unusable, match="permission denied") as error:
        read(root)
    assert str(locked) in str(error.value)
    locked.chmod(0o755)


def test_an_unreadable_audio_folder_of_a_layout_is_named(open_folder):
    root = open_folder / "data"
    root.mkdir()
    next(tree for tree in TREES if tree.layout == "urbansound8k").build(root)
    locked = closed(root / "audio/fold3")
    with as_nobody():
        data = read(root)
    assert len(data.clips) == 18
    assert [locked in problem.paths for problem in data.problems] == [True, False]
    assert "2 of 20" in data.problems[1].message


def test_reading_needs_no_torch():
    import subprocess
    import sys

    code = "import sys; import xfer.train.data.layouts; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
