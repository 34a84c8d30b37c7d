"""What can run a model file on this device: every engine that is installed, on every device that really works."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from xfer.runtime.engines import ENGINES, able, engine_for
from xfer.runtime.errors import need_extra
from xfer.runtime.processor import all_threads


@dataclass(frozen=True)
class Setting:
    """How a model file is run."""

    engine: str
    """Of `engines.ENGINES`."""
    device: str
    threads: int
    """On the CPU; elsewhere it says nothing."""
    allow_cpu: bool = False
    bf16: bool = False
    """Compute a float32 file in bfloat16."""

    @property
    def words(self) -> str:
        """`OpenVINO on CPU, 2 threads`."""
        title = ENGINES[self.engine].title
        how = ", bf16" if self.bf16 else ""
        if self.device not in ("cpu", "auto"):
            return f"{title} on {self.device.upper()}{how}"
        return f"{title} on CPU, {self.threads} thread{'s' * (self.threads > 1)}{how}"


def settings_for(
    path: Path, engine: str = "", device: str = "", threads: int = 0, allow_cpu: bool = False, bf16: bool = False
) -> list[Setting]:
    """Every way to run a model file here, its own engine first; what is told narrows it.

    Engines: all that are installed. Devices: those on which a tiny model really ran. Threads: one, and all.
    `bf16`: only in bfloat16, which OpenVINO alone can.
    Raises FileNotThere, Unusable for an engine that cannot open it, NotThere where none is installed.
    """
    if engine or bf16:
        names = [engine_for(path, engine or "openvino").name]
    else:
        kinds = able(path)
        names = [kind.name for kind in kinds if kind.here]
        if not names:
            raise need_extra(kinds[0].name, kinds[0].extra)
    if device:
        names = [name for name in names if device.partition(":")[0] in _words(name)] or names[:1]
    counts = [threads] if threads else sorted({1, all_threads()})
    found = []
    for name in names:
        for word in [device] if device else devices_here(name):
            on_cpu = word in ("cpu", "auto")
            found += [Setting(name, word, count, allow_cpu, bf16) for count in (counts if on_cpu else counts[:1])]
    return found


def devices_here(engine: str) -> list[str]:
    """Words of the devices on which an engine really ran a tiny model here, the CPU first."""
    from xfer.runtime.inventory import providers

    words = {name: word for word, name in _words(engine).items()}
    usable = [each.name for each in providers() if each.engine == engine and each.usable]
    found: dict[str, None] = {}
    for name in usable:
        kind, _, number = name.partition(".")
        if kind in words:
            found[words[kind] + (f":{number}" if number else "")] = None
    return sorted(found, key=lambda word: word != "cpu")


def _words(engine: str) -> dict[str, str]:
    """Words of the devices that an engine knows, to its own names of them."""
    words: dict[str, str] = import_module(ENGINES[engine].module).DEVICES
    return words
