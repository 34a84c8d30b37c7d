"""Tar shards: real recordings there and back, cut and damaged ones, writers killed, servers that lie."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.runtime.audio import decode
from xfer.runtime.errors import FileNotThere, Unusable
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.layouts import read
from xfer.train.data.shards import fetch_shards, is_remote, read_member, scan, write_shards
from xfer.train.data.splits import split
from xfer.train.recipe import DataRecipe


def some(data: DataSet, step: int) -> DataSet:
    return data.with_clips(data.clips[::step])


def told(clips) -> Counter:
    return Counter((clip.label, clip.group, clip.split, clip.fold, clip.values) for clip in clips)


def source(clip: Clip) -> str:
    return json.loads(read_member(clip.path, clip.member.rpartition(".")[0] + ".json"))["source"]


def samples(clip: Clip, tmp_path: Path) -> np.ndarray:
    copy = tmp_path / f"copy{Path(clip.member).suffix}"
    copy.write_bytes(read_member(clip.path, clip.member))
    return decode(copy).samples


@pytest.fixture(scope="module")
def esc(tmp_path_factory) -> tuple[DataSet, Path]:
    """A part of ESC-10 and its shards."""
    data = some(read(recordings("esc10")), 4)
    folder = tmp_path_factory.mktemp("esc") / "shards"
    write_shards(data, folder, shard_bytes=1_500_000)
    return data, folder


@pytest.mark.parametrize("name", ["spoken_digits", "music_fma_layout"])
def test_there_and_back(name, tmp_path):
    data = some(read(recordings(name)), 8)
    data = replace(data, background=(data.clips[0].path,), value_names=("a", "b"), attribution="somebody")
    data = data.with_clips(tuple(replace(c, values=(i / 3, -1.0), fold=i % 3) for i, c in enumerate(data.clips)))
    calls: list[tuple[int, int]] = []
    shards = write_shards(data, tmp_path / "s", shard_bytes=500_000, progress=lambda *done: calls.append(done))
    back = read(tmp_path / "s")
    assert (back.layout, back.task, back.net) == ("webdataset", data.task, data.net)
    assert (back.licence, back.attribution, back.value_names) == (data.licence, "somebody", ("a", "b"))
    assert (back.problems, back.labels) == ((), data.labels)
    assert told(back.clips) == told(data.clips)
    assert back.background[0].read_bytes() == data.clips[0].path.read_bytes()
    assert calls == [(i + 1, len(data.clips)) for i in range(len(data.clips))]
    assert len(shards) > 3
    assert {path.name.split("-")[0] for path in shards} == {clip.split or "clips" for clip in data.clips}
    originals = {clip.path.relative_to(data.root).as_posix(): clip for clip in data.clips}
    for clip in back.clips:
        original = originals[source(clip)]
        assert read_member(clip.path, clip.member) == original.path.read_bytes()
        assert (clip.label, clip.group) == (original.label, original.group)
    np.testing.assert_array_equal(samples(clip, tmp_path), decode(original.path).samples)


def test_a_split_is_the_same_from_shards(tmp_path):
    """Groups travel, so machines that read shards hold out what those with the folder hold out."""
    data = read(recordings("wake_words"))
    bare = some(data, 3).with_clips(tuple(replace(clip, split=None) for clip in some(data, 3).clips))
    write_shards(bare, tmp_path / "s")
    back = split(read(tmp_path / "s"), DataRecipe())
    there = {c.path.relative_to(data.root).as_posix(): c.split for c in split(bare, DataRecipe()).clips}
    assert {source(clip): clip.split for clip in back.clips} == there


def test_webdatasets_own_reader_reads_ours(esc):
    """The independent oracle: the library that others read shards with."""
    wds = pytest.importorskip("webdataset")
    data, folder = esc
    seen = list(wds.WebDataset([str(path) for path in sorted(folder.glob("*.tar"))], shardshuffle=False))
    assert len(seen) == len(data.clips)
    by_name = {clip.path.relative_to(data.root).as_posix(): clip for clip in data.clips}
    for sample in seen:
        about = json.loads(sample["json"])
        assert by_name[about["source"]].label == about["label"]
        assert sample["ogg"] == by_name[about["source"]].path.read_bytes()
    # Reading onward gives all classes early.
    assert len({json.loads(sample["json"])["label"] for sample in seen[:30]}) == 10


def test_we_read_webdatasets_own_writer(tmp_path):
    wds = pytest.importorskip("webdataset")
    wav = (recordings("spoken_digits") / "one").glob("*.wav").__next__().read_bytes()
    with wds.ShardWriter(str(tmp_path / "val-%03d.tar"), maxcount=2, verbose=0) as writer:
        for i in range(5):
            writer.write({"__key__": f"a/b{i}", "wav": wav, "cls": i % 2, "json": {"note": "x"}})
    (tmp_path / "classes.txt").write_text("zebra\nape\n")
    data = read(tmp_path)
    assert Counter((clip.label, clip.split) for clip in data.clips) == {
        ("zebra", "validation"): 3,
        ("ape", "validation"): 2,
    }
    assert len({clip.group for clip in data.clips}) == 5
    assert data.problems == ()


def tar(path: Path, members, form=tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as file:
        for member in members:
            info, content = (
                member if isinstance(member[0], tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
            )
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_foreign_shards(tmp_path, form):
    """What others write: numbers without names, text, folders as classes, sides by folder, long names, more kinds."""
    long = "x" * (60 if form == tarfile.USTAR_FORMAT else 220)
    tar(
        tmp_path / "train" / "0.tar",
        [
            ("1.wav", b"a"), ("1.cls", b"7\n"),
            ("2.txt", b"dog\n"), ("2.MP3", b"b"),
            ("cat/é.flac", b"c"),
            (f"{long}.opus", b"d"), (f"{long}.json", b'{"label": "Wal rus", "group": "g", "fold": 3}'),
            ("3.ogg", b"e"), ("3.json", b'{"class": "bee", "split": "dev", "values": [1, 2.5]}'),
            ("4.jpg", b"f"), ("4.json", b'{"label": "image"}'),
            ("README", b"g"), (".hidden.wav", b"h"),
        ],
        form,
    )  # fmt: skip
    data = read(tmp_path)
    found = {clip.member: (clip.label, clip.split, clip.fold, clip.values) for clip in data.clips}
    assert found == {
        "1.wav": ("7", "train", None, ()),
        "2.MP3": ("dog", "train", None, ()),
        "cat/é.flac": ("cat", "train", None, ()),
        f"{long}.opus": ("Wal rus", "train", 3, ()),
        "3.ogg": ("bee", "validation", None, (1.0, 2.5)),
    }
    assert [read_member(clip.path, clip.member) for clip in data.clips] == [b"a", b"b", b"c", b"d", b"e"]
    assert data.problems == ()
    assert len(read(tmp_path / "train" / "0.tar").clips) == 5


def test_what_is_told_is_not_believed(tmp_path):
    deep = b"[" * 100_000
    link = tarfile.TarInfo("7.wav")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    path = tar(
        tmp_path / "0.tar",
        [
            ("1.wav", b"a"), ("1.json", b'{"label": ["dog"], "group": 7, "fold": true, "values": [1e999]}'),
            ("2.wav", b"b"), ("2.json", b"{broken"),
            ("3.wav", b"c"), ("3.json", deep),
            ("4.wav", b"d"), ("4.json", b'["label"]'), ("4.txt", "ü".encode("latin-1")),
            ("../../evil.wav", b"e"), ("../../evil.json", b'{"label": "bad"}'),
            ("/abs.wav", b"f"), ("/abs.json", b'{"label": "bad", "split": "moon", "fold": 1.5, "values": [NaN]}'),
            (link, b""), ("7.json", b'{"label": "bad"}'),
            ("8.wav", b"g"), ("8.json", json.dumps({"label": "x\n"}).encode()),
            ("9.wav", b"first"), ("9.json", b'{"label": "ok"}'), ("9.wav", b"second"),
        ],
    )  # fmt: skip
    data = read(tmp_path)
    found = [(clip.member, clip.label) for clip in data.clips]
    assert found == [("../../evil.wav", "bad"), ("/abs.wav", "bad"), ("9.wav", "ok")]
    assert read_member(path, "9.wav") == b"first"
    assert all(clip.path == path and clip.values == () and clip.fold is None for clip in data.clips)
    assert [p.name for p in tmp_path.iterdir()] == ["0.tar"]
    said = " ".join(problem.message for problem in data.problems)
    assert all(word in said for word in ("5 recordings without a label", "1.wav", "4 members", "2.json", "9.wav"))
    with pytest.raises(Unusable, match=r"7\.wav"):
        read_member(path, "7.wav")


def test_labels_beyond_the_list_of_classes_are_left_out(tmp_path):
    tar(
        tmp_path / "0.tar",
        [("1.wav", b"a"), ("1.cls", b"1"), ("2.wav", b"b"), ("2.cls", b"5"), ("3.wav", b"c"), ("3.cls", b"-1")],
    )
    (tmp_path / "classes.txt").write_text("no\nyes")
    data = read(tmp_path)
    assert [clip.label for clip in data.clips] == ["yes"]
    assert "2 recordings without a label" in data.problems[0].message


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_shard_cut_anywhere_gives_what_came_before(esc, tmp_path, draw):
    _, folder = esc
    whole = sorted(folder.glob("train-*.tar"))[0]
    shard = scan(whole)
    ends = {member.name: member.at + member.size for member in shard.members}
    size = whole.stat().st_size
    content_end = max(ends.values())
    near = [end + d for end in ends.values() for d in (-1, 0, 1, 511, 512, 513)]
    at = draw.draw(st.one_of(st.integers(0, size - 1), st.sampled_from([n for n in near if n < size])))
    cut = tmp_path / "cut" / "train-000000.tar"
    cut.parent.mkdir(exist_ok=True)
    cut.write_bytes(whole.read_bytes()[:at])
    expected = {
        name for name, end in ends.items() if name.endswith(".ogg") and max(end, ends[name[:-3] + "json"]) <= at
    }
    try:
        data = read(cut.parent)
    except Unusable as error:
        assert not expected
        assert "train-000000.tar" in str(error)  # noqa: PT017  what is raised depends on where it was cut
        return
    assert {clip.member for clip in data.clips} == expected
    if at < content_end:
        (problem,) = [p for p in data.problems if p.kind == "truncated"]
        assert problem.paths == (cut,)
        assert f"{len(expected)} clips" in problem.message
    for clip in data.clips[-1:]:
        assert read_member(clip.path, clip.member) == read_member(whole, clip.member)


def test_the_last_recording_before_a_cut_is_not_labelled_by_its_folder(tmp_path):
    """Its label was in a member behind the cut."""
    path = tar(tmp_path / "0.tar", [(f"part1/{i}.{kind}", b"dog") for i in range(3) for kind in ("wav", "txt")])
    last = scan(path).members[-1]
    path.write_bytes(path.read_bytes()[: last.at - 512])
    data = read(tmp_path)
    assert [(clip.member, clip.label) for clip in data.clips] == [("part1/0.wav", "dog"), ("part1/1.wav", "dog")]
    assert [problem.kind for problem in data.problems] == ["truncated"]


@given(st.binary(max_size=3000), st.integers(0, 20_000), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_named_never_a_crash(tmp_path, content, at, alone):
    """Random bytes as a shard, or written over a good one anywhere, headers included."""
    path = tar(
        tmp_path / "0.tar",
        [(f"{i}.{kind}", b"x" * 300) for i in range(5) for kind in ("wav", "txt")],
        tarfile.PAX_FORMAT,
    )
    good = path.read_bytes()
    path.write_bytes(content if alone else good[:at] + content + good[at + len(content) :])
    try:
        data = read(tmp_path)
    except (Unusable, FileNotThere) as error:
        assert "0.tar" in str(error) or str(tmp_path) in str(error)  # noqa: PT017
        return
    size = path.stat().st_size
    for member in scan(path).members:
        assert 0 <= member.at <= member.at + member.size <= size
    assert all(clip.path == path for clip in data.clips)


def test_missing_foreign_and_other_shards_are_named(esc, tmp_path):
    _, folder = esc
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    names = sorted(path.name for path in copy.glob("*.tar"))
    (copy / names[0]).unlink()
    (copy / names[1]).write_bytes((copy / names[1]).read_bytes()[:-20_000])
    (copy / names[2]).write_bytes(b"garbage" * 1000)
    (copy / "other.tar").write_bytes((copy / names[3]).read_bytes())
    found = read(copy)
    said = {(problem.kind, problem.severity): problem for problem in found.problems}
    assert names[0] in said["truncated", "error"].message or any(names[0] in p.message for p in found.problems)
    assert {p.kind for p in found.problems if any(path.name == names[1] for path in p.paths)} == {"truncated"}
    assert any(p.kind == "unreadable" and p.paths == (copy / names[2],) for p in found.problems)
    assert any("other.tar" in p.message for p in found.problems if p.severity == "warning")
    assert not [clip for clip in found.clips if clip.path.name in ("other.tar", names[0], names[2])]
    manifest = json.loads((copy / "shards.json").read_text())
    lost = sum(shard["clips"] for shard in manifest["shards"] if shard["name"] == names[0])
    assert f"1 of {len(names)} shards are not there, and with them {lost} clips" in " ".join(
        p.message for p in found.problems
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["shards"][0].update(name="../up.tar"), "name"),
        (lambda m: m["shards"][0].update(bytes="many"), "size"),
        (lambda m: m.pop("task"), "task"),
        (lambda m: m.update(schema=99), "newer"),
        (lambda m: m.update(complete=False), "never finished"),
        (lambda m: m.update(notes=[1]), "no text"),
    ],
)
def test_a_list_of_shards_that_lies(esc, tmp_path, change, message):
    _, folder = esc
    manifest = json.loads((folder / "shards.json").read_text())
    change(manifest)
    (tmp_path / "shards.json").write_text(json.dumps(manifest))
    with pytest.raises(Unusable, match=message):
        read(tmp_path)


def test_the_same_data_gives_the_same_bytes_and_other_shards_stay(esc, tmp_path):
    data, folder = esc
    time.sleep(1.1)  # tar counts whole seconds
    again = write_shards(data.with_clips(data.clips[::-1]), tmp_path / "again", shard_bytes=1_500_000)
    for path in [*again, tmp_path / "again" / "shards.json"]:
        assert path.read_bytes() == (folder / path.name).read_bytes()
    with pytest.raises(Unusable, match="already holds shards"):
        write_shards(data, folder)
    foreign = tar(tmp_path / "f" / "0.tar", [("1.wav", b"a")]).parent
    with pytest.raises(Unusable, match="already holds shards"):
        write_shards(data, foreign)
    assert [path.name for path in foreign.iterdir()] == ["0.tar"]


def test_stretches_of_files(tmp_path):
    """Cut out at their own rate with all their channels: exact from 16, 24 bits and floats, and within a shard."""
    rng = np.random.default_rng(0)
    sound = rng.uniform(-1, 1, (48_000, 2))
    sound[0], sound[1] = 1.0, -1.0
    root = tmp_path / "d"
    root.mkdir()
    soundfile.write(root / "a16.wav", sound, 24_000, subtype="PCM_16")
    soundfile.write(root / "b24.flac", sound[:, 0], 24_000, subtype="PCM_24")
    soundfile.write(root / "c32.wav", sound * 1.5, 24_000, subtype="FLOAT")
    soundfile.write(root / "d.ogg", sound * 0.3, 24_000)
    clips = tuple(
        Clip(root / name, name[0], f"{name} {at}", None, at, length)
        for name in ("a16.wav", "b24.flac", "c32.wav", "d.ogg")
        for at, length in ((0.0, 0.5), (0.51237, 0.25), (1.75, None), (1.9, 5.0))
    )
    data = DataSet("d", root, "manifest", "sound", "convnet", clips)
    write_shards(data, tmp_path / "s")
    back = {clip.group: clip for clip in read(tmp_path / "s").clips}
    assert len(back) == len(clips)
    for clip in clips:
        stored = back[clip.group]
        content = read_member(stored.path, stored.member)
        found, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
        first = round(clip.offset * 24_000)
        last = None if clip.duration is None else first + round(clip.duration * 24_000)
        wanted = soundfile.read(clip.path, dtype="float32", always_2d=True)[0][first:last]
        assert rate == 24_000
        assert stored.member.endswith(".wav" if clip.label == "c" else ".flac")
        if clip.label == "d":
            np.testing.assert_allclose(found, wanted, atol=2**-23)
        else:
            np.testing.assert_array_equal(found, wanted)
        assert (stored.offset, stored.duration) == (0.0, None)
    inside = [
        replace(clip, offset=0.1, duration=0.1)
        for clip in list(back.values())
        if clip.label == "a" and clip.group != "a16.wav 1.9"
    ]
    write_shards(data.with_clips(tuple(inside)), tmp_path / "again")
    found = {clip.group: clip for clip in read(tmp_path / "again").clips}
    for clip in inside:
        np.testing.assert_array_equal(samples(found[clip.group], tmp_path), samples(clip, tmp_path)[2400:4800])
    with pytest.raises(Unusable, match="ends before"):
        write_shards(data.with_clips((replace(clips[0], offset=9.0),)), tmp_path / "beyond")


WRITE = """
import sys
from pathlib import Path
from xfer.train.data.layouts import read
from xfer.train.data.shards import write_shards
data = read(Path(sys.argv[1]))
def tell(done, of):
    if done == 200:
        print("now", flush=True)
        sys.stdin.readline()
write_shards(data, Path(sys.argv[2]), shard_bytes=1_000_000, progress=tell)
"""


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_writer_that_is_stopped_leaves_no_data_set(tmp_path, stop):
    digits = recordings("spoken_digits")
    out = tmp_path / "s"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(digits), str(out)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"now\n"
    writer.send_signal(stop)
    writer.communicate()
    whole = sorted(out.glob("*.tar"))
    assert whole
    assert all(not scan(path).damage for path in whole)  # what has a shard's name is a whole shard
    assert bool(list(out.glob("*.part"))) == (stop == signal.SIGKILL)
    with pytest.raises(Unusable, match="never finished"):
        read(out)
    write_shards(some(read(digits), 20), out)
    assert len(read(out).clips) == 32
    assert not list(out.glob("*.part"))


def test_a_file_that_vanishes_ends_the_writing(tmp_path):
    for i in range(4):
        soundfile.write(tmp_path / f"{i}.wav", np.zeros(800), 8000)
    clips = tuple(Clip(tmp_path / f"{i}.wav", "a", str(i)) for i in range(5))
    with pytest.raises(FileNotThere, match=r"4\.wav"):
        write_shards(DataSet("d", tmp_path, "folders", "sound", "convnet", clips), tmp_path / "s")
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["shards.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_is_told(tmp_path, monkeypatch):
    from xfer.runtime.errors import NotThere
    from xfer.train.data.shards import writing

    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-1, 1, 80_000), 8000)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "clips-000000.tar.part").symlink_to("/dev/full")
    data = DataSet("d", tmp_path, "folders", "sound", "convnet", (Clip(tmp_path / "a.wav", "a", "a"),))
    with pytest.raises(NotThere, match="no space left"):
        write_shards(data, tmp_path / "s")
    assert not list((tmp_path / "s").glob("*.tar*"))
    assert writing.DRAFT == ".part"


class Server(ThreadingHTTPServer):
    """Serves a folder; counts what is asked for."""

    def __init__(self, folder: Path) -> None:
        asked = self.asked = []

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                asked.append(self.path)
                if self.path.startswith("/short/"):  # announces more than it sends
                    self.send_response(200)
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    self.wfile.write(b"x" * 1000)
                    self.close_connection = True
                    return
                super().do_GET()

        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(esc, monkeypatch, tmp_path):
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    served = Server(esc[1])
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def test_shards_are_fetched_once(esc, server):
    pytest.importorskip("webdataset")
    data, _ = esc
    pattern = server.address + "/train-{000000..000001}.tar"
    assert is_remote(pattern)
    assert is_remote(Path(pattern))
    found = read(pattern)
    assert found.layout == "webdataset"
    assert found.problems == ()
    assert {clip.split for clip in found.clips} == {"train"}
    assert set(told(found.clips)) <= set(told(data.clips))
    folder = fetch_shards(pattern)
    assert sorted(path.name for path in folder.iterdir()) == ["shards.json", "train-000000.tar", "train-000001.tar"]
    assert sorted(server.asked) == ["/shards.json", "/train-000000.tar", "/train-000001.tar"]
    assert read(Path(pattern)).clips == found.clips  # a Path loses a slash
    (folder / "train-000001.tar").unlink()
    fetch_shards(pattern)
    assert server.asked.count("/train-000000.tar") == 1
    assert server.asked.count("/train-000001.tar") == 2


def test_what_comes_damaged_is_not_kept(esc, server, tmp_path):
    pytest.importorskip("webdataset")
    _, folder = esc
    with pytest.raises(FileNotThere, match="no such file"):
        fetch_shards(server.address + "/none-000000.tar")
    with pytest.raises(FileNotThere, match="ended with 18"):
        fetch_shards(server.address + "/short/0.tar")
    half = tmp_path / "half"
    half.mkdir()
    shard = (folder / "train-000000.tar").read_bytes()
    (half / "train-000000.tar").write_bytes(shard[:-30_000])
    with pytest.raises(Unusable, match="cut off after"):
        fetch_shards(f"file:{half}/train-000000.tar")
    (half / "shards.json").write_bytes((folder / "shards.json").read_bytes())
    with pytest.raises(Unusable, match=f"{len(shard) - 30_000} of {len(shard)} bytes"):
        fetch_shards(f"file:{half}/train-000000.tar")
    (half / "train-000000.tar").write_bytes(shard[:1000] + b"?" + shard[1001:])
    with pytest.raises(Unusable, match="other bytes"):
        fetch_shards(f"file:{half}/train-{{000000..000000}}.tar")
    left = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert left == []


def test_a_pattern_of_local_files_copies_nothing(esc, server):
    _, folder = esc
    found = read(f"{folder}/{{train-000000,test-000000}}.tar")
    assert {clip.split for clip in found.clips} == {"train", "test"}
    assert all(clip.path.is_symlink() for clip in found.clips)
    assert server.asked == []


def test_same_names_from_two_folders(server, tmp_path):
    pytest.importorskip("webdataset")
    for side in ("train", "test"):
        tar(tmp_path / side / "000.tar", [("1.wav", side.encode()), ("1.txt", b"dog")])
    found = read(f"file:{tmp_path}/{{train,test}}/000.tar")
    assert {clip.split: read_member(clip.path, clip.member) for clip in found.clips} == {
        "train": b"train",
        "test": b"test",
    }


def test_commands_run_only_where_allowed(esc, server, tmp_path, monkeypatch):
    pytest.importorskip("webdataset")
    _, folder = esc
    command = f"pipe:touch {tmp_path}/ran; cat {folder}/train-{{000000..000001}}.tar"
    with pytest.raises(Unusable, match="XFER_PIPES=1"):
        read(command)
    with pytest.raises(Unusable, match="no shell"):
        fetch_shards(f"s3://bucket/a;touch {tmp_path}/ran;.tar")
    assert not (tmp_path / "ran").exists()
    monkeypatch.setenv("XFER_PIPES", "1")
    assert len(read(command).clips) == sum(len(scan(folder / f"train-00000{i}.tar").members) // 2 for i in (0, 1))
    with pytest.raises(FileNotThere, match="not installed"):
        fetch_shards("pipe:no-such-program-anywhere x.tar")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("http://h/a-{0..9.tar", "brace"),
        ("http://h/a-{0..9999999}.tar", "more than"),
        ("http://h/{a,b}{0..99998}.tar", "more than"),
    ],
)
def test_patterns_that_cannot_be(pattern, message):
    pytest.importorskip("webdataset")
    with pytest.raises(Unusable, match=message):
        fetch_shards(pattern)


def test_folders_are_no_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a{b}.tar").mkdir()
    for name in ("data", "C:/data", "pipes", "a{b}.tar", str(tmp_path)):
        assert not is_remote(name)


def test_recordings_beside_an_archive_are_a_folder_of_classes(tmp_path):
    """A downloaded archive beside what was unpacked from it is no data set of shards."""
    for label in "ab":
        (tmp_path / label).mkdir()
        soundfile.write(tmp_path / label / "1.wav", np.zeros(800), 8000)
    tar(tmp_path / "archive.tar", [("a/1.wav", b"x"), ("b/1.wav", b"x")])
    assert read(tmp_path).layout == "folders"


def test_many_members_take_little_memory_and_no_torch(tmp_path):
    """A worker imports the shards without torch, lists 8,000 members, and holds no sound."""
    path = tmp_path / "big.tar"
    with tarfile.open(path, "w") as file:
        for i in range(4_000):
            for kind, content in (("wav", b"\0" * 20_000), ("cls", b"1")):
                info = tarfile.TarInfo(f"{i:06d}.{kind}")
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    program = """
import resource, sys, time
from pathlib import Path
from xfer.train.data.layouts import read
from xfer.train.data.shards import read_member
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = read(Path(sys.argv[1]))
began = time.process_time()
assert all(len(read_member(clip.path, clip.member)) == 20_000 for clip in data.clips)
spent = time.process_time() - began
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(len(data.clips), grown / 1024, spent, "torch" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    clips, megabytes, seconds, torch = said.stdout.split()
    assert (clips, torch) == ("4000", "False")
    assert float(megabytes) < 40  # the sound is 80 MB
    assert float(seconds) < 4  # each read looks its place up, and does not list the shard again
    assert os.path.getsize(path) > 80_000_000  # noqa: PTH202
