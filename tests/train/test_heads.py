"""Heads and the angular margin: against formulas in float64, at the ends of the arccosine, and in a training."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.train.tones import small
from xfer.runtime.errors import Unusable
from xfer.train.checkpoint import load
from xfer.train.data.clips import Clip, DataSet
from xfer.train.fit.losses import Loss, margin_scale, with_margin
from xfer.train.nets import NETS, change_head, create, replace_head
from xfer.train.nets.heads import HEADS, CosineHead, last_layer, make_head
from xfer.train.recipe import FitRecipe, default_recipe, with_settings
from xfer.train.training import build, train

CPU = torch.device("cpu")
STATE = {"convnet": ["head.1.weight", "head.1.bias"], "rawnet2": ["head.linear.weight", "head.linear.bias"]}


def test_a_cosine_head_is_its_formula_and_knows_no_lengths():
    rng = np.random.default_rng(0)
    head = CosineHead(7, 4, scale=12.0)
    x, w = rng.normal(0, 3, (5, 7)), head.weight.detach().double().numpy()
    wanted = 12 * (x @ w.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(w, axis=1)[None]
    with torch.no_grad():
        found = head(torch.tensor(x, dtype=torch.float32))
        louder = head(torch.tensor(100 * x, dtype=torch.float32))
        head.weight.mul_(torch.tensor([0.1, 1.0, 5.0, 70.0])[:, None])
        longer = head(torch.tensor(x, dtype=torch.float32))
    for each in (found, louder, longer):
        assert np.abs(each.numpy() - wanted).max() < 1e-5


def test_an_embedding_of_zeros_gives_zeros_and_a_finite_gradient():
    """Behind a ReLU silence may be all zeros."""
    head = CosineHead(6, 3)
    embedding = torch.zeros(2, 6, requires_grad=True)
    logits = head(embedding)
    F.cross_entropy(with_margin(logits, F.one_hot(torch.tensor([0, 1]), 3), 0.2, 30.0), torch.tensor([0, 1])).backward()
    assert torch.equal(logits, torch.zeros(2, 3))
    assert torch.isfinite(embedding.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_a_cosine_head_computes_in_float32_under_autocast():
    head, x = CosineHead(64, 5), torch.randn(3, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(x), CosineHead.forward(head, x))
        assert head(x.bfloat16()).dtype == torch.float32
    assert (head(x) - head(x.bfloat16().float())).abs().max() > 0


@pytest.mark.parametrize("name", sorted(NETS))
def test_the_own_head_of_a_net_keeps_its_names_and_is_what_options_of_old_mean(name):
    net = create(name, 3)
    assert net.options["head"] == "linear"
    assert [key for key in net.state_dict() if key.startswith("head.")] == STATE[name]
    assert [key for key in create(name, 3, head="cosine").state_dict() if key.startswith("head.")] == ["head.weight"]


def test_heads_that_are_none():
    with pytest.raises(Unusable, match="did you mean 'cosine'"):
        create("convnet", 2, head="cosin")
    for scale in (0.0, -3.0, math.nan, math.inf):
        with pytest.raises(Unusable, match="head_scale"):
            create("convnet", 2, head="cosine", head_scale=scale)
    with pytest.raises(Unusable, match=r"options\.head.*cosine"):
        with_settings(default_recipe("speaker", "convnet"), ["options.head=cos1ne"])


def test_a_new_head_keeps_kind_and_scale():
    net = create("convnet", 3, head="cosine", head_scale=17.0)
    replace_head(net, 9)
    assert isinstance(net.head, CosineHead)
    assert (net.head.scale, net.classes) == (17.0, 9)


@pytest.mark.parametrize(("first", "then"), [("linear", "cosine"), ("cosine", "linear")])
def test_a_transfer_may_change_the_kind_of_head(first, then):
    net = create("convnet", 3, head=first)
    body = {name: value.clone() for name, value in net.state_dict().items() if not name.startswith("head.")}
    change_head(net, net.options | {"head": then})
    assert net.options["head"] == then
    assert isinstance(last_layer(net.head), CosineHead) == (then == "cosine")
    assert all(torch.equal(net.state_dict()[name], value) for name, value in body.items())
    before = net.head
    change_head(net, net.options)
    assert net.head is before


def reference(cosine: float, margin: float) -> float:
    """cos(arccos c + m), and the straight line beyond the half turn."""
    angle = math.acos(cosine)
    return math.cos(angle + margin) if angle + margin < math.pi else cosine - margin * math.sin(margin)


@given(st.integers(0, 2**31), st.floats(0.01, 1.5), st.floats(1.0, 64.0), st.integers(2, 6))
@settings(max_examples=60, deadline=None)
def test_the_margin_is_its_formula(seed, margin, scale, classes):
    rng = np.random.default_rng(seed)
    cosines, targets = rng.uniform(-0.999, 0.999, (8, classes)), rng.integers(classes, size=8)
    moved = cosines.copy()
    for row, target in enumerate(targets):
        moved[row, target] = reference(cosines[row, target], margin)
    logits = scale * moved
    peak = logits.max(axis=1, keepdims=True)
    own = logits[np.arange(8), targets]
    wanted = (np.log(np.exp(logits - peak).sum(axis=1)) + peak[:, 0] - own).mean()
    loss = Loss(replace(FitRecipe(), margin=margin), np.ones(classes, np.int64), CPU, scale)
    asked = torch.tensor(scale * cosines)
    assert float(loss(asked, torch.tensor(targets))) == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    # All of a share on one label is that label.
    shares = F.one_hot(torch.tensor(targets), classes).double()
    assert float(loss(asked, shares)) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_each_of_two_labels_has_the_margin_by_its_share():
    cosines = np.array([[0.3, -0.2, 0.6]])
    found = (
        with_margin(torch.tensor(30 * cosines), torch.tensor([[0.75, 0.0, 0.25]]).double(), 0.4, 30.0).numpy()[0] / 30
    )
    assert found == pytest.approx([reference(0.3, 0.3), -0.2, reference(0.6, 0.1)], abs=1e-9)


def test_no_margin_is_the_plain_cross_entropy_to_the_bit():
    logits, targets = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    loss = Loss(FitRecipe(), np.ones(4, np.int64), CPU, margin_scale(FitRecipe(), torch.nn.Linear(2, 2)))
    assert torch.equal(loss(logits, targets), F.cross_entropy(logits, targets))
    tiny = Loss(replace(FitRecipe(), margin=1e-12), np.ones(4, np.int64), CPU, 30.0)
    assert float(tiny(logits, targets)) == pytest.approx(float(F.cross_entropy(logits, targets)), rel=1e-6)


def test_gradients_of_the_margin_are_right():
    rng = np.random.default_rng(1)
    logits = torch.tensor(rng.uniform(-0.99, 0.99, (5, 4)), requires_grad=True)
    shares = F.one_hot(torch.tensor([0, 1, 2, 3, 0]), 4).double()
    assert torch.autograd.gradcheck(lambda x: with_margin(x, shares, 0.3, 1.0), logits)


@pytest.mark.parametrize("cosine", [-1.0 - 1e-7, -1.0, -1 + 1e-7, 1 - 1e-7, 1.0, 1.0 + 1e-7])
def test_gradients_at_the_ends_stay_finite_also_where_rounding_leaves_the_circle(cosine):
    logits = torch.tensor([[30 * cosine, 0.0]], dtype=torch.float32, requires_grad=True)
    loss = Loss(replace(FitRecipe(), margin=0.2), np.ones(2, np.int64), CPU, 30.0)(logits, torch.tensor([0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@given(st.floats(0.05, 1.5))
def test_a_margin_never_makes_it_easier_and_a_better_angle_is_always_better(margin):
    cosines = torch.linspace(-0.9999, 0.9999, 4001, dtype=torch.float64)[:, None]
    moved = with_margin(cosines, torch.ones_like(cosines), margin, 1.0)
    assert (moved < cosines).all()
    # At the half turn, where the line takes over, there is the small step of the original.
    step = moved.diff(dim=0)[:, 0]
    assert (step > 0).sum() >= len(step) - 1


@pytest.mark.parametrize("margin", [-0.1, math.pi / 2, math.nan])
def test_margins_that_are_none(margin):
    with pytest.raises(Unusable, match=r"fit\.margin"):
        margin_scale(replace(FitRecipe(), margin=margin), CosineHead(2, 2))


def test_a_margin_on_a_head_without_angles_is_refused_before_the_training(tmp_path):
    data = DataSet(
        "set", tmp_path, "folders", "speaker", "convnet", (Clip(tmp_path, "a", "1"), Clip(tmp_path, "b", "2"))
    )
    recipe = with_settings(default_recipe("speaker", "convnet"), ["fit.margin=0.2"])
    with pytest.raises(Unusable, match=r"options\.head=cosine"):
        build(recipe, data)
    assert build(with_settings(recipe, ["options.head=cosine"]), data).head.scale == 30.0


def test_a_net_with_margin_learns_and_comes_back_from_its_checkpoint(tones, tmp_path):
    done = train(
        small(tones, "options.head=cosine", "fit.margin=0.2", "fit.epochs=3"), out=tmp_path / "run", device="cpu"
    )
    checkpoint = load(done.run.best)
    assert isinstance(checkpoint.net.head, CosineHead)
    assert checkpoint.net.options["head"] == "cosine"
    assert checkpoint.metrics["validation"]["clip_accuracy"] == 1.0
    plain = train(small(tones, "options.head=cosine", "fit.epochs=1"), out=tmp_path / "plain", device="cpu")
    hard = train(
        small(tones, "options.head=cosine", "fit.epochs=1", "fit.margin=0.5"), out=tmp_path / "hard", device="cpu"
    )
    losses = [load(each.run.best).metrics["train_loss"] for each in (plain, hard)]
    assert losses[1] > losses[0] + 0.5  # the loop hands the margin on


def test_heads_by_name():
    assert set(HEADS) == {"linear", "cosine"}
    with pytest.raises(Unusable, match="no head is called"):
        make_head("mlp", None)
