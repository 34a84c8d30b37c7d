"""Each net on the card is the net on the CPU: outputs, gradients, every form of a step, a graph, a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xfer.runtime.selftest import LIMITS
from xfer.train.fit.forms import FORMS, Form, candidates, measure
from xfer.train.nets import NETS, Net, create
from xfer.train.nets.heads import HEADS
from xfer.train.recipe import default_recipe

pytestmark = pytest.mark.cuda

CLASSES, WINDOWS = 10, 3
EVERY = [(name, head) for name in sorted(NETS) for head in HEADS]


def noise(net: Net, count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.1, (count, net.window)).astype(np.float32))


@cache
def settled(name: str, head: str, where: str) -> Net:
    """A net on the CPU with batch norm as after training: fresh statistics would let rounding grow."""
    torch.manual_seed(0)
    net = create(name, CLASSES, head=head).to(where).train()
    with torch.no_grad():
        for seed in range(10):
            net(noise(net, 2, seed).to(where))
    return net.cpu().eval()


def net_of(name: str, head: str, device: torch.device) -> Net:
    """A copy of the settled net for one test."""
    return copy.deepcopy(settled(name, head, device.type))


def gradients(net: Net, wave: Tensor, form: Form | None = None) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients in float64, in evaluation mode, so that no dropout comes between."""
    net.zero_grad(set_to_none=True)
    for module in net.modules():
        if isinstance(module, nn.RNNBase):  # cuDNN gives its gradients in training mode only
            module.train()
    if form is not None:
        form.apply(net)
    targets = torch.arange(len(wave), device=wave.device) % CLASSES
    with form.autocast(wave.device) if form is not None else torch.autocast(wave.device.type, enabled=False):
        logits = net(wave).logits
    loss = F.cross_entropy(logits.float(), targets)
    loss.backward()
    return float(loss.detach()), {
        name: each.grad.detach().cpu().double() for name, each in net.named_parameters() if each.grad is not None
    }


def cosine(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Between two sets of gradients as one vector each."""
    a, b = (torch.cat([each[name].flatten() for name in sorted(each)]) for each in (one, other))
    return float(a @ b / (a.norm() * b.norm()))


@pytest.mark.parametrize(("name", "head"), EVERY)
def test_forward_is_the_cpus(name: str, head: str, device: torch.device) -> None:
    net = net_of(name, head, device)
    wave = noise(net, WINDOWS, 99)
    with torch.inference_mode():
        wanted = net(wave)
        net.to(device)
        found = net(wave.to(device))
    for kind, limit in (("logits", LIMITS.logits), ("embedding", LIMITS.embedding)):
        one, other = getattr(found, kind).cpu(), getattr(wanted, kind)
        assert float((one - other).abs().max()) <= limit * max(1.0, float(other.abs().max())), kind
    off = (found.logits.softmax(1).cpu() - wanted.logits.softmax(1)).abs().max()
    assert float(off) <= LIMITS.scores


@pytest.mark.parametrize(("name", "head"), EVERY)
def test_backward_is_the_cpus(name: str, head: str, device: torch.device) -> None:
    net = net_of(name, head, device)
    wave = noise(net, WINDOWS, 98)
    loss, wanted = gradients(net, wave)
    on_card, found = gradients(net.to(device), wave.to(device))
    assert on_card == pytest.approx(loss, rel=1e-4)
    assert set(found) == set(wanted)
    whole = float(torch.stack([each.norm() for each in wanted.values()]).norm())
    for key, each in wanted.items():
        # Max pooling may take the other of two equal values; a hundredth of a parameter's gradient leaves room for it.
        assert float((found[key] - each).norm()) <= 1e-2 * float(each.norm()) + 1e-4 * whole, key


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_of_a_step_is_finite_and_close(name: str, form: Form, device: torch.device) -> None:
    net = net_of(name, "linear", device)
    if form not in candidates(net, form.precision, torch.device("cuda")):
        pytest.skip(f"{form.name} is no form of {name}")
    if form.precision == "fp16" and device.type == "cpu":
        pytest.skip("fp16 is for CUDA")
    wave = noise(net, WINDOWS, 97).to(device)
    loss, wanted = gradients(net.to(device), wave)
    other_loss, found = gradients(net, wave, form)
    assert all(torch.isfinite(each).all() for each in found.values())
    near = {"fp32": 1e-3, "bf16": 5e-2, "fp16": 1e-2}[form.precision]
    assert other_loss == pytest.approx(loss, rel=near, abs=near)
    assert cosine(found, wanted) > {"fp32": 0.9999, "bf16": 0.9, "fp16": 0.98}[form.precision]


@pytest.mark.parametrize("name", sorted(NETS))
def test_a_scaled_fp16_step_learns(name: str, card: torch.device) -> None:
    net = net_of(name, "linear", card).to(card).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler("cuda")
    form = next(each for each in FORMS if each.precision == "fp16")
    wave, targets = noise(net, 4, 96).to(card), torch.arange(4, device=card)
    losses = []
    for _ in range(6):
        optimizer.zero_grad(set_to_none=True)
        with form.autocast(card):
            logits = net(wave).logits
        loss = F.cross_entropy(logits.float(), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(float(loss.detach()))
    assert all(np.isfinite(losses))
    assert losses[-1] < losses[0]
    assert all(torch.isfinite(each).all() for each in net.parameters())


@pytest.mark.parametrize("name", sorted(NETS))
def test_forms_are_measured_on_the_card(name: str, card: torch.device, measured: Callable[[str, str], None]) -> None:
    net = create(name, CLASSES)
    forms = candidates(net, "auto", card)
    assert "bf16" in {form.precision for form in forms}, "this card multiplies no bfloat16"
    seconds = measure(net, forms, card, net.window)
    assert all(0 < each < 60 for each in seconds.values())
    for form, value in seconds.items():
        measured(f"{name}, step of 4 windows, {form}", f"{1000 * value:.2f} ms")


@pytest.mark.parametrize("name", sorted(NETS))
def test_memory_of_a_step_does_not_grow_and_pieces_need_less(
    name: str, card: torch.device, measured: Callable[[str, str], None]
) -> None:
    net = net_of(name, "linear", card).to(card).train()
    batch = default_recipe("speaker", name).fit.batch
    wave = noise(net, batch, 95).to(card)

    def peak(pieces: int, precision: str) -> float:
        """MB over what lay there before, of the second of two steps."""
        form = next(each for each in FORMS if each.precision == precision)
        most = []
        for _ in range(2):
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            net.zero_grad(set_to_none=True)
            for piece in wave.chunk(pieces):
                with form.autocast(card):
                    logits = net(piece).logits
                F.cross_entropy(logits.float(), torch.zeros(len(piece), dtype=torch.long, device=card)).backward()
            torch.cuda.synchronize()
            most.append((torch.cuda.max_memory_allocated() - before) / 1e6)
        return most[-1]

    whole, halves, less = peak(1, "fp32"), peak(2, "fp32"), peak(1, "bf16")
    measured(f"{name}, memory of a step of {batch} windows", f"fp32 {whole:,.0f} MB, bf16 {less:,.0f} MB")
    assert halves < 0.75 * whole
    assert less < 1.1 * whole
    again = peak(1, "fp32")
    assert again == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("name", sorted(NETS))
def test_a_net_on_the_card_exports_and_stays_where_it_is(name: str, device: torch.device) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from xfer.export.fold import fold
    from xfer.export.onnx import to_shipped, to_twin
    from xfer.export.preflight import preflight

    net = net_of(name, "linear", device).to(device)
    preflight(net)
    graph = to_shipped(to_twin(fold(net)))
    assert next(net.parameters()).device.type == device.type
    wave = noise(net, 2, 94)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    scores = session.run(["scores"], {"audio": wave.numpy()})[0]
    with torch.inference_mode():
        wanted = net(wave.to(device)).logits.softmax(1).cpu().numpy()
    assert np.abs(scores - wanted).max() <= LIMITS.scores


def test_tf32_is_off_and_would_show(card: torch.device) -> None:
    """The reason for `plain_fp32`: with TF32 a convolution is a thousand times further from float64."""
    torch.manual_seed(0)
    wave, kernel = torch.randn(4, 64, 4096), torch.randn(64, 64, 9)
    exact = F.conv1d(wave.double(), kernel.double())

    def off() -> float:
        found = F.conv1d(wave.to(card), kernel.to(card)).cpu().double()
        return float((found - exact).abs().max() / exact.abs().max())

    plain = off()
    assert plain < 1e-5
    if torch.cuda.get_device_capability(card)[0] >= 8:
        torch.backends.cudnn.conv.fp32_precision = "tf32"
        torch.backends.cudnn.deterministic = False
        assert off() > 10 * plain
