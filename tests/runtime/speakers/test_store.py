"""The store on disk: what comes back, what is refused, what a crash or a second process does to it."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
import signal
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.speakers.people import SIZE, crowd, person
from xfer.runtime.errors import NotThere, Unusable
from xfer.runtime.sealing import sealed_json
from xfer.runtime.speakers import Calibration, Store, locked, path_of, read_store, write_store
from xfer.runtime.speakers.binding import WITNESSES, Binding

KEY = "ab" * 32
WITNESS = np.arange(len(WITNESSES) * SIZE, dtype=np.float32).reshape(-1, SIZE)
CALIBRATION = Calibration(0.61, 0.01, 0.0, (0.0, 0.2), ("person 0", "person 1"), 2, "2026-11-23T10:00:00+01:00")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XFER_HOME", str(tmp_path))


def a_store(people: int = 2) -> Store:
    return Store(Binding(KEY, "tiny", "onnx fp32", WITNESS), tuple(crowd(people)), CALIBRATION)


def written(store: Store | None = None) -> Path:
    with locked():
        write_store(path_of(KEY), store or a_store())
    return path_of(KEY)


def same(one: Store, other: Store) -> bool:
    def plain(store: Store) -> object:
        return json.dumps(dataclasses.asdict(store), default=lambda array: array.tolist())

    return plain(one) == plain(other)


def test_what_was_written_comes_back() -> None:
    found = read_store(written())
    assert found is not None
    assert same(found, a_store())
    assert read_store(path_of("cd" * 32)) is None


def test_only_the_owner_may_read() -> None:
    old = os.umask(0)
    try:
        path = written()
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


def test_nothing_but_json_and_no_sound_is_kept() -> None:
    document = json.loads(written().read_bytes())
    assert document["schema"] == 1
    kept = document["people"][0]["recordings"][0]
    assert set(kept) == {"name", "sha256", "seconds", "added", "embeddings"}


def test_a_store_without_people_is_no_file() -> None:
    path = written()
    with locked():
        write_store(path, dataclasses.replace(a_store(), people=()))
    assert not path.exists()


def test_cut_off_anywhere_or_with_any_bit_turned_it_is_refused() -> None:
    path = written()
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in [0, 1, *rng.integers(2, len(whole), 40).tolist(), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(Unusable, match=re.escape(str(path))) as told:
            read_store(path)
        assert "xfer speakers add" in str(told.value)
    for at in rng.integers(0, len(whole), 60).tolist():
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1 :])
        with pytest.raises(Unusable, match=r"damaged|upgrade"):
            read_store(path)


def altered(**changes: object) -> Path:
    """A store with some keys changed, sealed anew: not damaged, but not as it should be."""
    path = written()
    document = json.loads(path.read_bytes()) | changes
    document.pop("seal")
    path.write_text(sealed_json(json.dumps(document)))
    return path


def test_without_its_seal_it_is_refused() -> None:
    path = written()
    document = json.loads(path.read_bytes())
    document.pop("seal")
    path.write_text(json.dumps(document))
    with pytest.raises(Unusable, match="seal is missing"):
        read_store(path)


def test_from_a_newer_xfer_it_is_refused_with_the_way_out() -> None:
    with pytest.raises(Unusable, match="pip install -U xfer"):
        read_store(altered(schema=2, people={"in": "another form"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 0},
        {"schema": True},
        {"schema": "1"},
        {"people": []},
        {"people": {}},
        {"people": [{"name": "ann", "recordings": []}]},
        {"people": [{"name": "a\nb", "recordings": [1]}]},
        {"embedding_size": 7},
        {"embedding_size": -1},
        {"calibration": {"threshold": 0.5}},
        {"unknown": 1},
    ],
)
def test_what_does_not_fit_the_schema_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Unusable, match="damaged"):
        read_store(altered(**changes))


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    path = written()
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(Unusable):
        read_store(path)
    assert not (tmp_path / "sprung").exists()


def _add_one(number: int) -> None:
    with locked():
        store = read_store(path_of(KEY)) or Store(a_store().binding)
        time.sleep(0.02)  # long enough for another to come between, if it could
        write_store(path_of(KEY), store.with_person(person(f"somebody {number}", number)))


def test_several_processes_at_once_lose_nobody() -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        pool.map(_add_one, range(16), chunksize=1)
    found = read_store(path_of(KEY))
    assert found is not None
    assert {each.name for each in found.people} == {f"somebody {k}" for k in range(16)}


def _write_for_ever(ready: object) -> None:
    k = 0
    while True:
        with locked():
            write_store(path_of(KEY), a_store(2 + k % 3))
        k += 1
        ready.set()  # type: ignore[attr-defined]


def test_killed_while_it_writes_it_leaves_a_whole_store_and_no_lock() -> None:
    context = multiprocessing.get_context("fork")
    for wait in (0.0, 0.003, 0.007, 0.011, 0.017):
        ready = context.Event()
        process = context.Process(target=_write_for_ever, args=(ready,))
        process.start()
        assert ready.wait(20)
        time.sleep(wait)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        with locked(seconds=1.0):
            found = read_store(path_of(KEY))
        assert found is not None
        assert len(found.people) in (2, 3, 4)


def test_who_waits_too_long_is_told() -> None:
    context = multiprocessing.get_context("fork")
    with locked():
        told = context.Queue()
        process = context.Process(target=_wait_shortly, args=(told,))
        process.start()
        assert "another xfer" in told.get(timeout=20)
        process.join()


def _wait_shortly(told: object) -> None:
    try:
        with locked(seconds=0.1):
            told.put("got in")  # type: ignore[attr-defined]
    except NotThere as error:
        told.put(str(error))  # type: ignore[attr-defined]


def test_a_full_disk_leaves_the_old_store(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    path = written()
    before = path.read_bytes()

    def write_much() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with locked():
                write_store(path, a_store(4))
        except OSError:
            os._exit(7)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=write_much)
    process.start()
    process.join()
    assert process.exitcode == 7
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == [".lock", path.name]
