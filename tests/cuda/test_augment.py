"""Augmentation on the card: what it does to a batch is what it does on the CPU, and nothing leaves the card."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xfer.train.augment import EFFECTS, Augment, AugmentRecipe, Masked
from xfer.train.augment.recipe import PROBABILITIES
from xfer.train.nets import NETS, create

pytestmark = pytest.mark.cuda

RATE, COUNT = 16_000, 6


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    return (
        torch.from_numpy(rng.normal(0, 0.1, (COUNT, 24_000)).astype(np.float32)),
        torch.from_numpy(rng.integers(4, size=COUNT)),
    )


@pytest.mark.parametrize("name", [effect.name for effect in EFFECTS])
@pytest.mark.parametrize("step", range(3))
def test_each_effect_is_the_cpus(name: str, step: int, device: torch.device) -> None:
    augment = Augment(AugmentRecipe(**{name: 1.0}), 5, RATE, 4)
    waves, _ = batch()
    wanted = augment.waves(waves, 1, step)
    found = augment.waves(waves.to(device), 1, step)
    assert found.device.type == device.type
    assert found.dtype == torch.float32
    off = (found.cpu() - wanted).abs()
    # A codec rounds to few levels: what lies between two may fall to either side.
    limit = 1e-4 * float(wanted.abs().max())
    assert float((off > limit).float().mean()) < (0.01 if name == "codec" else 1e-9)


def test_a_whole_batch_is_the_cpus_with_masks_and_shared_labels(device: torch.device) -> None:
    plain = dict.fromkeys(PROBABILITIES, 0.5) | {"codec": 0.0, "mixup": 1.0, "masks": 1.0}
    augment = Augment(AugmentRecipe(**plain), 7, RATE, 4)
    waves, targets = batch()
    wanted, answers = augment(waves, targets, 1, 2)
    found, told = augment(waves.to(device), targets.to(device), 1, 2)
    assert isinstance(wanted, Masked)
    assert isinstance(found, Masked)
    assert found.waves.device.type == told.device.type == device.type
    torch.testing.assert_close(found.waves.cpu(), wanted.waves, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(told.cpu(), answers)
    for one, other in zip(found.masks, wanted.masks, strict=True):
        assert one.device.type == device.type
        assert torch.equal(one.cpu(), other)


@pytest.mark.parametrize("name", sorted(NETS))
def test_the_net_hears_masks_on_the_card(name: str, device: torch.device) -> None:
    net = create(name, 4).to(device).eval()
    augment = Augment(AugmentRecipe(masks=1.0, masks_frequency_share=0.5), 3, net.sample_rate, 4)
    masks = augment.masks(2, 1, 0, device)
    wave = 0.1 * torch.randn(2, net.window, device=device)
    with torch.inference_mode():
        heard, plain = net(wave, masks).logits, net(wave).logits
    assert torch.isfinite(heard).all()
    assert not torch.equal(heard, plain)
