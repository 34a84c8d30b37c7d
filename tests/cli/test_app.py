"""The program around the verbs: exit codes, nearest words, no traceback, the two onnxruntime packages."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from xfer.cli import app
from xfer.runtime.errors import AnswerIsNo, FileNotThere, NotThere, Unusable

ROOT = Path(__file__).resolve().parents[2]


def xfer(*words: str, cwd: Path | None = None, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command line in `cwd`; `path` stands first on the module path."""
    modules = os.pathsep.join(str(entry) for entry in (path, ROOT) if entry)
    environment = {**os.environ, "PYTHONPATH": modules, "XFER_HOME": str((cwd or ROOT) / "home")}
    command = [sys.executable, "-m", "xfer.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, env=environment)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["lisen"], 2, "listen"),
        (["listen", "--taks", "speaker"], 2, "--task"),
        (["train", "--epochs", "many"], 2, "--epochs"),
        (["train", "--net", "rawnet"], 2, "rawnet2"),
        (["train", "--task", "speaker", "--set", "fit.bach=3"], 2, "fit.batch"),
        (["train", "--from", "x"], 2, "--transfer"),
        (["train", "--device", "gpu"], 2, "cuda"),
        (["train", "not/there"], 3, "not/there"),
        (["export", "not/there.safetensors"], 3, "not/there"),
        (["verify", "not/there.onnx"], 3, "not/there"),
    ],
)
def test_wrong_words(words, code, says, tmp_path):
    done = xfer(*words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (AnswerIsNo("no"), 1, "no"),
        (Unusable("broken"), 2, "broken"),
        (NotThere("gone"), 3, "gone"),
        (FileNotThere("no file"), 3, "no file"),
        (OSError(errno.ENOSPC, "No space left on device", "model.onnx"), 3, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 3, "not allowed"),
        (MemoryError(), 3, "memory"),
        (KeyboardInterrupt("stopped; go on with: xfer train --resume r"), 130, "--resume"),
        (RuntimeError("what nobody foresaw"), 1, "--debug"),
    ],
)
def test_every_error_has_its_code_and_a_sentence(error, code, says, monkeypatch, capfd):
    def run(_words: list[str]) -> int:
        raise error

    monkeypatch.setattr(app, "_run", run)
    assert app.main([]) == code
    captured = capfd.readouterr()
    assert says in captured.err
    assert "Traceback" not in captured.err


def test_no_words_at_all_shows_the_help(tmp_path):
    done = xfer(cwd=tmp_path)
    assert "listen" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(tmp_path):
    done = xfer("train", "not/there", "--debug", cwd=tmp_path)
    assert done.returncode == 3
    assert "Traceback" in done.stderr


def test_resume_may_stand_alone(tmp_path):
    done = xfer("train", "--resume", cwd=tmp_path)
    assert done.returncode == 3
    assert "no unfinished run" in done.stderr


def test_doctor_tells_versions_engines_and_what_is_missing():
    done = xfer("doctor", "--json")
    document = json.loads(done.stdout)
    assert document["versions"]["numpy"] == metadata.version("numpy")
    cpu = [each for each in document["providers"] if each["name"] == "CPUExecutionProvider"]
    assert [each["usable"] for each in cpu] == [True]


def test_both_onnxruntimes_are_refused(tmp_path):
    """Two installed distributions, as pip would leave them: their metadata on the path."""
    for name in ("onnxruntime", "onnxruntime_gpu"):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
    done = xfer("doctor", path=tmp_path)
    assert done.returncode == 3
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in done.stderr
    assert "pip install 'xfer[cpu]'" in done.stderr
