"""How a live stream is doing, in one word: told when it changes, and every so often that it goes on."""

from __future__ import annotations

import time

from xfer.runtime.listening.state import Condition, LiveState
from xfer.runtime.sources import Block

MUTE_SECONDS = 10.0
"""Nothing but zeros for so long comes from no microphone that is on."""
CLIPPED_SHARE = 0.001
"""Of the samples of a stretch; more, and it is too loud for the device."""
STRETCH_SECONDS = 2.0
"""Clipping is looked for in stretches of this length."""
CALM_SECONDS = 5.0
"""Trouble is over when there was none for so long."""

_TEXTS = {
    "listening": "listening",
    "mute": "nothing but zeros come: is the microphone muted?",
    "clipping": "the sound is clipped: turn the microphone down",
    "behind": "the sound comes faster than this device listens: {waiting:.1f} s wait",
    "dropping": "{dropped} samples were lost so far: this device is too slow for it, or was interrupted",
}


class Watch:
    """Keeps a state's condition; tells when there is something to tell."""

    def __init__(self, state: LiveState, every_seconds: float) -> None:
        """`every_seconds`: also without a change; 0: only changes."""
        self._state = state
        self._every = every_seconds
        self._told = time.monotonic()
        self._trouble: dict[str, float] = {}  # when it was last so
        self._zeros = 0
        self._heard = self._clipped = self._clipped_before = 0
        self._dropped = state.dropped
        self._away = False

    def look(self, block: Block) -> bool:
        """The stream goes on with this block, which the state knows already; is there something to tell?"""
        now, state = time.monotonic(), self._state
        if block.news is not None:
            self._away = block.news.state == "lost" or (self._away and block.news.state != "back")
            state.condition = Condition(block.news.state if self._away else "listening", block.news.text)
            return self._tell(now)
        if self._away:
            return self._due(now)
        self._measure(block, now)
        word = next((word for word in ("dropping", "behind", "mute", "clipping") if word in self._trouble), "listening")
        if word == state.condition.state:
            return self._due(now)
        begins = state.condition.state in ("starting", "ended") and word == "listening"
        text = _TEXTS[word].format(waiting=state.waiting_seconds, dropped=state.dropped)
        state.condition = Condition(word, text)
        return not begins and self._tell(now)

    def _measure(self, block: Block, now: float) -> None:
        """Find trouble, and forget what was over long enough."""
        state, samples = self._state, block.samples
        if state.dropped > self._dropped:
            self._trouble["dropping"] = now
        self._dropped = state.dropped
        if block.hurry:
            self._trouble["behind"] = now
        if len(samples):
            self._zeros = self._zeros + len(samples) if not samples.any() else 0
            self._heard += len(samples)
        if self._zeros > MUTE_SECONDS * state.rate:
            self._trouble["mute"] = now
        elif not self._zeros:
            self._trouble.pop("mute", None)
        if self._heard > STRETCH_SECONDS * state.rate:
            if state.clipped - self._clipped_before > CLIPPED_SHARE * self._heard:
                self._trouble["clipping"] = now
            self._heard, self._clipped_before = 0, state.clipped
        self._trouble = {word: at for word, at in self._trouble.items() if now - at < CALM_SECONDS}

    def _due(self, now: float) -> bool:
        return bool(self._every) and now - self._told >= self._every and self._tell(now)

    def _tell(self, now: float) -> bool:
        self._told = now
        return True
