"""The ground floor stands alone: it imports nothing from above, and nothing heavy."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import soundfile

import xfer.runtime
from tests.runtime.tiny import melody, write_tiny

HEAVY = {"torch", "torchaudio", "librosa", "numba", "scipy", "sklearn", "onnx", "pandas", "matplotlib", "safetensors"}
ALLOWED = {"numpy", "soundfile", "soxr", "sounddevice", "av", "onnxruntime", "openvino", "xfer"}
LAZY = {"sounddevice", "av", "onnxruntime", "openvino"}
FLOOR = Path(xfer.runtime.__file__).parent


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """Modules that a file imports, and whether at once (not inside a function)."""
    tree = ast.parse(path.read_text(encoding="utf8"))
    inside = {id(child) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for child in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [(name, id(node) not in inside) for name in names]
    return found


def test_an_arrow_only_ever_points_down() -> None:
    for path in FLOOR.rglob("*.py"):
        for name, at_once in imports_of(path):
            top = name.partition(".")[0]
            assert top in ALLOWED or top in sys.stdlib_module_names, f"{path} imports {name}"
            assert top != "xfer" or name == "xfer" or name.startswith("xfer.runtime"), f"{path} imports {name}"
            assert not (at_once and top in LAZY), f"{path} imports {name} at once"


def test_the_whole_floor_and_listening_import_nothing_heavy(tmp_path: Path) -> None:
    model = write_tiny(tmp_path / "speaker.onnx")
    soundfile.write(tmp_path / "a.wav", melody(), 16_000)
    modules = [
        ".".join(("xfer.runtime", *path.relative_to(FLOOR).with_suffix("").parts)).removesuffix(".__init__")
        for path in FLOOR.rglob("*.py")
    ]
    code = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "light = sorted(sys.modules)\n"
        "from xfer.cli.app import main\n"
        f"code = main(['listen', {str(tmp_path / 'a.wav')!r}, '--model', {str(model)!r}, '--jsonl'])\n"
        "print(json.dumps([code, light, sorted(sys.modules)]))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    code_of_listen, light, after = json.loads(run.stdout.splitlines()[-1])
    assert code_of_listen == 0
    assert "onnxruntime" in after
    assert not HEAVY & set(after)
    assert not (HEAVY | LAZY) & set(light), "an engine or the microphone is imported before it is needed"
