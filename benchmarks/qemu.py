"""The golden clips on processors that are not here: `xfer verify` of model files under Debian's qemu-user.

    apt-get install qemu-user mmdebstrap
    python benchmarks/qemu.py MODEL... [--cpu cortex-a72 ...] [--into docs/export.md]

Run it as root, from the root of a checkout, on x86-64 with Debian 12 or newer and a Python 3.11 or newer that has the
edge install and both engines (`pip install -c constraints.txt '.[cpu,openvino]'`): that very Python runs on the x86
processors. For aarch64 Debian's own Python 3.11 is unpacked into `build/qemu/aarch64` (nothing of it is installed here,
so binfmt is not needed) and the packages of this Python, in the same versions, beside it. One process at a time, one
thread; what is done already is in `build/qemu/found` and not done again, unless the model file is newer. An engine that
crashes is a cell of the table. A processor takes 10 to 30 minutes for six files of a ConvNet.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any

HERE = Path("build/qemu")
ROOT, PACKAGES = HERE / "aarch64", HERE / "aarch64-packages"
MARKER = "<!-- qemu -->"
DEBIAN = ("python3", "python3-minimal", "libpython3.11", "libstdc++6", "libgomp1")
NEEDED = ("numpy", "soundfile", "soxr", "typer", "rich", "onnxruntime", "openvino")
PLATFORMS = ("manylinux_2_35_aarch64", "manylinux_2_28_aarch64", "manylinux_2_17_aarch64")
ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
STAGES = ("front-end", "embedding", "logits", "scores")


@dataclass(frozen=True)
class Cpu:
    """A processor that qemu-user can be."""

    name: str
    """qemu's name of it."""
    words: str
    """What matters of it here."""
    part: int = 0
    """Arm's number of the core: of aarch64 only."""
    features: str = ""
    """As Linux lists them."""

    @property
    def aarch64(self) -> bool:
        """Is it an Arm, not an x86?"""
        return bool(self.part)


_V8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32"
CPUS = {
    cpu.name: cpu
    for cpu in (
        Cpu("here", "this machine, for comparison"),
        Cpu("cortex-a72", "aarch64, as a Raspberry Pi 4: no dot products", 0xD08, f"{_V8} cpuid"),
        Cpu("Haswell", "x86-64 with AVX2 and FMA, no VNNI"),
        Cpu("Nehalem", "x86-64 with SSE4.2 alone: no AVX"),
        Cpu(
            "cortex-a76",
            "aarch64, as a Raspberry Pi 5: dot products, fp16",
            0xD0B,
            f"{_V8} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        ),
        Cpu("SandyBridge", "x86-64 with AVX: no AVX2, no FMA"),
    )
}


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--cpu", choices=CPUS, nargs="+", default=list(CPUS), help="default: all, in this order")
    parser.add_argument("--into", type=Path, help=f"write the table between the lines {MARKER} of this page")
    parser.add_argument("--minutes", type=float, default=10, help="the most that one process may take")
    told = parser.parse_args()
    found = []
    for cpu in (CPUS[name] for name in told.cpu):
        if cpu.aarch64:
            make_root()
        for model in told.models:
            for engine in engines_of(model):
                found.append(verify(cpu, model, engine, 60 * told.minutes))
    lines = table(found)
    print("\n".join(lines))
    if told.into:
        before, _, after = told.into.read_text().split(MARKER)
        told.into.write_text(f"{before}{MARKER}\n{chr(10).join(lines)}\n{MARKER}{after}")


def engines_of(model: Path) -> list[str]:
    """Which engines open it: an int8 file its own alone."""
    if model.suffix == ".openvino":
        return ["openvino"]
    return ["onnxruntime"] if ".int8" in model.suffixes else ["onnxruntime", "openvino"]


def make_root() -> None:
    """Python for aarch64 and its packages, unpacked; nothing of them runs here."""
    if not ROOT.is_dir():
        HERE.mkdir(parents=True, exist_ok=True)
        made = HERE / "aarch64.part"
        shutil.rmtree(made, ignore_errors=True)  # of a run that was stopped
        subprocess.run(
            [
                "mmdebstrap",
                "--variant=extract",
                "--architectures=arm64",
                f"--include={','.join(DEBIAN)}",
                "bookworm",
                made,
            ],
            check=True,
        )
        made.rename(ROOT)
    if not PACKAGES.is_dir():
        made = HERE / "aarch64-packages.part"
        shutil.rmtree(made, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--target", str(made), "--python-version", "3.11"]
        command += ["--implementation", "cp", "--only-binary=:all:", "-c", "constraints.txt"]
        for platform in PLATFORMS:
            command += ["--platform", platform]
        subprocess.run([*command, *(f"{name}=={version(name)}" for name in NEEDED)], check=True)
        made.rename(PACKAGES)


def describe(cpu: Cpu) -> None:
    """The kernel's pages about an Arm processor, which qemu-user looks for under its -L folder first.

    Without them the program reads those of the machine below: ONNX Runtime (its cpuinfo library) then crashes.
    """
    one = "processor\t: {}\nFeatures\t: {}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
    one += "CPU part\t: {:#05x}\nCPU revision\t: 3\n\n"
    count = os.cpu_count() or 1
    page = "".join(one.format(number, cpu.features, cpu.part) for number in range(count))
    (ROOT / "proc").mkdir(exist_ok=True)
    (ROOT / "proc/cpuinfo").write_text(f"{page}Model\t\t: {cpu.name} of qemu-user\n")
    for number in range(count):
        folder = ROOT / f"sys/devices/system/cpu/cpu{number}/regs/identification"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "midr_el1").write_text(f"{0x41 << 24 | 0xF << 16 | cpu.part << 4 | 3:#018x}\n")


def verify(cpu: Cpu, model: Path, engine: str, seconds: float) -> dict[str, Any]:
    """One model file with one engine on one processor; kept, and taken from there the next time."""
    kept = HERE / "found" / cpu.name / f"{model.name}.{engine}.json"
    sealed = model / "card.json" if model.is_dir() else model
    if kept.is_file() and kept.stat().st_mtime > sealed.stat().st_mtime:
        earlier: dict[str, Any] = json.loads(kept.read_text())
        return earlier
    here = Path.cwd()
    if cpu.aarch64:
        describe(cpu)
        command = ["qemu-aarch64", "-L", here / ROOT, "-cpu", cpu.name, here / ROOT / "usr/bin/python3.11"]
        path = [here / PACKAGES, here]
    else:
        command = [] if cpu.name == "here" else ["qemu-x86_64", "-cpu", cpu.name]
        command.append(sys.executable)
        path = [here]
    command += ["-m", "xfer.cli", "verify", model, "--engine", engine, "--device", "cpu", "--threads", "1", "--json"]
    settings = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    settings["PYTHONPATH"] = os.pathsep.join(map(str, path))
    print(f"{cpu.name}: {model.name}, {engine} ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        done = subprocess.run(
            ["nice", "-n", "15", *map(str, command)],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        code, out, said = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        code, out, said = 124, "", f"not done in {seconds / 60:g} minutes"
    report = json.loads(out) if code in (0, 1) and out.startswith("{") else None
    found = {"cpu": cpu.name, "model": model.name, "engine": engine, "exit": code, "report": report}
    found |= {"said": [] if report else said.strip().splitlines()[-5:], "seconds": round(time.monotonic() - start)}
    if code != 124:  # what was too slow today is tried again
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found, indent=1))
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """A line a file and engine, a column a processor: of each stage the largest difference over the golden clips."""
    cpus = list(dict.fromkeys(each["cpu"] for each in found))
    cells = {(each["model"], each["engine"], each["cpu"]): cell(each) for each in found}
    lines = [f"| file | engine | {' | '.join(cpus)} |", "| --- " * (2 + len(cpus)) + "|"]
    for model, engine in dict.fromkeys((each["model"], each["engine"]) for each in found):
        lines.append(f"| `{model}` | {ENGINES[engine]} | {' | '.join(cells[model, engine, cpu] for cpu in cpus)} |")
    return lines


def cell(found: dict[str, Any]) -> str:
    """`equal: 9e-07, 6e-07, 5e-07, 5e-07`."""
    if found["report"] is None:
        return f"exit {found['exit']}: {' '.join(found['said'][-1:]) or 'no word'}"
    clips = found["report"]["engines"][0]["inputs"]
    largest = (max(inf if clip[stage] is None else clip[stage] for clip in clips) for stage in STAGES)
    sizes = ", ".join(f"{value:.0e}" for value in largest)
    return f"{'equal' if found['report']['equal'] else '**differs**'}: {sizes.replace('0e+00', '0')}"


if __name__ == "__main__":
    main()
