"""Every net of the registry: shapes and parameter counts of record (FACTS.md section 10), taps, batches."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from xfer.runtime.errors import Unusable
from xfer.train.nets import NETS, create, replace_head
from xfer.train.nets.heads import HEADS

SHAPES = {
    "convnet": {
        "frontend": (2, 1, 128, 513),
        **{f"conv{k}": (2, 256, 125, 1) for k in range(1, 6)},
        "pool": (2, 1024),
        "dense1": (2, 480),
        "embedding": (2, 240),
    },
    "rawnet2": {
        "frontend": (2, 128, 59049),
        "stem": (2, 128, 19683),
        "block0": (2, 128, 6561),
        "block1": (2, 128, 2187),
        "block2": (2, 256, 729),
        "block3": (2, 256, 243),
        "block4": (2, 256, 81),
        "block5": (2, 256, 27),
        "gru": (2, 1024),
        "embedding": (2, 1024),
    },
}
RELEASED_TIMES = {
    "frontend": 58799,
    "stem": 19599,
    "block0": 6533,
    "block1": 2177,
    "block2": 725,
    "block3": 241,
    "block4": 80,
    "block5": 26,
}


def size(net: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def walked(net, wave):
    features = net.frontend(wave)
    stages = {"frontend": features, **dict(net.walk(features))}
    stages["embedding"] = net.embed(list(stages.values())[-1])
    return {name: tuple(value.shape) for name, value in stages.items()}


@pytest.fixture(scope="module", params=[(name, head) for name in sorted(NETS) for head in HEADS], ids="-".join)
def net(request, settled):
    name, head = request.param
    torch.manual_seed(0)
    net = create(name, 16, head=head)
    body = {key: value for key, value in settled(name).items() if not key.startswith("head.")}
    net.load_state_dict(net.state_dict() | body)
    return net.eval()


@pytest.fixture(scope="module")
def settled():
    """settled(name): a net's state with batch norm as after training: fresh statistics let rounding grow."""

    @cache
    @torch.no_grad()
    def state(name):
        torch.manual_seed(0)
        net = create(name, 16).train()
        for seed in range(10):
            net(noise(net, 2, seed))
        return net.state_dict()

    return state


def noise(net, n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.1, (n, net.window)).astype(np.float32))


@torch.no_grad()
def test_every_stage_has_the_shape_of_record(net):
    assert walked(net, noise(net, 2)) == SHAPES[net.name]


@pytest.mark.parametrize(
    ("name", "classes", "options", "count"),
    [
        ("convnet", 16, {}, 2_186_466),
        ("convnet", 16, {"batchnorm_body": True}, 2_188_514),
        ("rawnet2", 16, {}, 7_012_880),
        ("rawnet2", 16, {"legacy_input_norm": True}, 7_130_978),
        ("rawnet2", 6112, {"legacy_input_norm": True}, 13_379_378),
    ],
)
def test_parameter_counts(name, classes, options, count):
    assert size(create(name, classes, **options)) == count


def test_head_alone_of_the_convnet():
    assert size(create("convnet", 16).head) == 3856


@torch.no_grad()
def test_released_time_axis():
    net = create("rawnet2", 2, sinc_padding=0).eval()
    shapes = walked(net, noise(net, 2))
    assert {name: shapes[name][-1] for name in RELEASED_TIMES} == RELEASED_TIMES


@torch.no_grad()
def test_a_window_is_answered_alike_in_any_batch_and_order(net):
    wave = noise(net, 3)
    together = net(wave)
    for index in range(3):
        alone = net(wave[index : index + 1])
        assert_same(alone.logits[0], together.logits[index])
        assert_same(alone.embedding[0], together.embedding[index])
    turned = net(wave.flip(0))
    assert_same(turned.embedding.flip(0), together.embedding)


def assert_same(one, other):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_taps_are_pooled_activations(net):
    wave = noise(net, 2)
    taps = net.taps(wave)
    assert list(taps) == [name for name in SHAPES[net.name] if name != "frontend"]
    for name, value in taps.items():
        assert value.shape == (2, SHAPES[net.name][name][1])
    torch.testing.assert_close(taps["embedding"], net(wave).embedding)


def test_every_parameter_learns(net):
    net.train()
    loss = torch.nn.functional.cross_entropy(net(noise(net, 2)).logits, torch.tensor([0, 1]))
    loss.backward()
    try:
        assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []
    finally:
        net.zero_grad(set_to_none=True)
        net.eval()


def test_the_legacy_block_has_a_dead_norm():
    """FACTS.md 3.6, 1: the released code's first norm of blocks 1 to 5 gets no gradient."""
    net = create("rawnet2", 2, legacy_block=True).train()
    net(noise(net, 2)).logits.sum().backward()
    dead = {name for name, p in net.named_parameters() if p.grad is None}
    assert dead == {f"stages.block{k}.norm1.{part}" for k in range(1, 6) for part in ("weight", "bias")}


@torch.no_grad()
def test_building_twice_gives_two_working_nets(net):
    """FACTS.md 3.6, 2: the original's constructor changes its own configuration."""
    for _ in range(2):
        assert create(net.name, 3).eval()(noise(net, 1)).logits.shape == (1, 3)


@torch.no_grad()
def test_folding_changes_nothing(net):
    wave = noise(net, 1)
    before = net(wave).logits
    net.frontend.fold()
    try:
        assert torch.equal(net(wave).logits, before)
    finally:
        net.frontend.folded = None


def test_a_new_head_keeps_the_body(net):
    twin = create(net.name, 16, **net.options)
    twin.load_state_dict(net.state_dict())
    replace_head(twin, 5)
    assert twin.classes == 5
    assert [type(part) for part in twin.head.modules()] == [type(part) for part in net.head.modules()]
    for (name, old), (_, new) in zip(net.named_parameters(), twin.named_parameters(), strict=True):
        assert name.startswith("head.") or torch.equal(old, new), name


def test_sinc_bands_of_record():
    frontend = create("rawnet2", 2).frontend
    low, high = (edge.detach().numpy() for edge in frontend.bands())
    np.testing.assert_allclose([low[0], high[0], low[-1], high[-1]], [80.0, 144.2, 7785.87, 8000.0], atol=0.01)
    kernels = frontend.kernels()[:, 0].detach()
    assert torch.equal(kernels[:, 125], torch.ones(128))
    assert torch.equal(kernels, kernels.flip(1))
    np.testing.assert_allclose(kernels.abs().sum(1)[[0, 127]], [80.3, 50.5], atol=0.05)
    assert sum(p.numel() for p in frontend.parameters()) == 256


@torch.no_grad()
def test_bands_stay_bands_wherever_training_takes_them():
    """FACTS.md 3.6, 5: the original divides by zero once a band leaves the spectrum."""
    frontend = create("rawnet2", 2).frontend
    frontend.low += 1e5
    frontend.band.zero_()
    low, high = frontend.bands()
    assert (high - low >= 50 - 1e-6).all()
    assert torch.isfinite(frontend.kernels()).all()


@torch.no_grad()
@pytest.mark.parametrize("kind", ["none", "window", "peak"])
def test_silence_stays_finite(kind):
    for name in NETS:
        net = create(name, 2, normalise=kind).eval()
        for wave in (torch.zeros(1, net.window), torch.full((1, net.window), 0.5)):
            assert torch.isfinite(net(wave).logits).all()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [("convnt", {}, "convnet"), ("rawnet2", {"sinc_paddin": 0}, "sinc_padding")],
)
def test_wrong_names_are_met_with_the_nearest(name, options, says):
    with pytest.raises(Unusable, match=says):
        create(name, 2, **options)
