"""Which form of the same computation trains fastest on this machine: measured at the start, on a step of the net.

Weights and checkpoints are the same in every form. A form's sums are added in another order, so that a run keeps the
form that it began with (`run.json`), and what was measured once on a machine is kept for the next run there.
"""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from xfer.runtime.atomic import write_atomically
from xfer.runtime.errors import Unusable
from xfer.runtime.home import home
from xfer.train.nets import Net
from xfer.train.nets.frontends import Sinc
from xfer.train.nets.layout import TimeMaxPool1d
from xfer.train.recipe import FitRecipe

WINDOWS, REPEATS = 4, 2
"""Of the step that is measured."""
WORTH = 0.95
"""Another form than the first must take less than this share of its time: what one measurement cannot show is noise."""

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Form:
    """How a step is computed."""

    name: str
    precision: Precision = "fp32"
    """Of the body's matrix products."""
    blocks: bool = False
    """Sinc filters as one matrix product (`Sinc.in_blocks`)."""
    channels_innermost: bool = False
    """The body keeps the layout that these blocks give."""

    def apply(self, net: Net) -> None:
        """Let the net compute so."""
        if isinstance(net.frontend, Sinc):
            net.frontend.in_blocks = self.blocks
        for module in net.modules():
            if isinstance(module, TimeMaxPool1d):
                module.settles = not self.channels_innermost

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context of a forward step."""
        kind = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(device.type, kind, enabled=self.precision != "fp32")


PLAIN = Form("plain")
FORMS = (
    PLAIN,
    Form("sinc in blocks", blocks=True),
    Form("bf16", "bf16"),
    Form("bf16, channels innermost", "bf16", blocks=True, channels_innermost=True),
    Form("fp16", "fp16"),
    Form("fp16, channels innermost", "fp16", blocks=True, channels_innermost=True),
)
BY_NAME = {form.name: form for form in FORMS}


def candidates(net: Net, precision: str, device: torch.device) -> list[Form]:
    """The forms that come into question, the plainest first.

    `auto` takes bf16 in where the device computes in it by itself, and never fp16, whose range needs care.
    Raises Unusable for fp16 on a CPU.
    """
    if precision == "fp16" and device.type != "cuda":
        raise Unusable("fit.precision=fp16 is for CUDA devices: on a CPU take auto, bf16 or fp32")
    wanted = {"fp32", "bf16"} if precision == "auto" and has_bf16(device) else {precision.replace("auto", "fp32")}
    has_blocks = isinstance(net.frontend, Sinc)
    return [form for form in FORMS if form.precision in wanted and (has_blocks or not form.blocks)]


def has_bf16(device: torch.device) -> bool:
    """Does the device multiply bfloat16 by itself?"""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported()) or bool(torch.cpu._is_amx_tile_supported())


def choose(net: Net, how: FitRecipe, device: torch.device, length: int, machine: dict[str, str]) -> Form:
    """The fastest form of a training step on windows of `length` samples, by measurement where there is a choice."""
    known = candidates(net, how.precision, device)
    if len(known) == 1:
        return known[0]
    key = json.dumps([net.name, dict(net.options), how.precision, length, sorted(machine.items())])
    kept = _kept()
    if kept.get(key) in BY_NAME:
        return BY_NAME[kept[key]]
    seconds = measure(net, known, device, length)
    best = min(known, key=lambda form: seconds[form.name])
    if seconds[best.name] > WORTH * seconds[known[0].name]:
        best = known[0]
    _keep(key, best.name)
    return best


def measure(net: Net, forms: list[Form], device: torch.device, length: int) -> dict[str, float]:
    """Seconds of a training step in each form, on a copy of the net and noise of small level."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    try:
        trial = copy.deepcopy(net).to(device).train()
        wave = 0.1 * torch.randn(WINDOWS, length, device=device)
        return {form.name: _seconds(trial, form, wave) for form in forms}
    finally:
        torch.random.set_rng_state(state)


def _seconds(net: Net, form: Form, wave: torch.Tensor) -> float:
    form.apply(net)
    targets = torch.zeros(len(wave), dtype=torch.long, device=wave.device)
    best = math.inf
    for _ in range(1 + REPEATS):
        began = time.perf_counter()
        net.zero_grad(set_to_none=True)
        with form.autocast(wave.device):
            logits = net(wave).logits
        F.cross_entropy(logits.float(), targets).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        if wave.device.type == "cuda":
            torch.cuda.synchronize(wave.device)
        best = min(best, time.perf_counter() - began)
    return best


def _kept() -> dict[str, str]:
    try:
        found = json.loads((home() / "forms.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(key: str, name: str) -> None:
    """Where the home cannot be written, the next run measures again."""
    document = _kept()
    document.setdefault(key, name)
    try:
        home().mkdir(parents=True, exist_ok=True)
        write_atomically(home() / "forms.json", json.dumps(document, indent=1).encode())
    except OSError:
        return
