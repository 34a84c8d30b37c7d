"""A microphone without hardware: the monitor of a PulseAudio null sink, which ALSA and PortAudio see as the default.

Everything lies in a folder of its own (runtime, home, ALSA configuration), so nothing of the user's is read or written.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path

import pytest

INSTALL = "apt-get install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"


@dataclass(frozen=True)
class VirtualMicrophone:
    """A sink that can be played into, and the environment in which its monitor is the default microphone."""

    env: dict[str, str]
    rate: int = 48_000

    def remove(self) -> None:
        """Unplug it: the sink goes, and its monitor with it."""
        listed = self._pactl("list", "short", "modules")
        number = next(line.split()[0] for line in listed.splitlines() if "module-null-sink" in line)
        self._pactl("unload-module", number)

    def put_back(self) -> None:
        """Plug it in again."""
        self._pactl("load-module", "module-null-sink", "sink_name=virtual", f"rate={self.rate}", "channels=1")
        self._pactl("set-default-source", "virtual.monitor")

    def suspend(self, yes: bool) -> None:
        """Let it deliver nothing, while it stays open."""
        self._pactl("suspend-sink", "virtual", "1" if yes else "0")

    def _pactl(self, *words: str) -> str:
        run = subprocess.run(["pactl", *words], env=self.env, check=True, timeout=10, capture_output=True, text=True)
        return run.stdout

    def play(self, path: Path) -> None:
        """Play a WAV file into it, to its end."""
        subprocess.run(["paplay", "--device=virtual", str(path)], env=self.env, check=True, timeout=60)


def need_virtual_microphone() -> None:
    """Skip, saying what is missing and where it comes from."""
    missing = [name for name in ("pulseaudio", "pactl", "paplay") if not shutil.which(name)]
    if not find_library("portaudio"):
        missing.append("the PortAudio library")
    if not any(Path("/usr/lib").rglob("libasound_module_pcm_pulse.so")):
        missing.append("ALSA's pulse plugin")
    if missing:
        pytest.skip(f"no virtual microphone: {', '.join(missing)} not here; they come with: {INSTALL}")
    if importlib.util.find_spec("sounddevice") is None:
        pytest.skip("no virtual microphone: sounddevice is not here; it comes with: pip install 'xfer[mic]'")


@contextmanager
def virtual_microphone(rate: int = 48_000) -> Iterator[VirtualMicrophone]:
    """A null sink at `rate` Hz, for as long as the block runs. Skips where a part is missing; works as root."""
    need_virtual_microphone()
    folder = Path(tempfile.mkdtemp(prefix="xfer-mic-"))  # short: a socket's path has room for 107 bytes
    home = folder / "home"
    home.mkdir()
    (home / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PULSE_", "XDG_", "ALSA_", "DBUS_"))}
    env |= {"XDG_RUNTIME_DIR": str(folder), "HOME": str(home)}
    command = [
        *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--load=module-native-protocol-unix"),
        f"--load=module-null-sink sink_name=virtual rate={rate} channels=1",
    ]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for(server, env, folder / "log")
        subprocess.run(["pactl", "set-default-source", "virtual.monitor"], env=env, check=True, timeout=10)
        yield VirtualMicrophone(env, rate)
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(server: subprocess.Popen[bytes], env: dict[str, str], log: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and server.poll() is None:
        if subprocess.run(["pactl", "info"], env=env, capture_output=True, timeout=10).returncode == 0:
            return
        time.sleep(0.1)
    said = log.read_text(errors="replace").strip()[-200:]
    pytest.skip(f"no virtual microphone: PulseAudio does not start here ({said})")
