"""The part of a recipe that says what is done to the windows of a batch on the device; all of it is off by default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xfer.runtime.errors import Unusable, nearest

CODECS = ("telephone", "rate", "bits")
MOST_MASKS = 8


@dataclass(frozen=True)
class AugmentRecipe:
    """What is done to windows: the probability of each effect, 0 to 1, then what it draws from.

    In the order in which they are applied: from the source over the room and the microphone to the recorder; then two
    windows are mixed, and what the front-end gives is masked.
    """

    speed: float = 0.0
    """Faster or slower, and so higher or lower. Not where pitch is what is recognised."""
    speeds: tuple[float, ...] = (0.9, 1.1)
    """One of these."""
    shift: float = 0.0
    """Earlier or later; silence comes in."""
    shift_seconds: tuple[float, float] = (-0.2, 0.2)
    room: float = 0.0
    """A room's echo: direct sound and noise that decays exponentially."""
    room_t60_seconds: tuple[float, float] = (0.1, 0.8)
    """The time in which the echo falls by 60 dB."""
    room_direct_db: tuple[float, float] = (-3.0, 12.0)
    """Energy of the direct sound over that of the echo."""
    noise: float = 0.0
    """Noise, below what is heard."""
    noise_snr_db: tuple[float, float] = (5.0, 30.0)
    """The window's active level over the noise."""
    noise_tilt: tuple[float, float] = (0.0, 2.0)
    """Its power falls as 1 / f**tilt: 0 white, 1 pink, 2 brown."""
    response: float = 0.0
    """A microphone: an uneven response between two edges."""
    response_low_hz: tuple[float, float] = (20.0, 300.0)
    """Lower edge: -3 dB, 12 dB an octave."""
    response_high_hz: tuple[float, float] = (3000.0, 11000.0)
    """Upper edge: -3 dB, 24 dB an octave; beyond half the rate there is none."""
    response_db: tuple[float, float] = (-6.0, 6.0)
    """Of each of eight points between the edges."""
    codec: float = 0.0
    """A poor recorder or line."""
    codec_kinds: tuple[str, ...] = CODECS
    """One of: telephone (8,000 Hz, mu-law), rate (a lower sample rate), bits (few of them)."""
    codec_rate_hz: tuple[float, float] = (5000.0, 12000.0)
    codec_bits: tuple[int, int] = (5, 9)
    """A sample, the window's peak at full scale."""
    mixup: float = 0.0
    """A share of another window of the batch, and the same share of its label."""
    mixup_alpha: float = 0.4
    """The share is drawn from Beta(alpha, alpha): 1 is any share alike, less is nearer to one of the two."""
    masks: float = 0.0
    """SpecAugment: bands of frequency and stretches of time are silent to the net."""
    masks_frequency: int = 2
    """How many bands."""
    masks_frequency_share: float = 0.15
    """Of all frequencies in one of them, at most."""
    masks_time: int = 2
    """How many stretches."""
    masks_time_share: float = 0.1
    """Of the window in one of them, at most."""

    def __post_init__(self) -> None:
        """Raises Unusable for values that mean nothing."""
        for name in PROBABILITIES:
            _within(name, getattr(self, name), 0.0, 1.0, "a probability")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            for each in value if isinstance(value, tuple) else (value,):
                _within(name, each, low, high, "a value")
            if name != "speeds" and isinstance(value, tuple) and value[0] > value[1]:
                raise Unusable(f"augment.{name} goes from the lower to the higher value, not {list(value)}")
        if self.response_low_hz[1] >= self.response_high_hz[0]:
            raise Unusable(
                f"augment.response_low_hz ends at {self.response_low_hz[1]:g} Hz, which is not below "
                f"augment.response_high_hz, which begins at {self.response_high_hz[0]:g} Hz"
            )
        for kind in self.codec_kinds:
            if kind not in CODECS:
                raise Unusable(f"augment.codec_kinds has no {kind!r}: {nearest(kind, CODECS)}")
        for name, effect in (("speeds", "speed"), ("codec_kinds", "codec")):
            if not getattr(self, name):
                raise Unusable(f"augment.{name} is empty: name one at least, or switch it off with augment.{effect}=0")

    @property
    def any(self) -> bool:
        """Is anything done at all?"""
        return any(getattr(self, name) > 0 for name in PROBABILITIES)


PROBABILITIES = ("speed", "shift", "room", "noise", "response", "codec", "mixup", "masks")
LIMITS = {
    "speeds": (0.5, 2.0),
    "shift_seconds": (-60.0, 60.0),
    "room_t60_seconds": (0.01, 5.0),
    "room_direct_db": (-40.0, 60.0),
    "noise_snr_db": (-40.0, 100.0),
    "noise_tilt": (-2.0, 3.0),
    "response_low_hz": (0.0, 20_000.0),
    "response_high_hz": (100.0, 200_000.0),
    "response_db": (-40.0, 40.0),
    "codec_rate_hz": (500.0, 200_000.0),
    "codec_bits": (2, 24),
    "mixup_alpha": (0.01, 100.0),
    "masks_frequency": (0, MOST_MASKS),
    "masks_frequency_share": (0.0, 1.0),
    "masks_time": (0, MOST_MASKS),
    "masks_time_share": (0.0, 1.0),
}
"""From and to which value a field makes sense."""


def _within(name: str, value: float, low: float, high: float, what: str) -> None:
    if math.isnan(value) or not low <= value <= high:
        raise Unusable(f"augment.{name} is {what} from {low:g} to {high:g}, not {value:g}")
