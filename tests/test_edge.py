"""The edge proof: in a fresh virtual environment with `xfer[cpu]` only, xfer answers and the shipped model listens.

No torch, librosa, numba, scipy, scikit-learn or onnx is imported, nor installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from xfer.runtime.models import shipped_models

ROOT = Path(__file__).resolve().parents[1]
HEAVY = r"\| +(torch|torchaudio|librosa|numba|scipy|sklearn|onnx|matplotlib|safetensors)$"
PYTHONS = ("3.11", "3.12", "3.13")


def python(version: str) -> str:
    """An interpreter of that version which really starts, or a skip that says what is missing."""
    if sys.version_info[:2] == tuple(int(part) for part in version.split(".")):
        return sys.executable
    candidates = [shutil.which(f"python{version}"), *sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))]
    for candidate in candidates:
        if candidate and subprocess.run([candidate, "-c", "import venv"], capture_output=True).returncode == 0:
            return str(candidate)
    pytest.skip(f"no Python {version} here: install it to prove the edge install with it")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel as a user gets it, with the shipped models inside."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module", params=PYTHONS)
def edge(request, wheel, tmp_path_factory):
    """A fresh environment with `xfer[cpu]` alone; its folder and its Python."""
    interpreter = python(request.param)
    folder = tmp_path_factory.mktemp(f"edge{request.param}")
    subprocess.run([interpreter, "-m", "venv", folder / "venv"], check=True, capture_output=True)
    inside = folder / "venv" / "bin" / "python"
    install = [inside, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", f"{wheel}[cpu]"]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, inside


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Ten seconds of sound at 44.1 kHz, stereo."""
    path = tmp_path_factory.mktemp("sound") / "ten seconds.wav"
    noise = np.random.default_rng(0).normal(0, 0.05, (441_000, 2))
    soundfile.write(path, noise, 44_100)
    return path


def call(edge, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    folder, inside = edge
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "XFER_MODELS")}
    return subprocess.run(
        [inside, "-X", "importtime", "-m", "xfer.cli", *args],
        capture_output=True,
        text=True,
        cwd=cwd or folder,
        env={**clean, "XFER_HOME": str(folder / "home")},
        timeout=120,
    )


def test_help_answers_and_imports_nothing_heavy(edge):
    done = call(edge, "--help")
    assert done.returncode == 0
    assert "listen" in done.stdout
    assert not re.findall(HEAVY, done.stderr, re.MULTILINE)


def test_the_shipped_model_listens(edge, recording):
    done = call(edge, "listen", str(recording), "--task", "speaker", "--jsonl")
    assert done.returncode == 0, done.stderr[-500:]
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events
    assert events[-1]["end"] == pytest.approx(10.0, abs=0.01)
    assert not re.findall(HEAVY, done.stderr, re.MULTILINE)


def test_the_shipped_model_verifies(edge):
    model = shipped_models() / "speaker.onnx"
    done = call(edge, "verify", str(model), "--json")
    assert done.returncode == 0, done.stderr[-500:]


def test_what_needs_an_extra_names_it(edge):
    for words, extra in ((["train"], "xfer[train]"), (["listen", "--task", "speaker"], "xfer[mic]")):
        done = call(edge, *words)
        assert done.returncode == 3
        assert extra in done.stderr
        assert "Traceback" not in done.stderr


def test_it_is_small(edge):
    """ARCHITECTURE.md: under 200 MB with the shipped models; pip and setuptools, which venv puts there, not counted."""
    folder, _ = edge
    packages = next((folder / "venv").glob("lib/python*/site-packages"))
    theirs = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    files = [
        path for path in packages.rglob("*") if path.is_file() and path.relative_to(packages).parts[0] not in theirs
    ]
    size = sum(path.stat().st_size for path in files)
    assert size < 200e6, f"{size / 1e6:.0f} MB"
