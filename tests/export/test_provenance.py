"""Hashes of code and data, and the git commit, wherever the package lies."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.export.nets import small_checkpoint
from tests.runtime.test_card_schema import validator
from xfer.export.describe import card_of
from xfer.export.formats import FORMS
from xfer.export.provenance import changed_since, code_sha256, commit, package_folder, provenance_of
from xfer.train.data.clips import Clip, DataSet
from xfer.train.data.digest import manifest_sha256


def package(root: Path) -> Path:
    folder = root / "xfer"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("one = 1\n")
    (folder / "inner" / "a.py").write_text("two = 2\nthree = 3\n")
    (folder / "page.css").write_text("p {}")
    return folder


def test_equal_code_has_an_equal_hash_wherever_and_however_it_lies(tmp_path: Path) -> None:
    one, two = package(tmp_path / "one"), package(tmp_path / "two" / "site-packages")
    assert code_sha256(one) == code_sha256(two)
    for path in two.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # as git checks out on Windows
    (two / "__pycache__").mkdir()
    (two / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"compiled")
    assert code_sha256(one) == code_sha256(two)


def test_other_code_has_another_hash(tmp_path: Path) -> None:
    found = {code_sha256(package(tmp_path / "0"))}
    for k, change in enumerate(
        (
            lambda folder: (folder / "inner" / "a.py").write_text("two = 2\nthree = 4\n"),
            lambda folder: (folder / "inner" / "a.py").rename(folder / "inner" / "b.py"),
            lambda folder: (folder / "inner" / "a.py").rename(folder / "a.py"),
            lambda folder: (folder / "b.py").write_text(""),
            lambda folder: (folder / "__init__.py").write_text("one = 1\ntwo = 2\n"),
        ),
        start=1,
    ):
        folder = package(tmp_path / str(k))
        change(folder)
        found.add(code_sha256(folder))
    assert len(found) == 6


def test_the_hash_is_that_of_the_files_as_they_lie() -> None:
    """Said once more in another way, for this very package."""
    root = package_folder()
    files = sorted((path for path in root.rglob("*.py")), key=lambda path: path.relative_to(root).parts)
    assert len(files) > 100
    whole = b"".join(
        b"%s\n%d\n%s" % (path.relative_to(root).as_posix().encode(), len(content), content)
        for path in files
        for content in [path.read_bytes().replace(b"\r\n", b"\n")]
    )
    assert code_sha256() == hashlib.sha256(whole).hexdigest()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    folder = package(tmp_path / "house")
    for words in (
        ["init", "--quiet"],
        ["add", "xfer"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "first"],
    ):
        subprocess.run(["git", "-C", str(tmp_path / "house"), *words], check=True)
    return folder


def test_the_commit_of_the_package(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = (repository.parent / ".git" / "refs" / "heads").iterdir().__next__().read_text().strip()
    assert commit(repository) == {"commit": head, "commit_changed": False}
    (repository.parent / "notes.txt").write_text("not of the package")
    assert commit(repository)["commit_changed"] is False
    (repository / "inner" / "a.py").write_text("two = 3\n")
    assert commit(repository) == {"commit": head, "commit_changed": True}
    monkeypatch.setenv("GIT_DIR", str(repository / "nowhere"))  # as in a hook of another repository
    assert commit(repository)["commit"] == head


def test_a_package_inside_a_repository_of_the_users_own_has_no_commit(repository: Path) -> None:
    installed = package(repository.parent / ".venv" / "site-packages")
    assert commit(installed) == {}
    (repository.parent / ".gitignore").write_text(".venv\n")
    assert commit(installed) == {}


def test_without_git_there_is_no_commit(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit(package(tmp_path / "elsewhere")) == {}
    broken = tmp_path / "broken"
    shutil.copytree(repository.parent, broken)
    (broken / ".git" / "HEAD").write_text("nonsense")
    assert commit(broken / "xfer") == {}
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert commit(repository) == {}
    if os.name == "posix":
        (tmp_path / "bin" / "git").write_text("#!/bin/sh\nexit 128\n")
        (tmp_path / "bin" / "git").chmod(0o755)
        assert commit(repository) == {}


def own_data(root: Path) -> DataSet:
    return DataSet("d", root, "folders", "sound", "", (Clip(root / "a.wav", "a", "g", split="train"),))


def test_the_data_of_a_run(tmp_path: Path) -> None:
    """What training wrote down counts; a checkpoint from before has its data hashed as it lies now."""
    data = own_data(tmp_path)
    old = small_checkpoint(tmp_path / "run")
    assert "data_sha256" not in provenance_of(old)
    assert provenance_of(old, data)["data_sha256"] == manifest_sha256(data)
    assert not changed_since(old, data)
    new = replace(old, data=old.data | {"manifest_sha256": "a" * 64})
    assert provenance_of(new, data)["data_sha256"] == provenance_of(new)["data_sha256"] == "a" * 64
    assert changed_since(new, data)
    assert not changed_since(replace(old, data={"manifest_sha256": manifest_sha256(data)}), data)


def test_a_card_says_all_of_it(tmp_path: Path) -> None:
    checkpoint = small_checkpoint(tmp_path / "run")
    card = card_of(checkpoint, "a", FORMS[0], None, own_data(tmp_path))
    document = json.loads(card.to_json())
    validator().validate(document)
    found = document["provenance"]
    assert {"checkpoint_sha256", "data_sha256", "code_sha256", "run", "created", "xfer", "python", "torch"} <= set(
        found
    )
    assert card.threshold_origin == "uncalibrated"
    assert "uncalibrated" in card.description
