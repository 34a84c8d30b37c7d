"""Is a recording good enough to enrol somebody from? What is wrong with it, and how to mend that.

What is grave keeps a recording out unless the user insists; the rest is told. Limits are on what `sound` and `voices`
measure; docs/speakers.md has on what they were set, and how often they are right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xfer.runtime.speakers.sound import Sound

SHORTEST_SECONDS, SHORT_SECONDS = 1.0, 2.5
"""Of speech without pauses: less than the first says nothing about a voice, less than the second little."""
QUIETEST_DBFS, QUIET_DBFS = -55.0, -42.0
WORST_CLIPPED, CLIPPED = 0.02, 0.001
WORST_RANGE_DB, RANGE_DB = 10.0, 18.0
LEAST_SPEECH = 1.15
"""`Sound.speech` below this is none, or music."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a recording."""

    kind: str
    """`length`, `level`, `clipping`, `noise`, `speech`, `voices` or `likeness`."""
    grave: bool
    """It keeps the recording out."""
    message: str
    """What is wrong, and how to mend it."""


def check_sound(sound: Sound) -> list[Finding]:
    """Everything that is wrong with a recording by its samples; of silence only that it is silent."""
    if sound.active_seconds == 0 or sound.level_dbfs < QUIETEST_DBFS - 20:
        return [Finding("level", True, "it is silent: is the microphone muted, or another one chosen?")]
    return [*_length(sound), *_level(sound), *_clipping(sound), *_noise(sound), *_speech(sound)]


def _length(sound: Sound) -> Iterator[Finding]:
    spoken = f"{sound.active_seconds:.1f} s of speech without the pauses"
    if sound.active_seconds < SHORTEST_SECONDS:
        yield Finding("length", True, f"it has {spoken}, too little to know a voice by: record 10 s or more")
    elif sound.active_seconds < SHORT_SECONDS:
        yield Finding("length", False, f"it has {spoken}: 10 s or more make a voice better known")


def _level(sound: Sound) -> Iterator[Finding]:
    level = f"it is at {sound.level_dbfs:.0f} dBFS"
    if sound.level_dbfs < QUIETEST_DBFS:
        yield Finding("level", True, f"{level}, too quiet: turn the microphone up, or come nearer")
    elif sound.level_dbfs < QUIET_DBFS:
        yield Finding("level", False, f"{level}, quiet: turn the microphone up, or come nearer")


def _clipping(sound: Sound) -> Iterator[Finding]:
    if sound.clipped >= CLIPPED:
        share = f"{100 * sound.clipped:.1f} % of its samples are clipped"
        yield Finding("clipping", sound.clipped >= WORST_CLIPPED, f"{share}: turn the microphone down and record again")


def _noise(sound: Sound) -> Iterator[Finding]:
    if sound.range_db < RANGE_DB:
        stands = f"the voice stands only {sound.range_db:.0f} dB over what else is heard (noise, or music)"
        mend = "record in a quieter room, nearer to the microphone, with a pause or two"
        yield Finding("noise", sound.range_db < WORST_RANGE_DB, f"{stands}: {mend}")


def _speech(sound: Sound) -> Iterator[Finding]:
    if sound.speech < LEAST_SPEECH:
        moves = (
            f"its bands move by {sound.movement_db:.0f} dB and its pitch glides {100 * sound.glide:.0f} % of the time"
        )
        yield Finding("speech", True, f"it sounds like music or noise, not like speech ({moves}): record speech alone")
