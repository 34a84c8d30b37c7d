"""Where a data set comes from, and at which rate its net hears it; without torch, so that `xfer data` starts fast."""

from __future__ import annotations

from dataclasses import replace

from xfer.runtime.errors import Unusable, nearest
from xfer.runtime.home import home
from xfer.train.data import layouts
from xfer.train.data.clips import DataSet

EMBEDDED = "synthetic_voices"
EMBEDDED_SECONDS = 3.45
"""Just under RawNet2's window, so that validation costs one window a clip."""
RATES = {"convnet": 22_050, "rawnet2": 16_000}
"""Hz; a copy of what the nets themselves say, which takes seconds to ask: importing them imports torch."""


def read_data(path: str, layout: str, task: str | None, net: str | None) -> DataSet:
    """A data set from its folder, file or address, or the embedded synthetic voices where `path` is empty.

    Raises what `layouts.read` raises.
    """
    if path:
        return layouts.read(path, layout or None, task, net)
    from xfer.train.data.voices import VERSION, write_voices  # brings scipy, which no other data set needs

    folder = write_voices(home() / "cache" / f"{EMBEDDED}-{VERSION}", seconds=EMBEDDED_SECONDS)
    found = layouts.read(folder, "folders", task or "speaker", net)
    return replace(found, name="embedded synthetic voices", synthetic=True, licence="same as xfer", attribution="")


def rate_of(net: str) -> int:
    """The rate that a net hears, Hz. Raises Unusable for an unknown net."""
    if net in RATES:
        return RATES[net]
    from xfer.train.nets import NETS

    if net not in NETS:
        raise Unusable(f"no net is called {net!r}: {nearest(net, NETS)}")
    return NETS[net].sample_rate
