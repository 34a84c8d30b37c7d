"""The nets: one file each, registered by name."""

from xfer.train.nets import convnet, rawnet2  # noqa: F401  importing a net's file registers it
from xfer.train.nets.net import Net, Outputs, replace_head
from xfer.train.nets.registry import NETS, change_head, create, options_of

__all__ = ["NETS", "Net", "Outputs", "change_head", "create", "options_of", "replace_head"]
