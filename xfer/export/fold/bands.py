"""A convolution over all bands at once, with the bands as its channels: the same sums in the form that engines know.

ConvNet's first layer reads a spectrogram as a picture of one channel, with a kernel as high as the picture. OpenVINO
has no fast kernel for that; with 513 channels of height one the whole net takes 0.4 times the time there, and the same
in ONNX Runtime.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class BandsAsChannels(nn.Module):
    """In place of a Conv2d of one channel whose kernel covers the last axis.

    Shape: (n, 1, time, bands) -> (n, channels, time, 1)
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(conv.weight.detach().permute(0, 3, 1, 2).contiguous())  # (channels, bands, 1, time)
        self.bias = conv.bias
        self.stride, self.padding = conv.stride[0], int(conv.padding[0])

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (n, 1, time, bands) -> (n, channels, time, 1)"""
        across = x.permute(0, 3, 1, 2)
        found = F.conv2d(across, self.weight, self.bias, (1, self.stride), (0, self.padding))
        return found.transpose(2, 3)


def bands_as_channels(stages: nn.ModuleDict, features: Tensor) -> None:
    """Replace such a convolution where the first stage begins with one, in place; `features` is what it reads."""
    first = next(iter(stages.values()))
    if features.ndim == 4 and features.shape[1] == 1 and isinstance(first, nn.Sequential):
        for place, layer in enumerate(first):
            if isinstance(layer, nn.Conv2d) and _covers(layer, features.shape[-1]):
                first[place] = BandsAsChannels(layer)


def _covers(conv: nn.Conv2d, bands: int) -> bool:
    plain = conv.in_channels == 1 and conv.dilation == (1, 1) and not isinstance(conv.padding, str)
    return plain and conv.kernel_size[1] == bands and conv.padding[1] == 0 and conv.padding_mode == "zeros"
