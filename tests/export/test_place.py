"""Placing: a crash, a full disk or a refusal leaves the old model or the new one, and nothing beside it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from xfer.export import place
from xfer.runtime.errors import Unusable


def folder(path: Path, word: str) -> Path:
    path.mkdir(parents=True)
    (path / "model.bin").write_text(word)
    (path / f"only-{word}").touch()
    return path


def test_a_file_replaces_the_older(tmp_path: Path) -> None:
    target = tmp_path / "models" / "speaker.onnx"
    with place.workplace(target) as work:
        place.write_file(work / "speaker.onnx", b"one")
        place.put_in_place(work / "speaker.onnx", target)
    with place.workplace(target) as work:
        place.write_file(work / "speaker.onnx", b"two")
        assert target.read_bytes() == b"one"
        assert work.name.startswith(".")  # hidden from whoever lists models
        place.put_in_place(work / "speaker.onnx", target)
    assert target.read_bytes() == b"two"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_replaces_the_older_whole(in_one_step: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not in_one_step:  # a system without an exchange of names
        monkeypatch.setattr(place, "_exchange", lambda one, other: False)
    target = folder(tmp_path / "models" / "speaker.openvino", "old")
    with place.workplace(target) as work:
        place.put_in_place(folder(work / "speaker.openvino", "new"), target)
    assert sorted(path.name for path in target.iterdir()) == ["model.bin", "only-new"]
    assert list(target.parent.iterdir()) == [target]


def test_linux_exchanges_two_names_in_one_step(tmp_path: Path) -> None:
    if not hasattr(place.ctypes.CDLL(None), "renameat2"):
        pytest.skip("this system has no renameat2: two renames are used")
    one, other = folder(tmp_path / "one", "a"), folder(tmp_path / "other", "b")
    assert place._exchange(one, other)
    assert (one / "model.bin").read_text() == "b"
    assert (other / "model.bin").read_text() == "a"


def test_an_error_leaves_nothing_and_names_the_target(tmp_path: Path) -> None:
    target = tmp_path / "models" / "speaker.onnx"
    with pytest.raises(OSError, match=r"speaker\.onnx") as raised, place.workplace(target) as work:  # noqa: PT012
        (work / "half").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(target)
    assert list(target.parent.iterdir()) == []


def test_a_folder_where_a_file_should_go(tmp_path: Path) -> None:
    target = tmp_path / "speaker.onnx"
    target.mkdir()
    with place.workplace(target) as work:
        place.write_file(work / "speaker.onnx", b"new")
        with pytest.raises(Unusable, match="is a folder"):
            place.put_in_place(work / "speaker.onnx", target)
    assert target.is_dir()


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(Unusable, match="--out"), place.workplace(tmp_path / "models" / "speaker.onnx"):
        pass


def test_the_older_model_is_named(tmp_path: Path) -> None:
    assert place.older_in(tmp_path / "models", ".onnx") == ""
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"x")
    assert "a.onnx, of 20" in place.older_in(tmp_path, ".onnx", "a")
    assert "the other 1" in place.older_in(tmp_path, ".onnx")
    assert place.older_in(tmp_path, ".openvino") == ""
