"""Export from checkpoint to a file in its place, and every way in which it ends without one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.export.nets import LABELS, PLAIN_FORMS, small_checkpoint, small_net
from tests.recordings import recordings
from xfer.export.clips import real_windows
from xfer.export.formats import Form
from xfer.export.pipeline import export
from xfer.runtime.errors import AnswerIsNo, Unusable
from xfer.runtime.models import load_model
from xfer.runtime.selftest import verify
from xfer.train.checkpoint import Checkpoint

each_form = pytest.mark.parametrize("form", PLAIN_FORMS, ids=lambda form: f"{form.format}-{form.precision}")


def old_model(target: Path) -> str:
    """Something that was exported before, of the same kind; its digest."""
    if target.suffix == ".openvino":
        target.mkdir(parents=True)
        (target / "model.bin").write_bytes(b"older weights" * 100)
    else:
        target.parent.mkdir(parents=True)
        target.write_bytes(b"older model file" * 100)
    return digest(target)


def digest(target: Path) -> str:
    files = sorted(path for path in ([target] if target.is_file() else target.rglob("*")) if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def broken_promise(folder: Path) -> Checkpoint:
    """A net whose front-end is not what it says: no export of it can be proved."""
    net = small_net("stft")
    net.frontend.basis.mul_(1.001)
    return small_checkpoint(folder, net=net)


@each_form
def test_a_proved_model_runs_and_verifies(form: Form, tmp_path: Path) -> None:
    checkpoint = small_checkpoint(tmp_path / "run")
    old_model(tmp_path / "models" / f"speaker{form.suffix}")
    told: list[str] = []
    exported = export(checkpoint, tmp_path / "models", form.format, form.precision, progress=told.append)
    assert exported.path == tmp_path / "models" / f"speaker{form.suffix}"
    assert [path.name for path in exported.path.parent.iterdir()] == [exported.path.name]
    model = load_model(exported.path)
    report = verify(model)
    assert report.equal
    assert len(report.rows) >= 8
    card = model.card
    assert (card.name, card.task, card.labels, card.format) == ("speaker", "speaker", LABELS, form.format)
    assert card.provenance["checkpoint_sha256"] == checkpoint.sha256
    assert card.parity["ok"]
    assert card.parity["scores"] <= card.parity["limits"]["scores"]
    assert card == exported.card
    stored = json.loads((tmp_path / "run" / f"parity-{form.format}.json").read_text())
    assert stored["ok"]
    assert stored["comparisons"] == len(stored["rows"]) > 200
    assert exported.size == sum(p.stat().st_size for p in [exported.path, *exported.path.rglob("*")] if p.is_file())
    assert told


@each_form
def test_a_failed_export_keeps_the_old_file_and_names_it(form: Form, tmp_path: Path) -> None:
    target = tmp_path / "models" / f"speaker{form.suffix}"
    before = old_model(target)
    with pytest.raises(AnswerIsNo) as refused:
        export(broken_promise(tmp_path / "run"), tmp_path / "models", form.format)
    said = str(refused.value)
    assert "trained front-end" in said
    assert f"the older {target}, of 20" in said
    assert digest(target) == before
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    report = json.loads((tmp_path / "run" / f"parity-{form.format}.json").read_text())
    assert not report["ok"]
    assert any(not row["ok"] for row in report["rows"])


def test_a_failed_export_without_an_older_file_leaves_none(tmp_path: Path) -> None:
    with pytest.raises(AnswerIsNo, match="was not written"):
        export(broken_promise(tmp_path / "run"), tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    net = small_net("stft")
    net.embed.weight.data[0, 0] = float("nan")
    with pytest.raises(Unusable, match="not finite"):
        export(small_checkpoint(tmp_path / "run", net=net), tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_metrics_that_are_no_numbers_do_not_stop_an_export(tmp_path: Path) -> None:
    checkpoint = small_checkpoint(tmp_path / "run")
    checkpoint.metrics["loss"] = float("nan")
    assert export(checkpoint, tmp_path / "models").card.metrics["loss"] is None


@pytest.mark.parametrize("name", ["../up", "a/b", "a\\b", ".hidden", "-o", "a\nb", "a:b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be a model's name"):
        export(small_checkpoint(tmp_path / "run"), tmp_path / "models", name=name)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root and mount")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mount is refused here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@each_form
def test_a_full_disk_leaves_nothing(form: Form, small_disk: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="speaker") as raised:
        export(small_checkpoint(tmp_path / "run"), small_disk / "models", form.format)
    assert raised.value.errno == errno.ENOSPC
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []


@each_form
def test_a_disk_that_takes_no_large_file_leaves_nothing(form: Form, tmp_path: Path) -> None:
    """The same without root: the system refuses files beyond 20 kB."""
    resource = pytest.importorskip("resource", reason="limits on file sizes are POSIX's")
    checkpoint = small_checkpoint(tmp_path / "run")
    target = tmp_path / "models" / f"speaker{form.suffix}"
    before = old_model(target)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="speaker"):
            export(checkpoint, tmp_path / "models", form.format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert digest(target) == before
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    def stop(line: str) -> None:
        if line.startswith("parity:"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(small_checkpoint(tmp_path / "run"), tmp_path / "models", progress=stop)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_run_that_may_only_be_read_has_no_report_and_says_so(tmp_path: Path) -> None:
    checkpoint = small_checkpoint(tmp_path / "run")
    (tmp_path / "run").chmod(0o500)
    told: list[str] = []
    try:
        if os.access(tmp_path / "run", os.W_OK):
            pytest.skip("this user may write everywhere")
        exported = export(checkpoint, tmp_path / "models", progress=told.append)
    finally:
        (tmp_path / "run").chmod(0o700)
    assert exported.report is None
    assert any("may only be read" in line for line in told)


def test_real_windows_of_the_runs_own_data(checkpoint: Callable[[str], Checkpoint], tmp_path: Path) -> None:
    """Windows of real speech from the validation side, as the verb hands them down, through parity."""
    root = recordings("spoken_digits")
    found = replace(checkpoint("convnet"), recipe={"data": {"path": str(root), "layout": ""}}, task="command")
    clips = real_windows(found, 3)
    assert len(clips) == 3
    assert all(window.shape == (66150,) and np.abs(window).max() > 0 for window in clips.values())
    exported = export(found, tmp_path / "models", clips=clips)
    assert exported.card.parity["real_inputs"] == 3


def test_real_windows_of_a_manifest(checkpoint: Callable[[str], Checkpoint], tmp_path: Path) -> None:
    files = sorted(recordings("spoken_digits").rglob("*.wav"))[:40]
    manifest = tmp_path / "mine.csv"
    manifest.write_text("path,label\n" + "".join(f"{file},{file.parent.name}\n" for file in files))
    found = replace(checkpoint("convnet"), recipe={"data": {"path": str(manifest), "layout": ""}}, task="command")
    assert len(real_windows(found, 3)) == 3


def test_a_command_that_a_checkpoint_names_is_not_run(checkpoint: Callable[[str], Checkpoint], tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    place = f"pipe:touch {trap}; cat {tmp_path}/none-{{000..001}}.tar"
    found = replace(checkpoint("convnet"), recipe={"data": {"path": place, "layout": "shards"}}, task="command")
    assert real_windows(found, 3) == {}
    assert not trap.exists()


def test_data_that_moved_gives_no_windows(checkpoint: Callable[[str], Checkpoint], tmp_path: Path) -> None:
    gone = replace(checkpoint("convnet"), recipe={"data": {"path": str(tmp_path / "gone"), "layout": ""}})
    assert real_windows(gone) == {}
    assert real_windows(checkpoint("convnet")) == {}


def test_a_broken_clip_is_passed_over(checkpoint: Callable[[str], Checkpoint], tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for k in range(10):
            path = tmp_path / label / f"{k}.wav"
            soundfile.write(path, np.random.default_rng(k).normal(0, 0.1, 9000), 8000)
    whole = replace(checkpoint("convnet"), recipe={"data": {"path": str(tmp_path), "layout": ""}}, task="sound")
    before = real_windows(whole)
    validation = real_windows(whole, 2)
    assert 2 < len(before) < 20  # all but those of the test side
    assert list(before)[:2] == list(validation)
    broken = next(iter(before))
    (tmp_path / broken.split(" at ")[0]).write_text("no sound")
    assert set(real_windows(whole)) == set(before) - {broken}
    assert len(real_windows(whole, 2)) == 2  # another in its place
