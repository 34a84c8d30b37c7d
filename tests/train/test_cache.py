"""The decoded cache: never wrong, whatever happens to its files, to the recordings or to the process."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xfer.runtime.audio import load
from xfer.runtime.errors import NotThere, Unusable
from xfer.train.data.cache import Store, fill
from xfer.train.data.cache import store as store_module
from xfer.train.data.check import KnownFacts
from xfer.train.data.clips import Clip
from xfer.train.data.waves import Waves

RATE = 16000


def make_clips(folder: Path, count: int, seconds: float = 0.5) -> list[Clip]:
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number in range(count):
        path = folder / f"{number:04}.wav"
        if not path.exists():
            noise = np.random.default_rng(number).uniform(-0.9, 0.9, int(seconds * 22050))
            soundfile.write(path, noise, 22050)
        clips.append(Clip(path, "ab"[number % 2], str(number)))
    return clips


def right(store: Store, clips: list[Clip]) -> bool:
    """Does the store give what the files hold?"""
    waves = Waves(RATE, store)
    return all(np.abs(waves.samples(clip) - load(clip.path, RATE).samples).max() < 4e-5 for clip in clips)


def kept(store: Store, clips: list[Clip]) -> int:
    """How many clips need no decoding."""
    told: list[tuple[int, int]] = []
    fill(store, clips, (RATE,), workers=1, progress=lambda done, of: told.append((done, of)))
    return told[0][0]


def shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.i16"))


def test_a_second_time_nothing_is_decoded(tmp_path):
    clips = make_clips(tmp_path / "data", 5)
    with Store(tmp_path / "cache") as store:
        assert kept(store, clips) == 0
        assert kept(store, clips) == 5
    with Store(tmp_path / "cache") as store:
        assert kept(store, clips) == 5
        assert right(store, clips)


def test_a_file_that_was_replaced_is_read_anew_even_with_its_old_size_and_time(tmp_path):
    clips = make_clips(tmp_path / "data", 2)
    with Store(tmp_path / "cache") as store:
        fill(store, clips, (RATE,))
    path, before = clips[0].path, clips[0].path.stat()
    time.sleep(0.02)
    soundfile.write(path, np.random.default_rng(99).uniform(-0.5, 0.5, 11025), 22050)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    with Store(tmp_path / "cache") as store:
        assert kept(store, clips) == 1
        assert right(store, clips)


def test_equal_files_are_kept_once_wherever_they_lie(tmp_path):
    clips = make_clips(tmp_path / "data", 3)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    with Store(tmp_path / "cache") as store:
        fill(store, clips, (RATE,))
        size = store.size()
        fill(store, make_clips(tmp_path / "copy", 3), (RATE,))
        assert store.size() == size
        assert right(store, make_clips(tmp_path / "copy", 3))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    share=st.floats(0, 1),
    how=st.sampled_from(["cut", "flip", "zero", "gone"]),
    what=st.sampled_from(["shard", "index"]),
)
def test_a_damaged_cache_is_never_believed(tmp_path, share, how, what):
    clips = make_clips(tmp_path / "data", 4)
    cache = tmp_path / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    with Store(cache) as store:
        fill(store, clips, (RATE,))
    victim = shards(cache)[0] if what == "shard" else next(cache.rglob("index.sqlite"))
    content = bytearray(victim.read_bytes())
    at = min(int(share * len(content)), len(content) - 1)
    if how == "gone":
        victim.unlink()
    else:
        if how == "cut":
            content = content[:at]
        elif how == "flip":
            content[at] ^= 0x55
        else:
            content[at : at + 4096] = bytes(len(content[at : at + 4096]))
        victim.write_bytes(content)
    with Store(cache) as store:
        assert right(store, clips)
        fill(store, clips, (RATE,))
        assert right(store, clips)
        assert kept(store, clips) == 4


@pytest.mark.parametrize(
    "change",
    [
        "update piece set scale = scale * 2",
        "update piece set at = at + 1",
        "update piece set count = count - 100",
        "update file set frames = frames / 2",
        "update file set digest = (select max(digest) from file)",
        "update facts set body = replace(body, '22050', '44100')",
    ],
)
def test_a_row_that_was_changed_counts_as_absent(tmp_path, change):
    clips = make_clips(tmp_path / "data", 3)
    with Store(tmp_path / "cache") as store:
        fill(store, clips, (RATE,))
    with closing(sqlite3.connect(next((tmp_path / "cache").rglob("index.sqlite")))) as base:
        base.execute(change)
        base.commit()
    with Store(tmp_path / "cache") as store:
        assert right(store, clips)
        assert kept(store, clips) <= 1  # the largest digest may be a file's own
        assert kept(store, clips) == 3
        assert {facts.rate for facts in KnownFacts(store, clips, [])} == {22050}


def test_a_cache_of_another_version_is_not_used_and_is_the_first_to_go(tmp_path, monkeypatch):
    clips = make_clips(tmp_path / "data", 4)
    with Store(tmp_path / "cache") as store:
        fill(store, clips, (RATE,))
        size = store.size()
    monkeypatch.setattr(store_module, "DECODER", "another")
    with Store(tmp_path / "cache") as store:
        assert kept(store, clips) == 0
        assert right(store, clips)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    monkeypatch.setattr(store_module, "DECODER", "a third")
    monkeypatch.setattr(store_module, "SHARD_BYTES", size)
    with Store(tmp_path / "cache", limit_bytes=2 * size) as store:
        fill(store, clips, (RATE,))
        assert not store.full
        assert right(store, clips)
    assert sum(path.stat().st_size for path in shards(tmp_path / "cache")) <= 2 * size


def test_the_longest_unused_go_first_when_room_is_needed(tmp_path, monkeypatch):
    first, second, third = (
        make_clips(tmp_path / name, 4, seconds) for name, seconds in (("a", 0.5), ("b", 0.51), ("c", 0.52))
    )
    one = 4 * int(0.52 * RATE) * 2
    monkeypatch.setattr(store_module, "SHARD_BYTES", one)
    for clips in (first, second):
        with Store(tmp_path / "cache", limit_bytes=2 * one) as store:
            fill(store, clips, (RATE,))
    with Store(tmp_path / "cache", limit_bytes=2 * one) as store:
        assert kept(store, first) == 4  # used again: now the second set is the longest unused
    with Store(tmp_path / "cache", limit_bytes=2 * one) as store:
        fill(store, third, (RATE,))
        assert right(store, third)
    with Store(tmp_path / "cache", limit_bytes=2 * one) as store:
        assert kept(store, third) == 4
        assert kept(store, first) == 4
    with Store(tmp_path / "cache", limit_bytes=2 * one) as store:
        assert kept(store, second) == 0


@pytest.mark.parametrize("limit", [0, 10_000, 40_000])
def test_a_limit_below_a_shard_holds_too(tmp_path, limit):
    """8,000 samples of 2 bytes a clip: none, none and two fit."""
    clips = make_clips(tmp_path / "data", 6)
    with Store(tmp_path / "cache", limit_bytes=limit) as store:
        fill(store, clips, (RATE,))
        assert store.full
        assert store.size() <= limit
        assert right(store, clips)
    assert sum(path.stat().st_size for path in shards(tmp_path / "cache")) == {0: 0, 10_000: 0, 40_000: 32_000}[limit]


def test_what_does_not_fit_is_read_from_the_files(tmp_path, monkeypatch):
    clips = make_clips(tmp_path / "data", 6)
    monkeypatch.setattr(store_module, "SHARD_BYTES", 2 * 16000 + 100)
    with Store(tmp_path / "cache", limit_bytes=3 * 16000) as store:
        fill(store, clips, (RATE,))
        assert store.full
        assert 0 < store.size() <= 3 * 16000
        assert right(store, clips)


def test_a_full_disk_leaves_training_on_the_files(tmp_path, monkeypatch):
    clips = make_clips(tmp_path / "data", 3)
    monkeypatch.setattr(store_module, "SPARE_BYTES", 10**18)
    with Store(tmp_path / "cache") as store:
        fill(store, clips, (RATE,))
        assert store.full
        assert shards(tmp_path / "cache") == []
        assert right(store, clips)


KILLED = """
import sys
from pathlib import Path
from xfer.train.data.cache import Store, fill, fill as _
from xfer.train.data.clips import Clip
import xfer.train.data.cache.fill
sys.modules["xfer.train.data.cache.fill"].COMMIT_SECONDS = 0.0
clips = [Clip(path, "a", path.name) for path in sorted(Path(sys.argv[1]).glob("*.wav"))]
with Store(Path(sys.argv[2])) as store:
    fill(store, clips, (16000,), workers=1, progress=lambda done, of: print(done, flush=True))
"""


def test_a_fill_that_is_killed_goes_on_where_it_was(tmp_path):
    clips = make_clips(tmp_path / "data", 40)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(tmp_path / "cache")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    while int(process.stdout.readline()) < 15:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Store(tmp_path / "cache") as store:
        assert 13 <= kept(store, clips) < 40
        assert right(store, clips)


def test_two_processes_fill_one_cache_at_once(tmp_path):
    clips = make_clips(tmp_path / "data", 40)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(tmp_path / "cache")]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    with Store(tmp_path / "cache") as store:
        assert kept(store, clips) == 40
        assert right(store, clips)


def test_a_script_without_a_main_guard_may_use_several_workers(tmp_path):
    make_clips(tmp_path / "data", 70, 0.1)
    script = tmp_path / "script.py"
    script.write_text(KILLED.replace("workers=1", "workers=2"))
    command = [sys.executable, str(script), str(tmp_path / "data"), str(tmp_path / "cache")]
    told = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=told)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "70"


def test_several_workers_find_what_one_finds(tmp_path):
    clips = make_clips(tmp_path / "data", 70, 0.1)
    (tmp_path / "data" / "0007.wav").write_text("no recording\n")
    seen = []
    for workers in (1, 2):
        with Store(tmp_path / f"cache{workers}") as store:
            faults = fill(store, clips, (RATE,), workers=workers)
            assert [found.job.path.name for found in faults] == ["0007.wav"]
            good = [clip for clip in clips if clip.path.name != "0007.wav"]
            assert right(store, good)
            holds = [store.file(clip.path, "", store_module.stamp_of(clip.path)) for clip in good]
            seen.append([store.facts(each.digest, 0.0, None) for each in holds])
    assert seen[0] == seen[1]
    assert None not in seen[0]


def test_a_file_that_vanishes_is_a_fault(tmp_path):
    clips = make_clips(tmp_path / "data", 3)
    clips[1].path.unlink()
    with Store(tmp_path / "cache") as store:
        faults = fill(store, clips, (RATE,))
        assert [found.job.path for found in faults] == [clips[1].path]
        assert "no longer there" in faults[0].facts[0].message


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(NotThere, match="cache of decoded audio"):
        Store(tmp_path / "cache")


def test_a_limit_that_is_no_number_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_CACHE_GB", "much")
    with pytest.raises(Unusable, match="much"):
        Store(tmp_path / "cache")


@pytest.mark.skipif(sys.platform == "win32", reason="names are text there")
def test_a_name_that_is_no_text_is_kept_too(tmp_path):
    clip = make_clips(tmp_path / "data", 1)[0]
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    clip.path.rename(odd)
    with Store(tmp_path / "cache") as store:
        assert fill(store, [Clip(odd, "a", "g")], (RATE,)) == []
        assert right(store, [Clip(odd, "a", "g")])
