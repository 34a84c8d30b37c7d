"""Forms of a training step: the same values whatever the layout, chosen by measurement, kept by a run."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from tests.train.tones import small
from xfer.runtime.errors import Unusable
from xfer.runtime.home import home
from xfer.train import runs
from xfer.train.fit import forms
from xfer.train.nets import create
from xfer.train.nets.frontends import Sinc
from xfer.train.nets.layout import TimeConv1d, TimeMaxPool1d, TimeNorm1d, channels_innermost
from xfer.train.recipe import FitRecipe
from xfer.train.training import Listener, train

CPU = torch.device("cpu")


def innermost(x: torch.Tensor) -> torch.Tensor:
    """The same values with channels innermost."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


@given(st.integers(1, 4), st.integers(2, 5), st.integers(3, 30), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_layers_give_the_same_in_both_layouts(windows: int, channels: int, time: int, seed: int) -> None:
    """Against torch's own layers in float64, values and gradients; and they keep the layout."""
    torch.manual_seed(seed)
    pairs = [
        (TimeConv1d(channels, 4, 3, padding=1), nn.Conv1d(channels, 4, 3, padding=1)),
        (TimeConv1d(channels, 4, 1), nn.Conv1d(channels, 4, 1)),
        (TimeNorm1d(channels), nn.BatchNorm1d(channels)),
        (TimeMaxPool1d(3), nn.MaxPool1d(3)),
    ]
    wave = torch.randn(windows, channels, time, dtype=torch.float64)
    for ours, plain in pairs:
        ours, plain = ours.double(), plain.double()
        plain.load_state_dict(ours.state_dict())
        one, other = innermost(wave).requires_grad_(), wave.clone().requires_grad_()
        found, wanted = ours(one), plain(other)
        assert channels_innermost(found) or found.shape[1] == 1 or found.shape[2] == 1
        assert torch.allclose(found, wanted, atol=1e-12)
        found.square().sum().backward()
        wanted.square().sum().backward()
        assert torch.allclose(one.grad, other.grad, atol=1e-10)
        for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
            assert torch.allclose(mine.grad, theirs.grad, atol=1e-10)
        assert all(torch.allclose(v, plain.state_dict()[k]) for k, v in ours.state_dict().items())


@pytest.mark.parametrize(("samples", "padding"), [(2187, 125), (1000, 0), (600, 125), (251, 0)])
def test_sinc_in_blocks_is_the_same_convolution(samples: int, padding: int) -> None:
    """Against numpy's own convolution in float64, and its gradient against that of the plain form."""
    torch.manual_seed(1)
    plain = Sinc(6, 251, 16000, padding)
    blocks = copy.deepcopy(plain)
    blocks.in_blocks = True
    wave = torch.randn(3, samples)
    found = blocks(wave)
    assert channels_innermost(found) or found.shape[2] == 1
    kernels = plain.kernels()[:, 0].detach().double().numpy()
    padded = np.pad(wave.double().numpy(), ((0, 0), (padding, padding)))
    wanted = np.array([[np.abs(np.correlate(row, kernel)) for kernel in kernels] for row in padded])
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=2e-5 * wanted.max())
    found.square().sum().backward()
    plain(wave).square().sum().backward()
    for name in ("low", "band"):
        ours, theirs = getattr(blocks, name).grad, getattr(plain, name).grad
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max())), name


@pytest.mark.parametrize("name", ["sinc in blocks", "bf16, channels innermost"])
def test_rawnet2_says_the_same_in_each_form(name: str) -> None:
    torch.manual_seed(2)
    net = create("rawnet2", 5).train()
    other = copy.deepcopy(net)
    form = forms.BY_NAME[name]
    form.apply(other)
    seen = []
    other.stages["block0"].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    wave = 0.1 * torch.randn(2, 2187)
    with torch.autocast("cpu", torch.bfloat16, enabled=False):
        found, wanted = other(wave).logits, net(wave).logits
    assert channels_innermost(seen[0]) == form.channels_innermost
    assert torch.allclose(found, wanted, atol=1e-4)
    F.cross_entropy(found, torch.tensor([0, 3])).backward()
    assert all(parameter.grad is not None for name, parameter in other.named_parameters() if "frontend" not in name)
    assert net.state_dict().keys() == other.state_dict().keys()


def test_what_was_measured_is_kept_and_a_broken_file_is_measured_again(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    net, how, machine = create("rawnet2", 2), FitRecipe(precision="fp32"), {"processor": "this one"}
    asked = []

    def seconds(net, known, device, length):
        asked.append([form.name for form in known])
        return {"plain": 1.0, "sinc in blocks": 0.5}

    monkeypatch.setattr(forms, "measure", seconds)
    assert forms.choose(net, how, CPU, 2187, machine).name == "sinc in blocks"
    assert forms.choose(net, how, CPU, 2187, machine).name == "sinc in blocks"
    assert asked == [["plain", "sinc in blocks"]]
    assert forms.choose(net, how, CPU, 6561, machine).name == "sinc in blocks"  # another length is another step
    assert len(asked) == 2
    (home() / "forms.json").write_text("{broken")
    monkeypatch.setattr(forms, "measure", lambda *_: {"plain": 1.0, "sinc in blocks": 0.97})
    assert forms.choose(net, how, CPU, 2187, machine).name == "plain"  # within what a measurement scatters
    assert "plain" in json.loads((home() / "forms.json").read_text()).values()


def test_measuring_leaves_net_and_random_state_alone() -> None:
    net = create("rawnet2", 2)
    before, state = copy.deepcopy(net.state_dict()), torch.random.get_rng_state()
    found = forms.measure(net, [forms.PLAIN, forms.BY_NAME["sinc in blocks"]], CPU, 2187)
    assert all(0 < seconds < 60 for seconds in found.values())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert isinstance(net.frontend, Sinc)
    assert not net.frontend.in_blocks


def test_which_forms_come_into_question(monkeypatch) -> None:
    convnet, rawnet2 = create("convnet", 2), create("rawnet2", 2)
    monkeypatch.setattr(forms, "has_bf16", lambda device: False)
    names = [form.name for form in forms.candidates(rawnet2, "auto", CPU)]
    assert names == ["plain", "sinc in blocks"]
    assert [form.name for form in forms.candidates(convnet, "auto", CPU)] == ["plain"]
    monkeypatch.setattr(forms, "has_bf16", lambda device: True)
    names = [form.name for form in forms.candidates(rawnet2, "auto", CPU)]
    assert names == ["plain", "sinc in blocks", "bf16", "bf16, channels innermost"]
    assert [form.precision for form in forms.candidates(convnet, "fp32", CPU)] == ["fp32"]
    with pytest.raises(Unusable, match="fp16"):
        forms.candidates(convnet, "fp16", CPU)


def test_a_run_keeps_its_form(tones, tmp_path) -> None:
    """What run.json says is taken, whatever would be measured now."""
    told: list[str] = []

    def stop(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small(tones), out=tmp_path / "run", device="cpu", listener=Listener(fit=stop))
    run = runs.Run(tmp_path / "run")
    assert run.state()["form"] == "plain"
    run.write_state("stopped", form="bf16")
    train(run.recipe, resume=run.folder, device="cpu", listener=Listener(say=told.append))
    assert any("(bf16)" in line for line in told)
