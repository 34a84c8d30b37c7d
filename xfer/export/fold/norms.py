"""Batch norms into the layer beside them, wherever that is exact.

In evaluation a batch norm is y = s x + t for each channel. After a convolution or a linear layer both go into its
weights and bias, always exactly. Before one they do so only where nothing is padded: zeros at a border are put in after
the norm, and would have to be -t / s each. Across a ReLU, a pooling or a skip nothing is folded.

Which layers are neighbours is seen, not assumed: the net runs once, and every call of torch is written down with the
tensors that it took and gave. What a stage gives is an output of the twin graph, so no norm is folded through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


@dataclass(frozen=True)
class Call:
    """One call of torch that took or gave tensors."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    given: tuple[Tensor, ...]

    @property
    def taken(self) -> Iterator[Tensor]:
        """Every tensor among the arguments."""
        return _tensors((self.arguments, self.named))

    def argument(self, place: int, name: str) -> Any:
        """An argument by its place or its name; None where it was left out."""
        return self.arguments[place] if place < len(self.arguments) else self.named.get(name)


class Watch(TorchFunctionMode):
    """Writes down every call that gives a tensor, and so keeps all tensors: none takes over another's identity."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call it, and write it down."""
        found = func(*args, **(kwargs or {}))
        given = tuple(_tensors(found))
        if given:
            self.calls.append(Call(func, args, kwargs or {}, given))
        return found


def fold_norms(net: nn.Module, example: Tensor) -> int:
    """Put every batch norm that can be into its neighbour's weights, in place, in float64; how many these were.

    The net must be in evaluation; `example` is one input of it, on its device and in its number format. Tensors that
    the net gives out count as used.
    """
    with torch.no_grad(), Watch() as watch:
        given = net(example)
    uses = Counter(id(tensor) for call in watch.calls for tensor in call.taken)
    uses.update(id(tensor) for tensor in _tensors(given))
    takers = {id(tensor): call for call in watch.calls for tensor in call.taken}
    givers = {id(call.given[0]): call for call in watch.calls}
    # With the bias that it ran with: a layer between two norms takes both in, one after the other.
    layers = {id(module.weight): (module, module.bias) for module in net.modules() if isinstance(module, _LAYERS)}
    norms = {id(module.running_mean): module for module in net.modules() if isinstance(module, _BatchNorm)}
    folded: set[int] = set()
    for call in watch.calls:
        norm = norms.get(id(call.argument(1, "running_mean"))) if call.function is F.batch_norm else None
        if norm is None or norm.running_mean is None or norm.training or uses[id(norm.running_mean)] != 1:
            continue
        heard, said = call.argument(0, "input"), call.given[0]
        before = _layer(givers.get(id(heard)), layers, uses) if uses[id(heard)] == 1 else None
        after = _layer(takers.get(id(said)), layers, uses) if uses[id(said)] == 1 else None
        if before is not None:
            _into_layer_before(before, *_scale_and_shift(norm))
        elif after is not None and not _pads(takers[id(said)]):
            _into_layer_after(after, *_scale_and_shift(norm))
        else:
            continue
        folded.add(id(norm))
    _remove(net, folded)
    return len(folded)


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


def _layer(call: Call | None, layers: dict[int, tuple[Layer, Tensor | None]], uses: Counter[int]) -> Layer | None:
    """The layer whose own convolution or product of (n, channels) this call is, and whose weights nothing else uses."""
    if call is None or not (call.function in _CONVOLUTIONS or call.function is F.linear):
        return None
    if call.function is F.linear and call.given[0].dim() != 2:  # behind the batch the norm has channels, this has time
        return None
    weight, bias = call.argument(1, "weight"), call.argument(2, "bias")
    layer, own = layers.get(id(weight), (None, None))
    if layer is None or own is not bias or uses[id(weight)] != 1 or (bias is not None and uses[id(bias)] != 1):
        return None
    return layer


def _pads(call: Call) -> bool:
    """Does this convolution put zeros around its input?"""
    if call.function is F.linear:
        return False
    padding = call.argument(4, "padding")
    if isinstance(padding, str):
        return padding != "valid"
    return any(padding) if isinstance(padding, (tuple, list)) else bool(padding)


def _scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """s and t of y = s x + t, float64, (channels,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.double()


def _into_layer_before(layer: Layer, scale: Tensor, shift: Tensor) -> None:
    """s (W x + b) + t = (s W) x + (s b + t)."""
    weight = layer.weight.double()
    bias = torch.zeros_like(shift) if layer.bias is None else layer.bias.double()
    _put(layer, weight * scale.view(-1, *[1] * (weight.dim() - 1)), bias * scale + shift)


def _into_layer_after(layer: Layer, scale: Tensor, shift: Tensor) -> None:
    """W (s x + t) + b = (W s) x + (W t + b), each output with the channels of its own group."""
    weight = layer.weight.double()
    outputs, inputs = weight.shape[:2]
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    # (groups, inputs) -> one row for every output
    rows = [each.view(groups, inputs).repeat_interleave(outputs // groups, dim=0) for each in (scale, shift)]
    scale, shift = (row.view(outputs, inputs, *[1] * (weight.dim() - 2)) for row in rows)
    constant = (weight * shift).flatten(1).sum(dim=1)
    _put(layer, weight * scale, constant if layer.bias is None else constant + layer.bias.double())


def _put(layer: Layer, weight: Tensor, bias: Tensor) -> None:
    kind = layer.weight.dtype
    layer.weight = nn.Parameter(weight.to(kind), requires_grad=False)
    layer.bias = nn.Parameter(bias.to(kind), requires_grad=False)


def _remove(net: nn.Module, folded: set[int]) -> None:
    for module in list(net.modules()):
        for name, child in module.named_children():
            if id(child) in folded:
                setattr(module, name, nn.Identity())
