"""PortAudio through sounddevice: starting it, what microphones it sees, and how one of them can be opened."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from xfer.runtime.chatter import captured
from xfer.runtime.errors import NotThere, need_extra

FILE_FORM = "listen to a recording with: xfer listen --task speaker FILE"

COMMON_RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
"""Hz; what `xfer doctor` tries."""

_VIRTUAL_CHANNELS = 8
"""A device with more (ALSA's `default` and PulseAudio's say 32 or 128) mixes by itself whatever one asks for."""

_PACKAGES = {
    "debian": "apt-get install libportaudio2",
    "ubuntu": "apt-get install libportaudio2",
    "fedora": "dnf install portaudio",
    "rhel": "dnf install portaudio",
    "suse": "zypper install libportaudio2",
    "opensuse": "zypper install libportaudio2",
    "arch": "pacman -S portaudio",
    "alpine": "apk add portaudio",
    "gentoo": "emerge media-libs/portaudio",
    "void": "xbps-install portaudio",
    "nixos": "nix-env -iA nixos.portaudio",
}
"""By the ID of /etc/os-release."""


@dataclass(frozen=True)
class MicrophoneInfo:
    """A microphone that PortAudio sees."""

    index: int
    name: str
    rate: int
    """Its own default rate, Hz."""
    channels: int
    """At most; a virtual device may claim any number."""
    default: bool
    system: str = ""
    """PortAudio's way to it: ALSA, Core Audio, WASAPI ..."""


def start(anew: bool = False) -> Any:
    """sounddevice, with PortAudio started; `anew`: started again, which alone finds what was plugged in since.

    No stream may be open then. Raises NotThere, naming the package of this system.
    """
    try:
        with captured([]):
            import sounddevice
    except ImportError as error:
        raise need_extra("sounddevice", "mic") from error
    except OSError as error:
        raise NotThere(
            "the PortAudio library is missing, so no microphone can be opened; it comes with: "
            f"{package_line()}; or {FILE_FORM}"
        ) from error
    if anew:
        try:
            with captured([]):
                sounddevice._terminate()
                sounddevice._initialize()
        except sounddevice.PortAudioError as error:
            raise NotThere(f"PortAudio does not start again ({error})") from error
    return sounddevice


def package_line(system: str = "", release: str | None = None) -> str:
    """The command that brings PortAudio to this system. `release`: text of /etc/os-release."""
    system = system or platform.system()
    if system == "Darwin":
        return "brew install portaudio"
    try:
        found = platform.freedesktop_os_release() if release is None else _release(release)
    except OSError:
        found = {}
    names = [found.get("ID", ""), *found.get("ID_LIKE", "").split()]
    for name in names:
        line = next((line for known, line in _PACKAGES.items() if name == known or name.startswith(known + "-")), None)
        if line:
            return line
    return "apt-get install libportaudio2 (Debian, Ubuntu), dnf install portaudio (Fedora), apk add portaudio (Alpine)"


def _release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value.strip("\"'") for key, _, value in pairs}


def microphones(sounddevice: Any = None) -> list[MicrophoneInfo]:
    """Every microphone here. Raises NotThere where sounddevice or PortAudio is missing."""
    sounddevice = sounddevice or start()
    default = _default_index(sounddevice)
    systems = [str(each["name"]) for each in sounddevice.query_hostapis()]
    return [
        MicrophoneInfo(
            index,
            str(found["name"]),
            round(found["default_samplerate"]),
            channels,
            index == default,
            systems[int(found["hostapi"])],
        )
        for index, found in enumerate(sounddevice.query_devices())
        if (channels := int(found["max_input_channels"])) > 0
    ]


def choose_microphone(wanted: str | None, here: Sequence[MicrophoneInfo]) -> MicrophoneInfo:
    """The default microphone, or the one with this index, this name, or this part in its name; in this order.

    Of several with one name (Windows shows each once for every way to it) the one on the default's system is taken.
    Raises NotThere, with those that are here.
    """
    if not here:
        raise NotThere(f"there is no microphone here: connect one, or {FILE_FORM}")
    default = next((found for found in here if found.default), here[0])
    if wanted is None:
        return default
    small = wanted.strip().lower()
    alike: Iterable[list[MicrophoneInfo]] = (
        [found for found in here if str(found.index) == small],
        [found for found in here if found.name.lower() == small],
        [found for found in here if small and small in found.name.lower()],
    )
    for found in alike:
        if found:
            return next((each for each in found if each.system == default.system), found[0])
    names = ", ".join(f"{found.index} {found.name!r}" for found in here)
    raise NotThere(f"there is no microphone {wanted!r}; here are: {names}")


def settings_for(
    sounddevice: Any, info: MicrophoneInfo, rate: int | None = None, channel: int | None = None
) -> tuple[int, int]:
    """Rate and channels at which a microphone opens: its own of both, as far as they are not asked for.

    Raises NotThere where it refuses, or has no such channel.
    """
    if channel is not None and channel > info.channels:
        raise NotThere(f"microphone {info.name!r} has {info.channels} channels: there is no channel {channel}")
    few = info.channels <= _VIRTUAL_CHANNELS
    counts = [info.channels if few else (channel or 1), channel or 1, info.channels]
    for rate_tried in [rate] if rate else [info.rate, 48_000, 44_100, 16_000]:
        for channels in dict.fromkeys(counts):
            if opens(sounddevice, info, rate_tried, channels):
                return rate_tried, channels
    what = f"at {rate} Hz" if rate else "at any usual rate"
    raise NotThere(
        f"microphone {info.name!r} does not open {what} (its own rate is {info.rate} Hz): close what else uses it, "
        "name another with --mic, or leave --rate out"
    )


def opens(sounddevice: Any, info: MicrophoneInfo, rate: int, channels: int) -> bool:
    """Does it say that it opens so?"""
    try:
        with captured([]):
            sounddevice.check_input_settings(device=info.index, channels=channels, dtype="float32", samplerate=rate)
    except (sounddevice.PortAudioError, ValueError):
        return False
    return True


def rates_of(sounddevice: Any, info: MicrophoneInfo) -> list[int]:
    """Usual rates at which a microphone opens, Hz."""
    rates = sorted({*COMMON_RATES, info.rate})
    return [rate for rate in rates if opens(sounddevice, info, rate, min(info.channels, 2))]


def _default_index(sounddevice: Any) -> int | None:
    try:
        return int(sounddevice.query_devices(kind="input")["index"])
    except (sounddevice.PortAudioError, ValueError):
        return None
