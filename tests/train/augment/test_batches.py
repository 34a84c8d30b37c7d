"""Batches: seeded, each window by itself, finite whatever comes; mixup and masks; what a recipe may say."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer.runtime.errors import Unusable
from xfer.train.augment import EFFECTS, Augment, AugmentRecipe, Masked
from xfer.train.augment.draws import Draws
from xfer.train.augment.masking import draw_masks
from xfer.train.augment.mixup import draw_mixup, mixed, soft
from xfer.train.augment.recipe import LIMITS, PROBABILITIES
from xfer.train.nets import NETS, create
from xfer.train.nets.masks import Masks, masked
from xfer.train.recipe import default_recipe, field_names, from_toml, with_settings

NAMES = [effect.name for effect in EFFECTS]
ALL = AugmentRecipe(**dict.fromkeys(PROBABILITIES, 0.6))
CPU = torch.device("cpu")


def waves_of(seed: int, windows: int, length: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.2, (windows, length)).astype(np.float32))


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(2, 3000), st.sampled_from([8000, 16_000, 22_050]))
@settings(max_examples=15, deadline=None)
def test_any_window_stays_a_window(name, seed, windows, length, rate):
    augment = Augment(AugmentRecipe(**{name: 1.0}), seed, rate, 3)
    waves = waves_of(seed, windows, length)
    waves[0] = 0.0
    before = waves.clone()
    heard = augment.waves(waves, 1, 0)
    assert torch.equal(waves, before)  # what came in is not written to
    assert heard.shape == waves.shape
    assert heard.dtype == torch.float32
    assert torch.isfinite(heard).all()
    assert heard[0].abs().max() == 0
    assert torch.equal(heard, augment.waves(waves, 1, 0))
    alone = torch.cat([augment.waves(waves[i : i + 1], 1, 0, first=i) for i in range(windows)])
    assert torch.allclose(alone, heard, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_window_of_every_step_is_drawn_anew(name):
    augment = Augment(AugmentRecipe(**{name: 1.0}), 5, 16_000, 3)
    waves = waves_of(0, 1, 4000).repeat(3, 1)
    heard = torch.cat([augment.waves(waves, epoch, step) for epoch in (1, 2) for step in (0, 1)])
    other = Augment(AugmentRecipe(**{name: 1.0}), 6, 16_000, 3).waves(waves, 1, 0)
    few = {"speed": 2, "codec": 5}  # there are only so many
    assert len(torch.cat([heard, other]).unique(dim=0)) >= few.get(name, 15)
    assert not torch.equal(heard[0], waves[0])


def test_a_probability_is_one():
    for name in NAMES:
        augment = Augment(AugmentRecipe(**{name: 0.3}), 1, 16_000, 2)
        waves = waves_of(1, 32, 400)
        changed = [(augment.waves(waves, 1, step) != waves).any(dim=1) for step in range(20)]
        share = torch.cat(changed).float().mean()
        assert 0.24 < share < 0.36, name


def test_nothing_is_done_by_default():
    waves, targets = waves_of(2, 4, 500), torch.tensor([0, 1, 2, 1])
    heard, answers = Augment(AugmentRecipe(), 0, 16_000, 3)(waves, targets, 1, 0)
    assert heard is waves
    assert answers is targets


def test_other_effects_do_not_change_what_one_draws():
    waves = waves_of(3, 6, 2000)
    noise = Augment(AugmentRecipe(noise=1.0), 9, 16_000, 3).waves(waves, 2, 7)
    both = Augment(AugmentRecipe(noise=1.0, codec=1e-9), 9, 16_000, 3).waves(waves, 2, 7)
    assert torch.equal(noise, both)


def test_a_share_of_a_batch_becomes_what_it_becomes_in_the_whole():
    augment = Augment(AugmentRecipe(**dict.fromkeys([*NAMES, "masks"], 0.7)), 4, 16_000, 3)
    waves, targets = waves_of(4, 7, 3000), torch.arange(7) % 3
    whole, _ = augment(waves, targets, 3, 5)
    for begin, end in ((0, 3), (3, 7)):
        part, _ = augment(waves[begin:end], targets[begin:end], 3, 5, first=begin)
        assert torch.allclose(part.waves, whole.waves[begin:end], atol=1e-6)
        for mine, every in zip(part.masks, whole.masks, strict=True):
            assert torch.equal(mine, every[begin:end])


def test_pieces_of_a_masked_batch_are_its_rows():
    batch, _ = Augment(AugmentRecipe(masks=1.0), 4, 16_000, 3)(waves_of(5, 7, 100), torch.arange(7) % 3, 1, 0)
    assert isinstance(batch, Masked)
    pieces = batch.tensor_split(3)
    assert [len(piece) for piece in pieces] == [len(part) for part in torch.arange(7).tensor_split(3)]
    assert torch.equal(torch.cat([piece.waves for piece in pieces]), batch.waves)
    for which in (0, 1):
        assert torch.equal(torch.cat([piece.masks[which] for piece in pieces]), batch.masks[which])


def test_mixup_mixes_windows_and_labels_alike():
    how = AugmentRecipe(mixup=0.7, mixup_alpha=0.8)
    augment = Augment(how, 11, 16_000, 4)
    waves, targets = waves_of(6, 9, 50), torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0])
    heard, answers = augment(waves, targets, 1, 2)
    shares, partners = draw_mixup(how, Draws.derived(9, 11, 1, 2, "mixup"))
    assert sorted(partners.tolist()) == list(range(9))
    assert all(partner != row for row, partner in enumerate(partners.tolist()))
    hot = np.eye(4)[targets.numpy()]
    for row, (share, partner) in enumerate(zip(shares.tolist(), partners.tolist(), strict=True)):
        x, y = waves.double().numpy(), share * hot[row] + (1 - share) * hot[partner]
        assert heard[row].numpy() == pytest.approx(share * x[row] + (1 - share) * x[partner], abs=1e-6)
        assert answers[row].numpy() == pytest.approx(y, abs=1e-6)
    assert 0 < int((shares == 1).sum()) < 9
    assert answers.sum(dim=1).numpy() == pytest.approx(np.ones(9), abs=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_of_mixup_are_beta(alpha):
    shares, _ = draw_mixup(AugmentRecipe(mixup=1.0, mixup_alpha=alpha), Draws.derived(4000, 1, "beta"))
    assert scipy.stats.kstest(shares.numpy(), scipy.stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_a_window_alone_is_mixed_with_itself():
    waves = waves_of(7, 1, 20)
    shares, partners = draw_mixup(AugmentRecipe(mixup=1.0), Draws.derived(1, 0))
    assert torch.allclose(mixed(waves, shares, partners), waves, atol=1e-7)
    assert soft(torch.tensor([2]), 3).tolist() == [[0.0, 0.0, 1.0]]


@given(st.integers(0, 2**32), st.integers(0, 8), st.integers(0, 8), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_masks_lie_inside_and_are_no_wider_than_allowed(seed, bands, stretches, band, stretch):
    how = AugmentRecipe(
        masks=0.5,
        masks_frequency=bands,
        masks_frequency_share=band,
        masks_time=stretches,
        masks_time_share=stretch,
    )
    masks = draw_masks(how, Draws.derived(6, seed), CPU)
    for spans, count, widest in ((masks.frequency, bands, band), (masks.time, stretches, stretch)):
        assert spans.shape == (6, count, 2)
        width = spans[..., 1] - spans[..., 0]
        assert (width >= 0).all()
        assert (width <= widest + 1e-6).all()
        assert (spans >= 0).all()
        assert (spans <= 1 + 1e-6).all()


@pytest.mark.parametrize("shape", [(3, 1, 40, 25), (3, 16, 90)])
def test_masks_really_mask_and_nothing_else(shape):
    features = torch.rand(shape) + 1
    masks = draw_masks(AugmentRecipe(masks=1.0, masks_time_share=0.4), Draws.derived(3, 8), CPU)
    found = masked(features, masks).numpy()
    expected = features.numpy().copy()
    for row in range(3):
        view = expected[row, 0].T if len(shape) == 4 else expected[row]  # (frequency, time)
        for axis, spans in enumerate((masks.frequency[row], masks.time[row])):
            for begin, end in spans.tolist():
                places = slice(round(begin * view.shape[axis]), round(end * view.shape[axis]))
                view[places if axis == 0 else (slice(None), places)] = 0
    assert (found == expected).all()
    assert 0 < (found == 0).mean() < 1


@pytest.mark.parametrize("name", sorted(NETS))
def test_a_net_does_not_hear_what_is_masked(name):
    net = create(name, 3)
    net.eval()
    window = NETS[name].window // (3 if NETS[name].free_time else 1)
    wave = waves_of(9, 2, window)
    nothing = Masks(torch.zeros(2, 1, 2), torch.zeros(2, 1, 2))
    everything = Masks(torch.zeros(2, 1, 2), torch.tensor([[[0.0, 1.0]], [[0.0, 1.0]]]))
    with torch.no_grad():
        assert torch.equal(net(wave, nothing).logits, net(wave).logits)
        deaf = net(wave, everything).logits
        assert torch.equal(deaf, net(3 * waves_of(10, 2, window), everything).logits)
        assert not torch.equal(deaf, net(wave).logits)
    net.train()
    half = Masks(torch.tensor([[[0.0, 0.5]], [[0.0, 0.0]]]), nothing.time)
    net(wave.requires_grad_(), half).logits.square().sum().backward()
    assert torch.isfinite(wave.grad).all()
    assert wave.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("noise=1.5", "probability"),
        ("noise=-0.1", "probability"),
        ("noise=nan", "probability"),
        ("room=true", "number"),
        ("nois=0.5", r"augment\.noise"),
        ("noise_snr_db=[30, 5]", "lower to the higher"),
        ("noise_snr_db=[nan, 5]", "noise_snr_db"),
        ("noise_snr_db=5", "2 values"),
        ("room_t60_seconds=[0, 1]", r"from 0\.01 to 5"),
        ("speeds=[]", "empty"),
        ("speeds=[0.9, 30]", r"from 0\.5 to 2"),
        ("response_low_hz=[20, 5000]", "not below"),
        ('codec_kinds=["telefone"]', "telephone"),
        ("codec_kinds=[]", r"augment\.codec=0"),
        ("codec_bits=[0, 4]", "codec_bits"),
        ("codec_bits=[4.5, 8]", "number"),
        ("mixup_alpha=0", "mixup_alpha"),
        ("masks_time=99", "masks_time"),
        ("masks_time_share=2", "masks_time_share"),
    ],
)
def test_what_means_nothing_is_refused(setting, says):
    with pytest.raises(Unusable, match=says):
        with_settings(default_recipe("sound", "convnet"), [f"augment.{setting}"])


def test_recipes_keep_it_and_older_ones_have_none():
    recipe = with_settings(default_recipe("sound", "convnet"), ["augment.noise=0.5", "augment.speeds=[0.8, 1.2, 1.0]"])
    assert recipe.augment == AugmentRecipe(noise=0.5, speeds=(0.8, 1.2, 1.0))
    assert from_toml(recipe.to_toml()) == recipe
    text = default_recipe("sound", "convnet").to_toml()
    older = text[: text.index("[augment]")] + text[text.index("[transfer]") :]
    assert from_toml(older).augment == AugmentRecipe()
    assert not from_toml(older).augment.any


def test_every_field_has_its_bounds_and_extremes_of_them_work():
    fields = {name.removeprefix("augment.") for name in field_names(default_recipe("sound", "convnet"))
              if name.startswith("augment.")}  # fmt: skip
    assert fields == {*PROBABILITIES, *LIMITS, "codec_kinds"}
    waves, targets = waves_of(12, 4, 2000), torch.arange(4) % 2
    for which in (0, 1):
        ends = {}
        for name, bounds in LIMITS.items():
            value = getattr(AugmentRecipe(), name)
            ends[name] = (bounds[which],) * len(value) if isinstance(value, tuple) else bounds[which]
        ends["response_low_hz"] = (0.0, 50.0) if which == 0 else (90.0, 99.0)
        how = AugmentRecipe(**ends, **dict.fromkeys(PROBABILITIES, 1.0))
        for rate in (8000, 16_000):
            heard, answers = Augment(how, 0, rate, 2)(waves, targets, 1, 0)
            assert torch.isfinite(heard.waves).all()
            assert torch.isfinite(answers).all()
